"""The speed benchmark: its systems are what their names say, its models have scripts and environments."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "speed"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "peers"))

import models
import systems
from environments import PACKAGES

from e3md.neighbors import neighbor_list


@pytest.mark.parametrize("name", [name for name in systems.NAMES if not name.endswith("13824")])
def test_systems_are_what_their_names_say(name: str) -> None:
    atoms = systems.make(name)
    assert name.endswith(str(len(atoms)))
    assert set(atoms.get_chemical_symbols()) == set(systems.FAMILIES[systems.family(name)])
    assert atoms.pbc.all()


def test_strontium_titanate_has_the_neighbors_that_others_publish() -> None:
    atoms = systems.make("srtio3_625")
    edges = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, 6.0)[0]
    assert len(edges) / len(atoms) == pytest.approx(91, abs=0.5)


@pytest.mark.parametrize("model", models.MODELS.values(), ids=models.MODELS.keys())
def test_models_have_a_script_and_an_environment(model: models.Model) -> None:
    assert (models.PEERS / f"speed_{model.program}.py").is_file()
    assert model.program in PACKAGES
