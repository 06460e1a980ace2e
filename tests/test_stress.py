"""Stress is dE/dε / V wherever the cell has a volume, whichever directions are periodic."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from ase import Atoms
from ase.calculators import socketio
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_stress
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter, UnitCellFilter
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import BFGS

from conftest import random_structure
from e3md import E3Calculator
from e3md.neighbors import cell_volume

MakeModel = Callable[..., Path]
PERIODICITIES = list(product([False, True], repeat=3))


@pytest.fixture(params=["nequip", "mace", "schnet", "so3net"])
def calculator(request: pytest.FixtureRequest, make_model: MakeModel) -> E3Calculator:
    return E3Calculator(make_model(request.param, zbl=True))


def sheet() -> Atoms:
    """A flat crystal, periodic in two directions, in a cell with a third vector."""
    atoms = Atoms("LiSP", [[0, 0, 8.0], [1.9, 0.2, 8.0], [0.3, 2.1, 8.1]], cell=[3.9, 4.1, 16.0])
    atoms.pbc = (True, True, False)
    return atoms


def atoms_with(periodic: tuple[bool, ...], calculator: E3Calculator) -> Atoms:
    atoms = random_structure(10, seed=21)
    atoms.pbc = periodic
    atoms.calc = calculator
    return atoms


@pytest.mark.parametrize("periodic", PERIODICITIES)
def test_stress_is_that_of_a_finite_strain(
    periodic: tuple[bool, ...], calculator: E3Calculator
) -> None:
    atoms = atoms_with(periodic, calculator)
    stress, stresses = atoms.get_stress(), atoms.get_stresses()
    assert np.abs(stress).max() > 1e-3
    np.testing.assert_allclose(calculate_numerical_stress(atoms, eps=1e-5), stress, atol=1e-7)
    np.testing.assert_allclose(stresses.sum(axis=0), stress, atol=1e-15)


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        ([[-9.0, 0, 0], [1, 8, 0], [0, 2, 12]], [True, True, False]),  # left-handed
        ([[9.0, 0, 0], [1, 8, 0], [5, -4, 12]], [True, True, False]),  # a vector that leans
        ([[9.0, 0, 0], [1, 8, 0], [0, 0, 2]], [True, True, False]),  # lower than the atoms
        ([[0, 0, 9.0], [0, 30, 0], [30, 0, 0]], [True, False, False]),  # a wire along z
        ([[40.0, 0, 0], [0, 40, 0], [0, 0, 40]], [False, False, False]),  # a boxed molecule
    ],
)
def test_stress_in_odd_cells(cell: list, pbc: list[bool], make_model: MakeModel) -> None:
    atoms = random_structure(9, seed=22)
    atoms.cell, atoms.pbc, atoms.calc = cell, pbc, E3Calculator(make_model("mace"))
    numerical = calculate_numerical_stress(atoms, eps=1e-5) * atoms.get_volume()
    virial = atoms.get_stress() * atoms.get_volume()
    np.testing.assert_allclose(numerical, virial, atol=1e-6 * np.abs(virial).max())


def test_vacuum_divides_and_changes_nothing_else(calculator: E3Calculator) -> None:
    """Of a slab the stress times the height is the sheet's, also if it is called periodic."""
    slab = atoms_with((True, True, False), calculator)
    stress, energy = slab.get_stress(), slab.get_potential_energy()
    slab.cell[2] *= 10  # nothing but the volume
    assert slab.get_potential_energy() == energy
    np.testing.assert_allclose(slab.get_stress(), stress / 10, rtol=1e-12)
    slab.pbc = True
    np.testing.assert_allclose(slab.get_stress(), stress / 10, rtol=1e-9, atol=1e-14)


def test_a_model_sees_the_change_of_periodicity_alone(calculator: E3Calculator) -> None:
    atoms = atoms_with((True, True, True), calculator)
    found = {}
    for periodic in (*PERIODICITIES, *PERIODICITIES):  # twice, and no stale result the second time
        atoms.pbc = periodic
        results = np.append(atoms.get_stress(), atoms.get_potential_energy())
        np.testing.assert_array_equal(found.setdefault(periodic, results), results)
    assert len({row[-1] for row in found.values()}) == len(PERIODICITIES)


