"""The evaluator: derivatives of the energy it reports, in both precisions, and its virials."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from conftest import random_statistics, random_structure, small_config
from e3md._core import NeighborList, Potential
from e3md.derivatives import predict
from e3md.export import save_model
from e3md.model import build_model
from e3md.model_file import TrainingRecord, load_module
from e3md.neighbors import atoms_to_graph, species_types

SPECIES = ("Li", "P", "S")
MakeModel = Callable[..., Path]


@pytest.fixture(params=["nequip", "mace"])
def arch(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def potential(arch: str, make_model: MakeModel) -> Potential:
    return Potential(str(make_model(arch)))


def arguments(atoms: Atoms, potential: Potential) -> tuple:
    metadata = potential.metadata
    types = species_types(atoms.numbers, metadata.species)
    neighbors = NeighborList(metadata.cutoff)
    return types, atoms.positions, atoms.cell.array, atoms.pbc, neighbors


def evaluate(atoms: Atoms, potential: Potential, **options: bool) -> dict:
    return potential.evaluate_structure(*arguments(atoms, potential), **options)


def strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return copy


def test_forces_are_the_derivative(potential: Potential) -> None:
    atoms, step = random_structure(12, seed=1), 1e-3
    forces = evaluate(atoms, potential)["forces"]
    for atom, axis in [(0, 0), (3, 1), (7, 2), (11, 0)]:
        energies = []
        for shift in (-2, -1, 1, 2):
            moved = atoms.copy()
            moved.positions[atom, axis] += shift * step
            energies.append(evaluate(moved, potential)["energy"])
        slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * step)
        assert -slope == pytest.approx(forces[atom, axis], rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-13)


def test_virial_is_the_derivative_with_strain(potential: Potential) -> None:
    """stress = -W/V = (1/V) dE/d(strain): positive where the energy grows with the cell."""
    atoms, step = random_structure(12, seed=2), 1e-4
    virial = evaluate(atoms, potential)["virial"]
    for a, b in [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)]:
        energies = []
        for shift in (-2, -1, 1, 2):
            strain = np.zeros((3, 3))
            strain[a, b] = shift * step
            energies.append(evaluate(strained(atoms, strain), potential)["energy"])
        slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * step)
        assert -slope == pytest.approx(virial[a, b], rel=1e-6, abs=1e-8)
    np.testing.assert_allclose(
        virial, virial.T, atol=1e-12
    )  # the energy does not turn with the axes


def test_hessian_is_the_derivative_of_forces(potential: Potential) -> None:
    atoms, step = random_structure(8, seed=3), 1e-4
    hessian = potential.hessian(*arguments(atoms, potential))
    for column in (0, 7, 23):
        forces = []
        for shift in (-2, -1, 1, 2):
            moved = atoms.copy()
            moved.positions[column // 3, column % 3] += shift * step
            forces.append(evaluate(moved, potential)["forces"].ravel())
        slope = (forces[0] - 8 * forces[1] + 8 * forces[2] - forces[3]) / (12 * step)
        np.testing.assert_allclose(-slope, hessian[:, column], atol=1e-8, rtol=1e-6)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    np.testing.assert_allclose(hessian.reshape(24, 8, 3).sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("n_atoms", [1, 2, 12])
@pytest.mark.parametrize("kind", ["nequip", "mace", "schnet", "so3net"])
def test_columns_made_together_are_the_columns(
    kind: str, n_atoms: int, make_model: MakeModel
) -> None:
    """Made one by one in torch; 12 atoms take several passes, the last of fewer columns."""
    path = make_model(kind)
    potential, atoms = Potential(str(path)), random_structure(12, seed=6)[:n_atoms]
    graph = atoms_to_graph(atoms, SPECIES, potential.metadata.cutoff, torch.float64)
    module, vec = load_module(str(path)).double(), graph.edge_vec.requires_grad_()
    module.tabulate(False)
    energies = module(graph.types, graph.edge_index, vec, n_atoms)
    (slope,) = torch.autograd.grad(energies.sum(), vec, create_graph=True)
    i, j = graph.edge_index
    columns = []
    for atom, axis in np.ndindex(n_atoms, 3):
        motion = torch.zeros_like(vec)
        motion[:, axis] = (j == atom).double() - (i == atom).double()
        (bend,) = torch.autograd.grad(slope, vec, motion, retain_graph=True)
        column = torch.zeros(n_atoms, 3, dtype=torch.float64)
        columns.append(column.index_add(0, j, bend).index_add(0, i, -bend).flatten())
    found = potential.hessian(*arguments(atoms, potential))
    np.testing.assert_allclose(found, torch.stack(columns, 1).numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_hessian(potential: Potential, threads: int) -> None:
    atoms = random_structure(12, seed=6)
    before, found = torch.get_num_threads(), []
    try:
        for n in (1, threads):
            torch.set_num_threads(n)
            found.append(potential.hessian(*arguments(atoms, potential)))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-12)


def test_sums(potential: Potential) -> None:
    found = evaluate(random_structure(12, seed=4), potential, atomic_virials=True)
    assert found["energies"].sum() == pytest.approx(found["energy"], rel=1e-14)
    np.testing.assert_allclose(found["atomic_virials"].sum(axis=0), found["virial"], atol=1e-13)


def test_equals_the_training_side(arch: str, potential: Potential) -> None:
    """Potential and e3md.derivatives.predict are two implementations of one convention."""
    atoms = random_structure(14, seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(7)  # as make_model
        model = build_model(small_config(arch), random_statistics(SPECIES), torch.float64)
    graph = atoms_to_graph(atoms, SPECIES, potential.metadata.cutoff, torch.float64)
    expected, found = predict(model, graph), evaluate(atoms, potential)
    assert found["energy"] == pytest.approx(expected.energy.item(), rel=1e-14)
    np.testing.assert_allclose(found["forces"], expected.forces.detach(), atol=1e-13)
    stress = -found["virial"] / atoms.get_volume()
    np.testing.assert_allclose(stress, expected.stress[0].detach(), atol=1e-14)


@pytest.mark.parametrize("file_dtype", ["float32", "float64"])
def test_precisions_agree(arch: str, file_dtype: str, make_model: MakeModel) -> None:
    path, atoms = str(make_model(arch, file_dtype)), random_structure(20, seed=6)
    double, single = Potential(path, dtype="float64"), Potential(path, dtype="float32")
    assert Potential(path).dtype == file_dtype
    a, b = evaluate(atoms, double), evaluate(atoms, single)
    assert a["energy"] != b["energy"]
    assert a["energy"] == pytest.approx(b["energy"], rel=1e-6)
    np.testing.assert_allclose(a["forces"], b["forces"], atol=1e-5)
    np.testing.assert_allclose(a["virial"], b["virial"], atol=1e-4)
    c, d = double.hessian(*arguments(atoms, double)), single.hessian(*arguments(atoms, single))
    np.testing.assert_allclose(c, d, atol=1e-3)


def test_reference_energies_stay_double(arch: str, tmp_path: Path) -> None:
    """Of an all-electron E0 of -1e5 eV float32 would keep two decimals."""
    config, path = small_config(arch), tmp_path / "heavy.pt"
    e0s = (-123456.789012, -234567.890123, -345678.901234)
    statistics = replace(random_statistics(SPECIES), e0s=e0s)
    save_model(
        build_model(config, statistics, torch.float64), config, statistics, TrainingRecord(), path
    )
    atoms = random_structure(12, seed=10)
    energies = [evaluate(atoms, Potential(str(path), dtype=d)) for d in ("float32", "float64")]
    np.testing.assert_allclose(energies[0]["energies"], energies[1]["energies"], atol=1e-5, rtol=0)


def test_translation_far_from_the_origin(potential: Potential) -> None:
    """Positions are subtracted in double before any cast."""
    single = Potential(potential.metadata.path, dtype="float32")
    atoms = random_structure(12, seed=7)
    moved = atoms.copy()
    moved.positions += [1e6, -1e6, 1e6]
    forces = [evaluate(a, single)["forces"] for a in (atoms, moved)]
    np.testing.assert_allclose(*forces, atol=1e-5)


@pytest.mark.parametrize("n_atoms", [0, 1, 2])
def test_without_neighbors(n_atoms: int, potential: Potential) -> None:
    atoms = Atoms("Li" * n_atoms, np.arange(3 * n_atoms).reshape(-1, 3) * 50.0)
    found = evaluate(atoms, potential, atomic_virials=True)
    assert found["energies"].shape == (n_atoms,)
    assert found["forces"].shape == (n_atoms, 3)
    assert found["atomic_virials"].shape == (n_atoms, 3, 3)
    assert not found["forces"].any()
    assert not found["virial"].any()
    assert potential.hessian(*arguments(atoms, potential)).shape == (3 * n_atoms, 3 * n_atoms)
    assert potential.descriptors(*arguments(atoms, potential)).shape[0] == n_atoms


def test_works_without_grad_and_leaves_torch_alone(potential: Potential) -> None:
    atoms = random_structure(10, seed=8)
    expected = evaluate(atoms, potential)["forces"]
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(evaluate(atoms, potential)["forces"], expected)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    for guard in (torch.no_grad, torch.inference_mode):
        with guard():
            np.testing.assert_array_equal(evaluate(atoms, potential)["forces"], expected)
            assert not torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32


def test_heat_current(arch: str, make_model: MakeModel) -> None:
    """d/dt Σ r_i E_i = Σ v_i E_i + Σ_j W_j v_j - Σ r_i (F_i · v_i), E_i potential energies.

    The last term is what the kinetic energies take up, so with them the heat current of an isolated
    cluster is Σ v_i (E_i + m v_i²/2) + Σ_j W_j v_j. It holds for models of one layer, whose atomic
    energy depends on the atom's own edges alone (Fan et al., PRB 92, 094301).
    """
    potential = Potential(str(make_model(arch, n_layers=1)))
    atoms, rng, dt = random_structure(12, seed=9, pbc=False), np.random.default_rng(0), 1e-3
    velocities = rng.normal(size=(12, 3))
    found = evaluate(atoms, potential, atomic_virials=True)
    moments = []
    for step in (-2, -1, 1, 2):
        moved = atoms.copy()
        moved.positions += step * dt * velocities
        moments.append(moved.positions.T @ evaluate(moved, potential)["energies"])
    rate = (moments[0] - 8 * moments[1] + 8 * moments[2] - moments[3]) / (12 * dt)
    power = np.einsum("ik,ik->i", found["forces"], velocities)
    kinetic = atoms.positions.T @ power
    virial = np.einsum("jab,jb->a", found["atomic_virials"], velocities)
    np.testing.assert_allclose(rate + kinetic - velocities.T @ found["energies"], virial, rtol=1e-6)
    assert np.abs(virial).max() > 1e-3
