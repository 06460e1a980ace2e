"""Atoms and cells followed from frame to frame: boundaries crossed, cells that change their basis.

A lattice has many bases. LAMMPS takes another one when a tilted box is about to skew too much (a
box flip: xy jumps by lx), and programs that reduce cells do so too. Differences of fractional
coordinates have a meaning in one basis only, so each frame is brought to that of the frame before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from ase.geometry import complete_cell, minkowski_reduce
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]  # float64 throughout

# A basis is reduced anew when a vector is shorter by this factor after adding another one. Not 1,
# lest a cell at the brink changes back and forth.
_SKEWED = 0.9
# Strain from one frame to the next from which on the lattices alone may not tell a shear from a
# change of basis: they are the same at 0.5.
_AMBIGUOUS = 0.25


def lattices(cells: FloatArray, pbc: Sequence[bool]) -> FloatArray:
    """(n_frames, 3, 3) Å: the cells with non-periodic directions made constant and invertible.

    A non-periodic "lattice vector" carries no physics (LAMMPS shrink-wraps it, ASE leaves it
    zero), so the one completed from the first frame stands in for all.
    """
    result = cells.copy()
    open_directions = ~np.asarray(pbc, dtype=bool)
    if open_directions.any():
        first = cells[0].copy()
        first[open_directions] = 0.0
        result[:, open_directions] = complete_cell(first)[open_directions]
    return result


def unwrap(positions: FloatArray, cells: FloatArray, pbc: Sequence[bool]) -> FloatArray:
    """Follow atoms through periodic boundaries.

    Args:
        positions: (n_frames, n_atoms, 3) Å, any image.
        cells: (n_frames, 3, 3) Å.
        pbc: (3,) periodic directions.

    Returns:
        (n_frames, n_atoms, 3) Å: each atom takes, in each frame, the image nearest to where it was
        in the frame before. Right as long as no atom moves half a cell between two frames.
    """
    if not any(pbc):
        return positions
    result = positions.copy()
    before, after = basis_pairs(positions, lattices(cells, pbc), pbc, wrapped=True)
    for frame, (basis, following) in enumerate(zip(before, after, strict=True)):
        here = result[frame] @ np.linalg.inv(basis)
        there = positions[frame + 1] @ np.linalg.inv(following)
        result[frame + 1] = (there - _whole(there - here, pbc)) @ following
    return result


def path(positions: FloatArray, cells: FloatArray, pbc: Sequence[bool]) -> FloatArray:
    """The way each atom has gone since the first frame.

    The sum over frames of Δs·(H + H')/2, with H, H' the cells of two successive frames in the same
    basis and s the fractional coordinates: the integral of the atoms' own velocity without the
    motion of the cell. At constant cell it is positions - positions[0]. At constant pressure the
    plain difference grows wrong with the distance gone, since the box fluctuation is multiplied by
    the number of cells crossed (von Bülow, Bullerjahn, Hummer, J. Chem. Phys. 153, 021101).

    Args:
        positions: (n_frames, n_atoms, 3) Å, unwrapped.
        cells: (n_frames, 3, 3) Å.
        pbc: (3,) periodic directions.

    Returns:
        (n_frames, n_atoms, 3) Å.
    """
    if not any(pbc) or (cells == cells[0]).all():
        return positions - positions[0]
    before, after = basis_pairs(positions, lattices(cells, pbc), pbc)
    start = positions[:-1] @ np.linalg.inv(before)
    steps = positions[1:] @ np.linalg.inv(after) - start
    gone = np.cumsum(steps @ (0.5 * (before + after)), axis=0)
    return np.concatenate([np.zeros_like(gone[:1]), gone])


def basis_pairs(
    positions: FloatArray, lattices: FloatArray, pbc: Sequence[bool], wrapped: bool = False
) -> tuple[FloatArray, FloatArray]:
    """One basis for each two frames that follow each other.

    Args:
        positions: (n_frames, n_atoms, 3) Å.
        lattices: (n_frames, 3, 3) Å, invertible (see lattices()).
        pbc: (3,) periodic directions.
        wrapped: atoms may be any image.

    Returns:
        (n_frames - 1, 3, 3) Å twice: of the first frame of each pair a reduced basis, of the second
        the one that this becomes.
    """
    basis, change = _reduced(lattices[0], np.eye(3), pbc)
    before, after = np.broadcast_to(basis, (2, len(lattices) - 1, 3, 3)).copy()
    if (lattices == lattices[0]).all():
        return before, after
    for frame, lattice in enumerate(lattices[1:]):
        step = _Step(basis, positions[frame], positions[frame + 1], pbc, wrapped)
        before[frame] = basis
        after[frame] = following = step.matching(change @ lattice)
        change = np.rint(following @ np.linalg.inv(lattice))
        basis, change = _reduced(following, change, pbc)
    return before, after


def changes_of_basis(lattices: FloatArray, pbc: Sequence[bool]) -> NDArray[np.int64]:
    """Frames whose lattice vectors are not those of the frame before, strained, but sums of them.

    Only where the lattices show it beyond doubt.
    """
    ratio = lattices[1:] @ np.linalg.inv(lattices[:-1])
    change = np.where(np.outer(pbc, pbc), np.rint(ratio), np.eye(3))
    clear = np.abs(ratio - change)[:, np.outer(pbc, pbc)].max(axis=1, initial=0.0) < _AMBIGUOUS
    other = (change != np.eye(3)).any(axis=(1, 2))
    return np.flatnonzero(clear & other & (np.abs(np.linalg.det(change)).round() == 1)) + 1


@dataclass(frozen=True)
class _Step:
    """From one frame to the next."""

    basis: FloatArray  # (3, 3) Å, of the first
    start: FloatArray  # (n_atoms, 3) Å
    end: FloatArray  # (n_atoms, 3) Å
    pbc: Sequence[bool]
    wrapped: bool

    def matching(self, lattice: FloatArray) -> FloatArray:
        """(3, 3) Å: the basis of the second frame's lattice that is the first one's, strained.

        The nearest one. Where a large shear leaves several about as near, that with which the atoms
        go the shortest way.
        """
        periodic = np.outer(self.pbc, self.pbc)
        size = abs(np.linalg.det(lattice) / np.linalg.det(self.basis)) ** (1 / sum(self.pbc))
        ratio = lattice @ np.linalg.inv(self.basis)
        change = np.where(periodic, np.rint(ratio / size), np.eye(3))
        if round(abs(np.linalg.det(change))) != 1:
            return lattice  # a strain beyond recognition
        nearest = np.linalg.solve(change, lattice)
        strain = nearest @ np.linalg.inv(self.basis) / size - np.eye(3)
        doubtful = np.argwhere(periodic & ~np.eye(3, dtype=bool) & (np.abs(strain) > _AMBIGUOUS))
        candidates = [nearest]
        for chosen in product((0.0, 1.0), repeat=len(doubtful)):
            shift = np.eye(3)
            for take, (row, column) in zip(chosen, doubtful, strict=True):
                shift[row, column] = -take * np.sign(strain[row, column])
            if any(chosen) and round(abs(np.linalg.det(shift))) == 1:
                candidates.append(shift @ nearest)
        return min(candidates, key=self._distance) if len(candidates) > 1 else nearest

    def _distance(self, following: FloatArray) -> float:
        """Å: how far atoms go, apart from the strain; the median."""
        step = self.end @ np.linalg.inv(following) - self.start @ np.linalg.inv(self.basis)
        if self.wrapped:
            step = step - _whole(step, self.pbc)
        return float(np.median(np.linalg.norm(step @ self.basis, axis=1)))


def _whole(fractional: FloatArray, pbc: Sequence[bool]) -> FloatArray:
    return np.rint(fractional) * np.asarray(pbc, dtype=float)


def _reduced(
    basis: FloatArray, change: FloatArray, pbc: Sequence[bool]
) -> tuple[FloatArray, FloatArray]:
    """The basis with its shortest vectors if it is skewed, and `change` by the same integers."""
    vectors = basis[np.asarray(pbc, dtype=bool)]
    squares = (vectors**2).sum(axis=1)
    overlaps = np.abs(vectors @ vectors.T) - np.diag(squares)
    # adding one vector to another, with the better sign, makes the latter this much shorter
    shorter = squares[:, None] + squares[None, :] - 2 * overlaps
    longest = np.maximum(squares[:, None], squares[None, :])
    if (shorter >= _SKEWED**2 * longest)[~np.eye(len(vectors), dtype=bool)].all():
        return basis, change
    operation = minkowski_reduce(basis, pbc)[1]
    return operation @ basis, operation @ change