def test_a_change_of_the_cell_alone_is_seen(calculator: E3Calculator) -> None:
    """Positions stay: with a periodic direction the pairs change, without one the volume."""
    atoms = atoms_with((True, True, False), calculator)
    before = atoms.get_stress(), atoms.get_potential_energy(), atoms.get_stresses()
    atoms.cell[0] *= 1.02
    fresh = atoms.copy()
    fresh.calc = copy.copy(calculator)
    fresh.calc.reset()
    assert atoms.get_potential_energy() != before[1]
    np.testing.assert_allclose(atoms.get_stress(), fresh.get_stress(), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(atoms.get_stresses(), fresh.get_stresses(), rtol=1e-12, atol=1e-16)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(atoms.get_stress(), before[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (np.zeros((3, 3)), r"the cell has 0 of three vectors.*axis=\(0, 1, 2\)\)"),
        (np.diag([7.0, 8.0, 0.0]), r"the cell has 2 of three vectors.*axis=\(2,\)\)"),
        (np.diag([0.0, 8.0, 0.0]), r"the cell has 1 of three vectors.*axis=\(0, 2\)\)"),
        (np.array([[7.0, 0, 0], [0, 8, 0], [3, 4, 0]]), "lie in one plane"),
        (np.array([[7.0, 0, 0], [0, 8, 0], [0, -4, 0]]), "lie in one plane"),
        (np.ones((3, 3)), "lie in one plane"),
    ],
)
def test_without_a_volume_the_message_says_what_to_set(
    cell: np.ndarray, message: str, calculator: E3Calculator
) -> None:
    atoms = random_structure(8, seed=23, pbc=False)
    atoms.cell, atoms.calc = cell, calculator
    energy = atoms.get_potential_energy()
    for method in (atoms.get_stress, atoms.get_stresses, calculator.get_atomic_volumes):
        with pytest.raises(PropertyNotImplementedError, match=message):
            method()
    assert np.isnan(cell_volume(atoms.cell.array))
    assert atoms.get_potential_energy() == energy
    assert np.isfinite(atoms.get_forces()).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_volume_is_the_determinant(scale: float) -> None:
    for cell in scale * np.random.default_rng(5).normal(size=(20, 3, 3)):
        assert cell_volume(cell) == pytest.approx(abs(np.linalg.det(cell)), rel=1e-12)
    for missing in (np.nan, np.inf, 0.0):
        assert np.isnan(cell_volume(scale * np.diag([1.0, missing, 1.0])))


def test_the_advice_works(calculator: E3Calculator) -> None:
    atoms = random_structure(8, seed=24, pbc=False)
    atoms.cell, atoms.calc = None, calculator
    energy = atoms.get_potential_energy()
    atoms.center(vacuum=10.0, axis=(0, 1, 2))
    assert np.abs(atoms.get_stress()).max() > 1e-6
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-13)


@pytest.mark.parametrize("cell_filter", [FrechetCellFilter, UnitCellFilter])
def test_relaxes_a_sheet_in_its_plane(
    cell_filter: type[FrechetCellFilter], make_model: MakeModel
) -> None:
    atoms = sheet()
    atoms.calc = E3Calculator(make_model("nequip", zbl=True))
    start, height = atoms.get_potential_energy(), atoms.cell[2].copy()
    with BFGS(cell_filter(atoms, mask=[1, 1, 0, 0, 0, 1]), logfile=None) as optimizer:
        assert optimizer.run(fmax=2e-3, steps=400)
    assert atoms.get_potential_energy() < start
    np.testing.assert_array_equal(atoms.cell[2], height)
    in_plane = np.abs(atoms.get_stress()[[0, 1, 5]]).max()
    assert in_plane * atoms.get_volume() / len(atoms) < 2e-3
    assert atoms.pbc.tolist() == [True, True, False]


def test_fixed_atoms_do_not_change_the_stress(calculator: E3Calculator) -> None:
    atoms = atoms_with((True, True, False), calculator)
    free = atoms.get_stress(), atoms.get_stresses(), atoms.get_forces()
    atoms.set_constraint(FixAtoms([0, 1, 2]))
    np.testing.assert_array_equal(atoms.get_stress(), free[0])
    np.testing.assert_array_equal(atoms.get_stresses(), free[1])
    np.testing.assert_array_equal(atoms.get_forces(apply_constraint=False), free[2])
    assert not atoms.get_forces()[:3].any()


