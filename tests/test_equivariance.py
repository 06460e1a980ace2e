"""Energy is invariant and forces turn with the structure: O(3), translations, permutations."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from conftest import random_structure
from e3md.derivatives import Prediction, predict
from e3md.model import ModelConfig
from laws import CONFIGS, build, to_graph

TOLERANCE = 1e-10  # eV, eV/Å


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


def _predict(atoms, config: ModelConfig) -> Prediction:
    return predict(build(config), to_graph(atoms, config))


@pytest.mark.parametrize("determinant", [1, -1], ids=["rotation", "rotoinversion"])
def test_orthogonal_transformations(config: ModelConfig, determinant: int) -> None:
    atoms = random_structure(16, seed=2)
    turn = ortho_group.rvs(3, random_state=5)
    turn *= determinant * np.sign(np.linalg.det(turn))
    turned = atoms.copy()
    turned.set_cell(atoms.cell @ turn.T)
    turned.positions = atoms.positions @ turn.T

    before, after = _predict(atoms, config), _predict(turned, config)
    turn_t = torch.from_numpy(turn)

    assert before.forces.abs().max() > 1e-3
    torch.testing.assert_close(after.energies, before.energies, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(after.forces, before.forces @ turn_t.T, atol=TOLERANCE, rtol=0)
    expected = turn_t @ before.stress @ turn_t.T
    torch.testing.assert_close(after.stress, expected, atol=TOLERANCE, rtol=0)


def test_translation_and_images(config: ModelConfig) -> None:
    atoms = random_structure(16, seed=3)
    moved = atoms.copy()
    images = np.random.default_rng(0).integers(-3, 4, (16, 3))
    moved.positions += [0.3, -7.1, 2.2] + images @ atoms.cell
    before, after = _predict(atoms, config), _predict(moved, config)
    torch.testing.assert_close(after.energies, before.energies, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(after.forces, before.forces, atol=TOLERANCE, rtol=0)


def test_permutation(config: ModelConfig) -> None:
    atoms = random_structure(16, seed=4)
    order = np.random.default_rng(1).permutation(16)
    before, after = _predict(atoms, config), _predict(atoms[order], config)
    torch.testing.assert_close(after.energies, before.energies[order], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(after.forces, before.forces[order], atol=TOLERANCE, rtol=0)


def test_energy_is_extensive(config: ModelConfig) -> None:
    atoms = random_structure(8, seed=6)
    one, eight = _predict(atoms, config), _predict(atoms.repeat(2), config)
    torch.testing.assert_close(eight.energy, 8 * one.energy, atol=8 * TOLERANCE, rtol=0)
    torch.testing.assert_close(eight.stress, one.stress, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("key", ["nequip-l1", "nequip-l3-zbl", "mace-1o"])
def test_mirror_images_have_one_energy_but_shape_matters(key: str) -> None:
    """A chiral cluster: its mirror image has the same energy, another shape has not."""
    atoms = random_structure(7, seed=8, pbc=False)
    mirrored, stretched = atoms.copy(), atoms.copy()
    mirrored.positions[:, 0] *= -1
    stretched.positions[:, 0] *= 1.05
    energies = [_predict(a, CONFIGS[key]).energy.item() for a in (atoms, mirrored, stretched)]
    assert energies[1] == pytest.approx(energies[0], abs=TOLERANCE)
    assert abs(energies[2] - energies[0]) > 1e-6
