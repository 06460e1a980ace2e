"""Model files and weights of before: the numbers that the e3md which wrote them gave.

v1: format_version 1; v2: format_version 2 with a second, tabulated form beside the network.
"""

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from conftest import random_statistics, random_structure, small_config
from e3md import E3Calculator
from e3md.check.subject import Subject
from e3md.check.tables import tables
from e3md.derivatives import predict
from e3md.model import build_model
from e3md.neighbors import atoms_to_graph
from e3md.train.initial import load_initial
from laws import CONFIGS, SPECIES, build

ARCHIVE = Path(__file__).parent / "data" / "older_files.zip"
NAMES = ("v1_nequip", "v1_mace", "v1_mace_exact", "v1_schnet", "v1_so3net", "v1_committee",
         "v2_nequip", "v2_committee")  # fmt: skip
MODELS = [name for name in NAMES if "committee" not in name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("older")
    with ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*format_version 1:UserWarning")
def test_files_give_the_numbers_they_gave(name: str, folder: Path) -> None:
    atoms = random_structure(12, seed=3)
    atoms.calc = E3Calculator(folder / f"{name}.pt")
    with np.load(folder / "numbers.npz") as numbers:
        for key in ("energies", "forces"):
            expected = numbers[f"{name} {key}"]
            np.testing.assert_allclose(atoms.calc.get_property(key, atoms), expected, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_training_starts_from_them(name: str, folder: Path) -> None:
    initial = load_initial(folder / f"{name}.pt")
    model = build_model(initial.config, initial.statistics, torch.float64)
    initial.load_into(model)
    atoms = random_structure(12, seed=3)
    graph = atoms_to_graph(atoms, initial.statistics.species, initial.config.cutoff, torch.float64)
    with np.load(folder / "numbers.npz") as numbers:
        expected = numbers[f"{name} forces"]
    np.testing.assert_allclose(predict(model, graph).forces, expected, atol=1e-8)
    limited = initial.limited_to(["P", "S"])
    smaller = build_model(limited.config, limited.statistics, torch.float64)
    limited.load_into(smaller)


@pytest.mark.parametrize("name", ["v1_nequip", "v1_mace_exact", "v2_nequip"])
@pytest.mark.filterwarnings("ignore:.*format_version 1:UserWarning")
def test_their_tables_are_checked(name: str, folder: Path) -> None:
    """They are coarse."""
    found = tables(Subject(folder / f"{name}.pt", random_structure(12, seed=3)))
    assert found.value == 0 if "exact" in name else 1e-10 < found.value < 1e-3


@pytest.mark.parametrize("name", ["nequip-l1", "mace-1o", "schnet", "so3net"])
def test_checkpoints_of_before_load(name: str) -> None:
    """Layers held the radial networks themselves, and tables were kept beside the weights."""
    model, config = build(CONFIGS[name]), CONFIGS[name]
    network = "radial_network" if config.arch in ("nequip", "mace") else "filters"
    expected = {key: tensor + 1 for key, tensor in model.state_dict().items()}
    before = {
        key.replace(".convolution.network.", f".{network}."): tensor
        for key, tensor in expected.items()
    }
    for n in range(len(model.layers)):
        for table in ("paths", "cg_index", "cg_value"):
            before[f"layers.{n}.convolution.{table}"] = torch.zeros(3)
    model.load_state_dict(before)
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[key], msg=key)


def test_weights_of_densities_of_before_load() -> None:
    model = build(CONFIGS["mace-density"])
    weights = {
        name.replace(".density.network.weights.", ".density.weights."): tensor + 1.0
        for name, tensor in model.state_dict().items()
    }
    assert sum(".density.weights." in name for name in weights) == 2
    model.load_state_dict(weights)
    for layer, network in enumerate(model.layers):
        read = network.density.network.weights[0]
        assert read.equal(weights[f"layers.{layer}.density.weights.0"])


def test_weights_of_another_model_are_not_taken() -> None:
    model = build(CONFIGS["nequip-l1"])
    other = build_model(
        small_config("schnet"), random_statistics(SPECIES), torch.float64
    ).state_dict()
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict(other)
