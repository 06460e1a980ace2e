"""The plan of steps gives what TorchScript gives, to rounding."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from conftest import random_statistics, random_structure, small_config
from e3md._core import NeighborList, Potential
from e3md.export import save_model
from e3md.model import build_model
from e3md.model.committee import Committee
from e3md.model_file import TrainingRecord
from e3md.neighbors import species_types
from laws import CONFIGS, SPECIES, build
from test_stack import VARIANTS

PLANNED = "a plan of"


def evaluate(path: Path, atoms: Atoms, dtype: str, plan: bool) -> dict:
    potential = Potential(str(path), "cpu", dtype, plan)
    assert potential.runs.startswith(PLANNED) == plan
    types = species_types(atoms.numbers, potential.metadata.species)
    neighbors = NeighborList(potential.metadata.cutoff)
    members = potential.metadata.members > 1
    return potential.evaluate_structure(
        types, atoms.positions, atoms.cell.array, atoms.pbc, neighbors, True, members
    )


def assert_alike(path: Path, structures: Sequence[Atoms], dtype: str = "float64") -> None:
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for atoms in structures:
        found, expected = (evaluate(path, atoms, dtype, plan) for plan in (True, False))
        for name, value in expected.items():
            value = np.asarray(value)
            scale = max(1.0, float(np.abs(value).max(initial=0.0)))
            np.testing.assert_allclose(
                np.asarray(found[name]) / scale, value / scale, atol=tolerance, rtol=0
            )


def structures() -> list[Atoms]:
    dimer = Atoms("LiS", [[0, 0, 0], [1.1, 0.4, 0.2]])
    return [random_structure(12, seed=1), random_structure(150, seed=4), dimer, Atoms("P")]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration(name: str, dtype: str, tmp_path: Path) -> None:
    config, path = CONFIGS[name], tmp_path / "model.pt"
    save_model(build(config), config, random_statistics(SPECIES), TrainingRecord(), path)
    assert_alike(path, structures(), dtype)


@pytest.mark.parametrize("name", VARIANTS)
def test_committees(name: str, tmp_path: Path) -> None:
    arch, overrides = VARIANTS[name]
    torch.manual_seed(3)
    config, path = small_config(arch, **overrides), tmp_path / "committee.pt"
    models = [build_model(config, random_statistics(SPECIES), torch.float64) for _ in range(3)]
    save_model(Committee(models), config, random_statistics(SPECIES), TrainingRecord(), path)
    assert_alike(path, structures())
