"""The neighbor list: equal to matscipy's, exact under its skin, linear in the number of atoms."""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from matscipy.neighbours import neighbour_list

from e3md._core import NeighborList
from e3md.neighbors import atoms_to_graph, neighbor_list

KINDS = ("ordinary", "skewed", "flat", "tiny", "huge")
N_CELLS = 1000


def random_case(seed: int) -> tuple[Atoms, float]:
    """Atoms in a random cell, some of them outside it, and a cutoff."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    n_atoms, length, cutoff = int(rng.integers(1, 25)), rng.uniform(4, 9), rng.uniform(1.5, 5)
    cell = length * (np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3)))
    if kind == "skewed":
        cell[2] += rng.uniform(-2, 2) * cell[0] + rng.uniform(-2, 2) * cell[1]
    elif kind == "flat":
        cell[rng.integers(3)] *= 0.12
        n_atoms = min(n_atoms, 6)
    elif kind == "tiny":
        cell *= 1.0 / length
        n_atoms = min(n_atoms, 2)
    elif kind == "huge":
        cell *= 30
    if seed % 7 == 0:
        cell[0] *= -1  # left-handed
    pbc = np.array([seed & 1, seed & 2, seed & 4], dtype=bool) if seed % 3 else np.ones(3, bool)
    fractions = rng.uniform(-1.5, 2.5, (n_atoms, 3)) if seed % 2 else rng.random((n_atoms, 3))
    if kind == "huge":  # a cluster across the corner, so that there are neighbors
        fractions = rng.integers(-2, 3, (n_atoms, 3)) + rng.normal(0, 3, (n_atoms, 3)) / 200
    return Atoms(f"H{n_atoms}", fractions @ cell, cell=cell, pbc=pbc), cutoff


def as_rows(i, j, shifts) -> list[tuple[int, ...]]:
    return sorted(map(tuple, np.column_stack([i, j, shifts]).tolist()))


def reference_rows(atoms: Atoms, cutoff: float) -> list[tuple[int, ...]]:
    return as_rows(*neighbour_list("ijS", atoms, cutoff=cutoff))


@pytest.mark.parametrize("block", range(10))
def test_equals_matscipy_on_random_cells(block: int) -> None:
    n_edges = 0
    for seed in range(block * N_CELLS // 10, (block + 1) * N_CELLS // 10):
        atoms, cutoff = random_case(seed)
        i, j, shifts, edge_vec = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
        assert as_rows(i, j, shifts) == reference_rows(atoms, cutoff), f"seed {seed}"
        expected = atoms.positions[j] + shifts @ atoms.cell.array - atoms.positions[i]
        np.testing.assert_allclose(edge_vec, expected, atol=1e-9)
        assert (np.diff(i) >= 0).all()
        n_edges += len(i)
    assert n_edges > 1000


@pytest.mark.parametrize("n_zero", [1, 2, 3])
def test_zero_cell_vectors_where_not_periodic(n_zero: int) -> None:
    rng = np.random.default_rng(n_zero)
    positions = rng.uniform(-6, 6, (30, 3))
    pbc = [d >= n_zero for d in range(3)]
    cell = np.diag([0.0 if d < n_zero else 4.0 + d for d in range(3)])
    i, j, shifts, _ = neighbor_list(positions, cell, pbc, 3.0)
    boxed = Atoms("H30", positions, cell=np.where(np.diag(pbc), cell, 100 * np.eye(3)), pbc=pbc)
    assert as_rows(i, j, shifts) == reference_rows(boxed, 3.0)
    assert not shifts[:, :n_zero].any()


def test_cutoff_is_strict() -> None:
    positions = np.array([[0.0, 0, 0], [2.0, 0, 0]])
    assert len(neighbor_list(positions, np.zeros((3, 3)), [False] * 3, 2.0)[0]) == 0
    assert len(neighbor_list(positions, np.zeros((3, 3)), [False] * 3, 2.0 + 1e-12)[0]) == 2


def test_no_atoms_and_one_atom() -> None:
    for n_atoms in (0, 1):
        found = neighbor_list(np.zeros((n_atoms, 3)), np.zeros((3, 3)), [False] * 3, 5.0)
        assert [len(array) for array in found] == [0, 0, 0, 0]


def test_atom_is_its_own_neighbor_in_a_small_cell() -> None:
    i, j, shifts, edge_vec = neighbor_list(np.zeros((1, 3)), np.eye(3), [True] * 3, 6.0)
    grid = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(grid, axis=1)
    assert len(i) == ((length > 0) & (length < 6)).sum()
    assert not i.any()
    assert not j.any()
    np.testing.assert_array_equal(edge_vec, shifts)


def test_outlier_costs_nothing() -> None:
    """An atom 1e6 Å away must not turn the list quadratic, nor ask for 1e17 bins."""
    rng = np.random.default_rng(0)
    positions = np.vstack([rng.random((20000, 3)) * 80, [[1e6, 1e6, 1e6]]])
    start = time.perf_counter()
    i, *_ = neighbor_list(positions, np.zeros((3, 3)), [False] * 3, 4.0)
    assert time.perf_counter() - start < 2.0
    assert i[-1] < 20000


@pytest.mark.parametrize("strained", [False, True], ids=["moves", "moves and strain"])
def test_list_with_skin_equals_a_fresh_one(strained: bool) -> None:
    rng = np.random.default_rng(5)
    atoms = bulk("Cu", cubic=True) * (3, 3, 3)
    atoms.rattle(0.1, seed=1)
    kept = NeighborList(4.0, 0.6)
    for step in range(150):
        atoms.positions += rng.normal(0, 0.02, atoms.positions.shape)
        if strained:
            strain = np.eye(3) + rng.normal(0, 2e-3, (3, 3))
            atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        if step % 10 == 9:  # a jump to another image is no change at all, but moves far
            atoms.positions[step % len(atoms)] += atoms.cell.array[step % 3]
        arguments = atoms.positions, atoms.cell.array, atoms.pbc
        for ours, fresh in zip(kept.edges(*arguments), neighbor_list(*arguments, 4.0), strict=True):
            np.testing.assert_allclose(ours, fresh, atol=1e-11)
    assert 1 < kept.n_rebuilds < 100


def test_rebuilds_only_when_it_must() -> None:
    positions, cell, pbc = np.array([[0.0, 0, 0], [3.0, 0, 0]]), 20 * np.eye(3), [True] * 3
    kept = NeighborList(4.0, 1.0)
    for shift, expected in [(0.0, 1), (0.49, 1), (-0.49, 1), (0.51, 2), (0.02, 2), (0.0, 3)]:
        kept.edges(positions + np.array([[shift, 0, 0], [0, 0, 0]]), cell, pbc)
        assert kept.n_rebuilds == expected
    kept.edges(positions * 1.01, cell * 1.01, pbc)  # strained along with the cell
    assert kept.n_rebuilds == 3
    kept.edges(positions, cell * 0.7, pbc)
    assert kept.n_rebuilds == 4
    kept.edges(positions, cell * 0.7, [True, True, False])
    assert kept.n_rebuilds == 5
    kept.edges(positions[:1], cell * 0.7, [True, True, False])
    assert kept.n_rebuilds == 6


CROWD = """
import resource
import numpy as np
from e3md.neighbors import neighbor_list

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB

