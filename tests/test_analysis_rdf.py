"""g(r): exact laws and an independent implementation."""

import time

import numpy as np
import pytest
from ase.build import bulk
from ase.geometry.rdf import get_rdf

from e3md.analysis import Trajectory, radial_distribution


def trajectory(atoms_list) -> Trajectory:
    first = atoms_list[0]
    return Trajectory(
        tuple(first.get_chemical_symbols()),
        np.array([a.positions for a in atoms_list]),
        np.array([a.cell.array for a in atoms_list]),
        tuple(bool(p) for p in first.pbc),
        np.arange(len(atoms_list), dtype=float),
    )


def ideal_gas(n_frames: int, n_atoms: int, seed: int = 0) -> Trajectory:
    """Uncorrelated points; the volume differs from frame to frame."""
    rng = np.random.default_rng(seed)
    cells = np.array([[[11.0, 0, 0], [3.0, 12.0, 0], [-2.0, 4.0, 10.0]]]) * rng.uniform(
        0.9, 1.1, (n_frames, 1, 1)
    )
    species = ("Li",) * (n_atoms // 2) + ("S",) * (n_atoms - n_atoms // 2)
    positions = rng.uniform(-1, 2, (n_frames, n_atoms, 3)) @ cells
    return Trajectory(species, positions, cells, (True,) * 3, np.arange(n_frames, dtype=float))


def test_ideal_gas_is_one_minus_the_atom_itself():
    # unlike pairs: 1; like pairs: an atom is no neighbor of itself, 1 - 1/N (below half the cell)
    gas = ideal_gas(100, 200)
    rdf = radial_distribution(gas, r_max=4.0, n_bins=20)
    outer = rdf.r > 1.0
    for pair, expected in {("Li", "S"): 1.0, ("Li", "Li"): 0.99, ("S", "S"): 0.99}.items():
        mean = np.average(rdf.partial[pair], weights=rdf.r**2)
        assert mean == pytest.approx(expected, abs=0.004)
        assert np.abs(rdf.partial[pair][outer] - expected).max() < 0.1
    assert np.average(rdf.total, weights=rdf.r**2) == pytest.approx(0.995, abs=0.004)


def test_one_beyond_half_the_cell_and_beyond_the_cell():
    # periodic images counted: in a cell of 5 Å the density is uniform out to 12 Å for unlike atoms
    rng = np.random.default_rng(1)
    cells = np.broadcast_to(5.0 * np.eye(3), (400, 3, 3)).copy()
    positions = rng.uniform(0, 5, (400, 8, 3))
    gas = Trajectory(("Li",) * 4 + ("S",) * 4, positions, cells, (True,) * 3, np.arange(400.0))
    rdf = radial_distribution(gas, r_max=12.0, n_bins=12)
    assert np.abs(rdf.partial[("Li", "S")][2:] - 1).max() < 0.05


def test_fcc_shells():
    a = 4.0
    crystal = trajectory([bulk("Cu", "fcc", a=a, cubic=True)])  # half the cell: 2 Å
    rdf = radial_distribution(crystal, r_max=6.3, n_bins=630)
    shells = {a / np.sqrt(2): 12, a: 18, a * np.sqrt(1.5): 42, a * np.sqrt(2): 54}
    for distance, within in shells.items():
        assert rdf.coordination[("Cu", "Cu")][rdf.r > distance + 0.02][0] == within
    nonzero = rdf.r[rdf.total > 0]
    assert np.allclose(nonzero[:4], list(shells), atol=0.011)


def test_same_as_ase():
    rng = np.random.default_rng(2)
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(3)
    atoms.rattle(0.3, rng=rng)
    ours = radial_distribution(trajectory([atoms]), r_max=7.0, n_bins=70)
    total, r = get_rdf(atoms, 7.0, 70)
    assert np.allclose(ours.r, r)
    assert np.allclose(ours.total, total, atol=1e-10)
    mixed, _ = get_rdf(atoms, 7.0, 70, elements=[11, 17])
    assert np.allclose(ours.partial[("Cl", "Na")], mixed, atol=1e-10)


def test_total_is_the_weighted_sum_of_partials():
    gas = ideal_gas(3, 31)
    rdf = radial_distribution(gas, r_max=6.0, n_bins=30)
    fraction = {"Li": 15 / 31, "S": 16 / 31}
    total = sum(
        fraction[a] * fraction[b] * g * (1 if a == b else 2) for (a, b), g in rdf.partial.items()
    )
    assert np.allclose(total, rdf.total)


def test_first_minimum_lies_between_the_shells():
    rng = np.random.default_rng(3)
    frames = []
    for _ in range(20):
        atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(3)
        atoms.rattle(0.15, rng=rng)
        frames.append(atoms)
    rdf = radial_distribution(trajectory(frames), r_max=7.0, n_bins=140)
    assert 3.2 < rdf.first_minimum("Na", "Cl") < 4.5  # shells at 2.8 and 4.85 Å
    assert rdf.first_minimum("Na", "Cl") == rdf.first_minimum("Cl", "Na")


def test_no_minimum_in_a_gas():
    rdf = radial_distribution(ideal_gas(50, 100), r_max=5.0, n_bins=25)
    assert rdf.first_minimum("Li", "S") is None


def test_a_molecule_has_no_density():
    atoms = bulk("Cu", cubic=True)
    atoms.pbc = (True, True, False)
    with pytest.raises(ValueError, match="three periodic directions"):
        radial_distribution(trajectory([atoms]))


def test_a_cell_of_a_micrometer_costs_no_more_than_its_atoms():
    """Empty space holds no bins."""
    positions = np.array([[[0, 0, 0], [0, 0, 2.0], [5e3, 0, 0]]])
    cells = np.eye(3)[None] * 1e4
    lone = Trajectory(("Li", "Li", "S"), positions, cells, (True,) * 3, np.zeros(1))
    start = time.monotonic()
    rdf = radial_distribution(lone, r_max=5.0, n_bins=50)
    assert time.monotonic() - start < 10
    assert rdf.coordination["Li", "Li"][-1] == 1.0
    assert rdf.coordination["Li", "S"][-1] == 0.0
