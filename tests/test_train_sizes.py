"""What does not fit a machine is refused by name, before memory goes."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk, fcc111, graphene, molecule

from e3md import E3Calculator
from e3md.data.geometry import mean_pairs
from e3md.data.read import DataKeys, read_frames
from e3md.neighbors import neighbor_list
from e3md.train import sizes
from e3md.train.config import ConfigError, load_config
from e3md.train.run import train
from training_data import write_run


def _with(folder: Path, section: str, **settings: object) -> Path:
    path = write_run(folder)
    values = yaml.safe_load(path.read_text())
    values[section] |= settings
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize(
    ("section", "settings", "named"),
    [
        (
            "model",
            {"channels": 8192},
            r"model: .* weights and more take .* this machine has 0 GB",
        ),
        ("training", {"devices": 2}, r"training\.devices: 2 processes take"),
    ],
)
def test_what_does_not_fit_is_named(
    section: str, settings: dict, named: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(sizes, "machine_memory", lambda: 3e8)
    with pytest.raises(ConfigError, match=named):
        train(_with(tmp_path, section, **settings))
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_neighbor_pairs_are_counted_before_they_are_made(tmp_path: Path, monkeypatch) -> None:
    config = load_config(_with(tmp_path, "model", cutoff=50.0))
    frames = read_frames(config.data.train, DataKeys())
    sizes.check_sizes(config, frames, 2)
    monkeypatch.setattr(sizes, "machine_memory", lambda: 3e8)
    with pytest.raises(ConfigError, match=r"cutoff: about .* neighbor pairs within 50 Å take"):
        sizes.check_sizes(config, 100 * frames, 2)


def test_a_crowd_has_no_neighbor_list(make_model) -> None:
    rng = np.random.default_rng(0)
    crowd = Atoms("Li50000", rng.random((50_000, 3)), cell=np.eye(3), pbc=True)
    with pytest.raises(ValueError, match="denser than any matter"):
        E3Calculator(make_model()).get_property("energy", crowd)


def _periodic(atoms: Atoms, *directions: int) -> Atoms:
    atoms.pbc = [d in directions for d in range(3)]
    return atoms


SHAPES = {
    "crystal": bulk("Cu", cubic=True).repeat(2),
    "layer": _periodic(graphene(size=(4, 4, 1), vacuum=5.0), 0, 1),
    "slab": _periodic(fcc111("Al", (3, 3, 4), vacuum=5.0), 0, 1),
    "wire": _periodic(Atoms("C8", [[0, 0, 1.3 * k] for k in range(8)], cell=[9, 9, 10.4]), 2),
    "cluster": _periodic(bulk("Cu", cubic=True).repeat(3)),
    "molecule": molecule("C60"),
}


@pytest.mark.parametrize("cutoff", [4.0, 8.0, 20.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_pairs_are_those_of_the_shape(shape: str, cutoff: float) -> None:
    """Of thin and small structures most of the sphere is empty: no reason to refuse them."""
    atoms = SHAPES[shape]
    pairs = len(neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)[0])
    assert 0.5 * pairs < mean_pairs(atoms, cutoff) < 2.5 * pairs
