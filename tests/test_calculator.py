"""E3Calculator does what ASE's tools expect of a calculator."""

import copy
import gc
import multiprocessing
import pickle
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.io import read
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.vibrations import Vibrations

from conftest import random_structure
from e3md import E3Calculator

MakeModel = Callable[..., Path]


@pytest.fixture(params=["nequip", "mace"])
def calculator(request: pytest.FixtureRequest, make_model: MakeModel) -> E3Calculator:
    return E3Calculator(make_model(request.param, zbl=True))


@pytest.fixture
def atoms(calculator: E3Calculator) -> Atoms:
    atoms = random_structure(16, seed=1)
    atoms.calc = calculator
    return atoms


def test_properties(atoms: Atoms) -> None:
    n = len(atoms)
    energy = atoms.get_potential_energy()
    assert isinstance(energy, float)
    assert atoms.get_potential_energy(force_consistent=True) == energy
    assert atoms.get_potential_energies().sum() == pytest.approx(energy, rel=1e-13)
    assert atoms.get_forces().shape == (n, 3)
    stresses = atoms.get_stresses()
    assert stresses.shape == (n, 6)
    np.testing.assert_allclose(stresses.sum(axis=0), atoms.get_stress(), atol=1e-14)
    assert atoms.get_stresses(voigt=False).shape == (n, 3, 3)


def test_derivatives_by_ase(atoms: Atoms) -> None:
    numerical = calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0, 5], icarts=[0, 2])
    np.testing.assert_allclose(numerical, atoms.get_forces()[[0, 5]][:, [0, 2]], atol=1e-6)
    np.testing.assert_allclose(
        calculate_numerical_stress(atoms, eps=1e-5), atoms.get_stress(), atol=1e-7
    )


def test_stress_is_tensile_positive(atoms: Atoms) -> None:
    """Swelling the cell by a strain e changes the energy by V·e·trace(stress)."""
    stress, energy, e = atoms.get_stress(), atoms.get_potential_energy(), 1e-6
    volume = atoms.get_volume()
    atoms.set_cell(atoms.cell.array * (1 + e), scale_atoms=True)
    change = atoms.get_potential_energy() - energy
    assert change == pytest.approx(volume * e * stress[:3].sum(), rel=1e-3)


def test_relaxes_cell_and_positions(calculator: E3Calculator) -> None:
    atoms = bulk("Li", "bcc", a=3.6, cubic=True) * (2, 2, 1)
    atoms.rattle(0.05, seed=3)
    atoms.calc = calculator
    start = atoms.get_potential_energy()
    with BFGS(FrechetCellFilter(atoms), logfile=None) as optimizer:
        assert optimizer.run(fmax=2e-3, steps=400)
    assert atoms.get_potential_energy() < start
    assert np.abs(atoms.get_stress()).max() * atoms.get_volume() / len(atoms) < 2e-3


def test_constraints(atoms: Atoms) -> None:
    free = atoms.get_forces()
    atoms.set_constraint(FixAtoms([2]))
    assert not atoms.get_forces()[2].any()
    np.testing.assert_array_equal(atoms.get_forces(apply_constraint=False), free)


