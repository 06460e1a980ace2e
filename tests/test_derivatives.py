"""Forces and stress are the derivatives of the energy, for every architecture option."""

import numpy as np
import pytest
import torch
from ase import Atoms

from conftest import random_structure
from e3md.derivatives import predict
from e3md.graph import batch_graphs
from e3md.model import ModelConfig
from laws import CONFIGS, build, to_graph

RELATIVE = 1e-6
STEP = 1e-3  # Å, or strain


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


def _derivative(energy_at) -> float:
    """Central difference with Richardson extrapolation, error O(h⁴)."""

    def slope(h: float) -> float:
        return (energy_at(h) - energy_at(-h)) / (2 * h)

    return (4 * slope(STEP / 2) - slope(STEP)) / 3


def test_forces_are_minus_the_gradient(config: ModelConfig) -> None:
    atoms, model = random_structure(12, seed=11), build(config)
    forces = predict(model, to_graph(atoms, config)).forces.numpy()

    def moved(atom: int, axis: int, h: float) -> float:
        trial = atoms.copy()
        trial.positions[atom, axis] += h
        return predict(model, to_graph(trial, config)).energy.item()

    scale = np.abs(forces).max()
    for atom, axis in [(0, 0), (3, 1), (7, 2), (11, 0)]:
        numeric = -_derivative(lambda h, a=atom, x=axis: moved(a, x, h))
        assert forces[atom, axis] == pytest.approx(numeric, abs=RELATIVE * scale)


def test_stress_is_the_strain_derivative(config: ModelConfig) -> None:
    atoms, model = random_structure(12, seed=12), build(config)
    stress = predict(model, to_graph(atoms, config)).stress[0].numpy()

    def strained(a: int, b: int, h: float) -> float:
        strain = np.eye(3)
        strain[a, b] += h
        trial = atoms.copy()
        trial.set_cell(atoms.cell @ strain.T, scale_atoms=True)
        return predict(model, to_graph(trial, config)).energy.item()

    np.testing.assert_allclose(stress, stress.T, atol=1e-12)
    scale = np.abs(stress).max()
    for a, b in [(0, 0), (1, 1), (2, 2), (0, 1), (2, 0), (1, 2)]:
        numeric = _derivative(lambda h, a=a, b=b: strained(a, b, h)) / atoms.get_volume()
        assert stress[a, b] == pytest.approx(numeric, abs=RELATIVE * scale)


def test_forces_sum_to_zero_and_make_no_torque(config: ModelConfig) -> None:
    atoms = random_structure(12, seed=13, pbc=False)
    forces = predict(build(config), to_graph(atoms, config)).forces.numpy()
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-11)
    np.testing.assert_allclose(np.cross(atoms.positions, forces).sum(0), 0, atol=1e-10)


def test_frames_in_a_batch_do_not_see_each_other(config: ModelConfig) -> None:
    model = build(config)
    graphs = [to_graph(random_structure(n, seed=n), config) for n in (5, 9, 1)]
    together = predict(model, batch_graphs(graphs))
    apart = [predict(model, graph) for graph in graphs]
    for name in ("energy", "energies", "forces", "stress"):
        expected = torch.cat([getattr(p, name) for p in apart])
        torch.testing.assert_close(getattr(together, name), expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("pbc", [(True, True, False), (False, True, False), (False,) * 3])
def test_stress_of_slabs_wires_and_molecules(pbc: tuple[bool, ...]) -> None:
    config = CONFIGS["nequip-l1"]
    atoms, model = random_structure(8, seed=14), build(config)
    atoms.pbc = pbc
    stress = predict(model, to_graph(atoms, config)).stress[0].numpy()

    def strained(a: int, b: int, h: float) -> float:
        strain = np.eye(3)
        strain[a, b] += h
        trial = atoms.copy()
        trial.set_cell(atoms.cell @ strain.T, scale_atoms=True)
        return predict(model, to_graph(trial, config)).energy.item()

    for a, b in [(0, 0), (2, 2), (1, 2)]:
        numeric = _derivative(lambda h, a=a, b=b: strained(a, b, h)) / atoms.get_volume()
        assert stress[a, b] == pytest.approx(numeric, abs=RELATIVE * np.abs(stress).max())


def test_stress_without_a_volume_is_not_a_number() -> None:
    config = CONFIGS["nequip-l1"]
    slab = random_structure(8, seed=14)
    slab.pbc = (True, True, False)
    slab.cell[2] = 0
    assert predict(build(config), to_graph(slab, config)).stress.isnan().all()


def test_isolated_atom_has_its_reference_energy_and_no_force(config: ModelConfig) -> None:
    graph = to_graph(Atoms("P", positions=[[1, 2, 3]]), config)
    model = build(config)
    prediction = predict(model, graph)
    same_alone = model(graph.types, graph.edge_index, graph.edge_vec, 1)
    assert prediction.energy.item() == same_alone.item()
    assert torch.count_nonzero(prediction.forces) == 0