def test_kinetic_stresses_sum_to_the_kinetic_stress(calculator: E3Calculator) -> None:
    atoms = atoms_with((True, True, False), calculator)
    thermalize_momenta(atoms, temperature_K=3000, rng=np.random.default_rng(0))
    potential, both = atoms.get_stress(), atoms.get_stress(include_ideal_gas=True)
    assert np.abs(both - potential).max() > 1e-3
    stresses = atoms.get_stresses(include_ideal_gas=True)
    np.testing.assert_allclose(stresses.sum(axis=0), both, atol=1e-14)
    np.testing.assert_array_equal(calculator.get_atomic_volumes(), [atoms.get_volume()] * 10)


def test_no_atomic_volumes_before_a_calculation(make_model: MakeModel) -> None:
    with pytest.raises(PropertyNotImplementedError, match="nothing has been calculated"):
        E3Calculator(make_model("nequip")).get_atomic_volumes()


def test_a_socket_driver_gets_the_virial_of_a_molecule(calculator: E3Calculator) -> None:
    """The protocol of i-PI, which sends a cell whether or not the molecule has one."""
    name = f"e3md-{uuid4()}"
    molecule = random_structure(8, seed=25, pbc=False)
    boxed = molecule.copy()
    boxed.cell = [40.0, 41.0, 42.0]
    molecule.cell, molecule.calc = None, calculator
    server = socketio.SocketServer(unixsocket=name, timeout=60)

    def serve() -> None:
        socketio.SocketClient(unixsocket=name).run(molecule, use_stress=True)

    with server, ThreadPoolExecutor(1) as pool:
        client = pool.submit(serve)
        found = server.calculate(boxed)
        server.protocol.end()
        client.result(timeout=60)
    numerical = boxed.copy()
    numerical.calc = copy.deepcopy(calculator)
    expected = -calculate_numerical_stress(numerical, eps=1e-5, voigt=False) * boxed.get_volume()
    np.testing.assert_allclose(found["virial"], expected, atol=1e-5 * np.abs(expected).max())


def test_copies_in_threads_agree(calculator: E3Calculator) -> None:
    structures = []
    for periodic in PERIODICITIES:
        structures.append(atoms_with(periodic, copy.deepcopy(calculator)))
    expected = [atoms.get_stress() for atoms in structures]
    for atoms in structures:
        atoms.calc = copy.deepcopy(calculator)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(Atoms.get_stress, structures))
    np.testing.assert_array_equal(found, expected)


def test_pickles_with_partial_periodicity(calculator: E3Calculator) -> None:
    atoms = atoms_with((False, True, False), calculator)
    again = atoms.copy()
    again.calc = pickle.loads(pickle.dumps(calculator))
    np.testing.assert_array_equal(again.get_stress(), atoms.get_stress())


@pytest.mark.parametrize("periodic", [(True, True, False), (False, False, True)])
def test_hessian_and_descriptors_of_slabs_and_wires(
    periodic: tuple[bool, ...], calculator: E3Calculator
) -> None:
    """Fixed atoms have second derivatives too; the open direction's vector does not matter."""
    atoms = atoms_with(periodic, calculator)
    hessian, descriptors = calculator.get_hessian(atoms), calculator.get_descriptors(atoms)
    atoms.set_constraint(FixAtoms([1]))
    columns = []
    for h in (1e-4, -1e-4):
        moved = atoms.copy()
        moved.arrays["positions"][1, 2] += h
        moved.calc = calculator
        columns.append(moved.get_forces(apply_constraint=False).ravel())
    np.testing.assert_allclose((columns[1] - columns[0]) / 2e-4, hessian[:, 5], atol=1e-5)
    for axis in np.flatnonzero(~np.array(periodic)):
        atoms.cell[axis] *= 3
    np.testing.assert_allclose(calculator.get_hessian(atoms), hessian, atol=1e-10)
    np.testing.assert_allclose(calculator.get_descriptors(atoms), descriptors, atol=1e-12)