def test_vibrations_agree_with_the_hessian(
    calculator: E3Calculator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    atoms = Atoms("LiPS", [[0, 0, 0], [2.0, 0.1, 0], [0.4, 2.2, 0.3]])
    atoms.calc = calculator
    vibrations = Vibrations(atoms, delta=1e-3)
    vibrations.run()
    numerical = vibrations.get_vibrations().get_hessian_2d()
    np.testing.assert_allclose(numerical, calculator.get_hessian(atoms), atol=1e-4)


def test_energy_is_conserved(atoms: Atoms) -> None:
    atoms.set_velocities(np.random.default_rng(0).normal(0, 0.02, (len(atoms), 3)))
    energies = []
    with VelocityVerlet(atoms, 0.5 * units.fs) as md:
        md.attach(lambda: energies.append(atoms.get_total_energy()))
        md.run(60)
    kinetic = atoms.get_kinetic_energy()
    assert np.ptp(energies) < 0.02 * kinetic


def test_skin_changes_nothing(make_model: MakeModel) -> None:
    path, rng = make_model("nequip"), np.random.default_rng(0)
    calculators = [E3Calculator(path, skin=skin) for skin in (0.0, 0.5, 2.0)]
    atoms = random_structure(16, seed=2)
    for _ in range(30):
        atoms.positions += rng.normal(0, 0.03, atoms.positions.shape)
        forces = [calculator.get_property("forces", atoms) for calculator in calculators]
        np.testing.assert_array_equal(forces[0], forces[1])
        np.testing.assert_array_equal(forces[0], forces[2])


def test_follows_a_change_of_elements(calculator: E3Calculator, make_model: MakeModel) -> None:
    atoms = Atoms("LiP", [[0, 0, 0], [2, 0, 0]])
    first = calculator.get_property("energies", atoms).copy()
    atoms.numbers = atoms.numbers[::-1].copy()
    np.testing.assert_allclose(calculator.get_property("energies", atoms), first[::-1])
    del atoms[0]
    assert calculator.get_property("forces", atoms).shape == (1, 3)


def _turn(atoms: Atoms) -> None:
    atoms.cell[:] = atoms.cell.array @ np.diag([1.0, -1.0, -1.0])


CHANGES: dict[str, Callable[[Atoms], object]] = {
    "nothing": lambda atoms: None,
    "names": lambda atoms: atoms.info.update(name="new"),
    "momenta": lambda atoms: atoms.set_momenta(np.ones((len(atoms), 3))),
    "positions": lambda atoms: atoms.translate(1e-3),
    "rounding": lambda atoms: atoms.positions.__setitem__((0, 0), 5e-16),
    "above rounding": lambda atoms: atoms.positions.__setitem__((0, 0), 5e-15),
    "not a number": lambda atoms: atoms.positions.__setitem__((3, 1), np.nan),
    "cell": _turn,
    "cell and positions": lambda atoms: atoms.set_cell(atoms.cell * 1.01, scale_atoms=True),
    "periodicity": lambda atoms: atoms.set_pbc([True, True, False]),
    "elements": lambda atoms: atoms.numbers.__setitem__(2, 17),
    "charges": lambda atoms: atoms.set_initial_charges(np.zeros(len(atoms))),
    "moments": lambda atoms: atoms.set_initial_magnetic_moments(np.ones(len(atoms))),
    "fewer atoms": lambda atoms: atoms.__delitem__(4),
}


@pytest.mark.parametrize("ignored", [(), ("positions", "cell")], ids=["", "ignored"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_sees_the_changes_that_ase_sees(
    change: Callable[[Atoms], object], ignored: tuple[str, ...], make_model: MakeModel
) -> None:
    calculator = E3Calculator(make_model("nequip"))
    atoms = random_structure(8, seed=3)
    atoms.positions[0] = 0.0
    calculator.ignored_changes = set(ignored)
    calculator.calculate(atoms)
    change(atoms)
    of_ase = Calculator.check_state(calculator, atoms)
    assert sorted(calculator.check_state(atoms)) == sorted(of_ase)


def test_deepcopy_is_independent(atoms: Atoms) -> None:
    energy = atoms.get_potential_energy()
    other = copy.deepcopy(atoms)
    other.calc = copy.deepcopy(atoms.calc)
    other.positions[0] += 0.3
    assert other.get_potential_energy() != energy
    assert atoms.calc.results["energy"] == energy
    assert other.calc.cutoff == atoms.calc.cutoff


def _energy_in_worker(atoms: Atoms) -> float:
    return atoms.get_potential_energy()


def test_pickles_to_worker_processes(make_model: MakeModel) -> None:
    atoms = random_structure(16, seed=6)
    atoms.calc = pickle.loads(pickle.dumps(E3Calculator(make_model("mace"), skin=1.0)))
    expected = atoms.get_potential_energy()
    task = atoms.copy()  # without results: the worker has to compute
    task.calc = copy.deepcopy(atoms.calc)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_energy_in_worker, [task]) == [expected]


def test_works_in_forked_workers(make_model: MakeModel) -> None:
    """OpenMP's threads do not survive a fork: a worker that waits for them never answers."""
    atoms = random_structure(60, seed=7)
    atoms.calc = E3Calculator(make_model("nequip"))
    torch.set_num_threads(2)
    try:
        expected = atoms.get_potential_energy()
        task = atoms.copy()
        task.calc = copy.deepcopy(atoms.calc)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.map_async(_energy_in_worker, [task]).get(timeout=60) == [expected]
    finally:
        torch.set_num_threads(1)


def test_results_can_be_written(atoms: Atoms, tmp_path: Path) -> None:
    atoms.get_stress()
    for name in ("frame.traj", "frame.extxyz"):
        atoms.write(tmp_path / name)
        back = read(tmp_path / name)
        assert back.get_potential_energy() == pytest.approx(atoms.get_potential_energy())
        np.testing.assert_allclose(back.get_stress(), atoms.get_stress(), atol=1e-7)


def test_descriptors_are_invariant(atoms: Atoms) -> None:
    first = atoms.calc.get_descriptors(atoms)
    assert first.shape[0] == len(atoms)
    assert np.ptp(first, axis=0).max() > 1e-3
    atoms.rotate(40, (1, 2, 3), rotate_cell=True)
    np.testing.assert_allclose(atoms.calc.get_descriptors(atoms), first, atol=1e-11)


def test_symmetry_images_and_supercells(calculator: E3Calculator) -> None:
    """One atom in a 3 Å cell is its own neighbor many times over; so are its copies."""
    atoms = Atoms("Li", cell=np.diag([2.9, 3.0, 3.1]), pbc=True)
    big = atoms * (3, 2, 2)
    energy, stress = (calculator.get_property(p, atoms) for p in ("energy", "stress"))
    assert calculator.get_property("energy", big) == pytest.approx(12 * energy, rel=1e-12)
    np.testing.assert_allclose(calculator.get_property("stress", big), stress, atol=1e-14)
    np.testing.assert_allclose(calculator.get_property("forces", big), 0, atol=1e-12)


def test_default_dtype_is_left_alone(make_model: MakeModel) -> None:
    for dtype in ("float32", "float64"):
        calculator = E3Calculator(make_model("nequip"), dtype=dtype)
        calculator.get_property("forces", random_structure(8, seed=4))
        assert torch.get_default_dtype() == torch.float32


def test_first_call_is_not_a_warm_up(make_model: MakeModel) -> None:
    calculator = E3Calculator(make_model("nequip", channels=32))
    times = []
    for seed in range(6):  # a different number of edges each time
        atoms = random_structure(30 + seed, seed=seed)
        start = time.perf_counter()
        calculator.get_property("forces", atoms)
        times.append(time.perf_counter() - start)
    assert times[0] < 3 * np.median(times[1:])


def test_memory_does_not_grow(calculator: E3Calculator) -> None:
    rng = np.random.default_rng(0)
    atoms = random_structure(60, seed=5)

    def run(n_calls: int) -> int:
        for _ in range(n_calls):
            atoms.set_cell(atoms.cell.array * rng.uniform(0.995, 1.005), scale_atoms=True)
            calculator.get_property("stress", atoms)
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    before = run(30)
    assert run(100) - before < 20e6


def test_overhead_is_small(make_model: MakeModel) -> None:
    """One atom without neighbors: all that is left is the way through ASE and the evaluator."""
    calculator = E3Calculator(make_model("nequip"))
    atoms = Atoms("Li")
    times = []
    for step in range(30):
        atoms.positions[0, 0] = step
        start = time.perf_counter()
        calculator.get_property("forces", atoms)
        times.append(time.perf_counter() - start)
    assert min(times) < 10e-3  # of a machine that others use too