positions = np.random.default_rng(0).random((1_000_000, 3))
before = peak()
try:
    neighbor_list(positions, np.eye(3), {pbc}, 5.0)
except ValueError as error:
    print(peak() - before, error)
"""


@pytest.mark.parametrize("pbc", [[True] * 3, [False] * 3])
def test_a_million_atoms_in_an_angstrom_cost_no_memory(pbc: list[bool]) -> None:
    """Their 10^12 pairs would; in a process of its own, whose peak is its own."""
    code = CROWD.format(pbc=pbc)
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    grown, error = run.stdout.split(" ", 1)
    assert "denser than any matter" in error
    assert int(grown) < 400_000


def test_what_is_dense_but_matter_has_neighbors() -> None:
    """1.9 atoms per Å³, more than hydrogen at 5 TPa, and 2.2, which nothing has."""
    for density, counted in ((1.9, True), (2.2, False)):
        cell = np.eye(3) * density ** (-1 / 3)
        if counted:
            assert len(neighbor_list(np.zeros((1, 3)), cell, [True] * 3, 10.0)[0]) > 7000
            continue
        with pytest.raises(ValueError, match="denser than any matter"):
            neighbor_list(np.zeros((1, 3)), cell, [True] * 3, 10.0)


def test_a_cutoff_beyond_reason_is_named_in_a_crystal() -> None:
    with pytest.raises(ValueError, match=r"for neighbors within 1000000.* check the cell"):
        neighbor_list(np.zeros((1, 3)), np.eye(3) * 4.0, [True] * 3, 1e6)
    pairs = neighbor_list([[0.0, 0, 0], [0, 0, 3]], np.zeros((3, 3)), [False] * 3, 1e6)[0]
    assert len(pairs) == 2  # a molecule has no more than it has


def test_linear_up_to_a_million_atoms() -> None:
    rng = np.random.default_rng(0)
    times = []
    for n_atoms in (50_000, 1_000_000):
        length = (n_atoms / 0.02) ** (1 / 3)
        positions, cell = rng.random((n_atoms, 3)) * length, length * np.eye(3)
        start = time.perf_counter()
        i, *_ = neighbor_list(positions, cell, [True] * 3, 4.0)
        times.append(time.perf_counter() - start)
        assert len(i) / n_atoms == pytest.approx(0.02 * 4 / 3 * np.pi * 4**3, rel=0.05)
    assert times[1] < 4 * 20 * times[0]  # caches make large systems somewhat slower per atom


@pytest.mark.parametrize(
    ("cell", "pbc", "message"),
    [
        (np.zeros((3, 3)), [True] * 3, "vector 0 is zero"),
        (np.diag([3.0, 0, 3]), [False, True, False], "vector 1 is zero"),
        (np.ones((3, 3)), [True] * 3, "volume is zero"),
        (np.array([[1.0, 0, 0], [2, 0, 0], [0, 0, 1]]), [True, True, False], "volume is zero"),
        (np.diag([1, 1, np.nan]), [True] * 3, "not finite"),
        (np.diag([1e-3, 1e-3, 1e-3]), [True] * 3, "so small or skewed"),
    ],
)
def test_bad_cells(cell: np.ndarray, pbc: list[bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neighbor_list(np.zeros((1, 3)), cell, pbc, 5.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_positions(bad: float) -> None:
    positions = np.zeros((4, 3))
    positions[2, 1] = bad
    with pytest.raises(ValueError, match=r"atom 2 .* not finite"):
        neighbor_list(positions, np.eye(3), [False] * 3, 5.0)


@pytest.mark.parametrize(("cutoff", "skin"), [(0.0, 0.1), (-1.0, 0.1), (np.nan, 0.1), (5.0, -0.1)])
def test_bad_lengths(cutoff: float, skin: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        NeighborList(cutoff, skin)


def test_atoms_to_graph() -> None:
    atoms = Atoms("LiSP", [[0, 0, 0], [1.5, 0, 0], [0, 1.5, 0]], cell=[3, 4, 5], pbc=True)
    graph = atoms_to_graph(atoms, ("Li", "P", "S"), 2.0, torch.float32)
    assert graph.types.tolist() == [0, 2, 1]
    assert graph.edge_index.dtype == torch.int64
    assert graph.edge_vec.dtype == torch.float32
    assert graph.edge_index.shape == (2, graph.edge_vec.shape[0])
    assert graph.frame.tolist() == [0, 0, 0]
    assert graph.volume.tolist() == [pytest.approx(60.0)]
    atoms.pbc = [True, True, False]
    slab = atoms_to_graph(atoms, ("Li", "P", "S"), 2.0, torch.float32)
    assert slab.volume.tolist() == [pytest.approx(60.0)]
    atoms.cell[2] = 0
    assert atoms_to_graph(atoms, ("Li", "P", "S"), 2.0, torch.float32).volume.isnan().all()
    with pytest.raises(ValueError, match="atom 2 is the element P, but the species are only Li S"):
        atoms_to_graph(atoms, ("Li", "S"), 2.0, torch.float32)
