"""Trajectories: the same atoms in frame after frame, and the way they have gone."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from e3md.analysis.periodic import FloatArray, lattices, path

# Largest relative spread of the time between frames that still counts as uniform.
_UNIFORM = 1e-6


@dataclass(frozen=True)
class Trajectory:
    """Frames of the same atoms in the same order.

    Positions are unwrapped: atom i of frame f is its copy inside the cell plus a whole number of
    that frame's lattice vectors, and does not jump when it crosses a boundary.
    """

    species: tuple[str, ...]  # (n_atoms,) chemical symbols
    positions: FloatArray  # (n_frames, n_atoms, 3) Å
    cells: FloatArray  # (n_frames, 3, 3) Å, rows are the lattice vectors
    pbc: tuple[bool, bool, bool]
    time: FloatArray  # (n_frames,) ps
    notes: tuple[str, ...] = ()  # what was found in the file that a user should know
    ids: NDArray[np.int64] | None = None  # (n_atoms,) of LAMMPS, increasing; None: unknown

    def __post_init__(self) -> None:
        n_frames, n_atoms = len(self.time), len(self.species)
        if n_frames == 0:
            raise ValueError("a trajectory needs at least one frame")
        if self.positions.shape != (n_frames, n_atoms, 3):
            raise ValueError(
                f"positions have shape {self.positions.shape}, expected {(n_frames, n_atoms, 3)} "
                "(frames, atoms, 3) from the lengths of time and species"
            )
        if self.cells.shape != (n_frames, 3, 3):
            raise ValueError(f"cells have shape {self.cells.shape}, expected {(n_frames, 3, 3)}")
        bad = ~np.isfinite(self.positions).all(axis=2)
        if bad.any():
            frame, atom = np.argwhere(bad)[0]
            raise ValueError(f"frame {frame}: the position of atom {atom} is not finite")

    @property
    def n_frames(self) -> int:
        return len(self.time)

    @property
    def n_atoms(self) -> int:
        return len(self.species)

    def select(self, start: int = 0, stop: int | None = None, step: int = 1) -> "Trajectory":
        """The frames start:stop:step, as in a Python slice."""
        part = slice(start, stop, step)
        return replace(
            self, positions=self.positions[part], cells=self.cells[part], time=self.time[part]
        )

    def atoms_of(self, species: str) -> NDArray[np.int64]:
        """Indices of the atoms of one species. Raises ValueError if there are none."""
        indices = np.flatnonzero(np.array(self.species) == species)
        if not len(indices):
            known = ", ".join(sorted(set(self.species)))
            raise ValueError(f"no {species} atoms in the trajectory, which has {known}")
        return indices

    def frame_interval(self) -> float:
        """Time between frames, ps.

        Raises:
            ValueError: fewer than two frames, or frames that are not equally spaced in time.
        """
        if self.n_frames < 2:
            raise ValueError("the trajectory has one frame; dynamics needs at least two")
        steps = np.diff(self.time)
        interval = float(np.median(steps))
        uneven = np.abs(steps - interval) > _UNIFORM * max(abs(interval), self.time[-1] * 1e-3)
        if interval <= 0 or uneven.any():
            frame = int(np.argmax(uneven)) + 1
            raise ValueError(
                f"frames are not equally spaced in time: frame {frame} comes "
                f"{steps[frame - 1]:g} ps after the one before, others {interval:g} ps; "
                "analyze the stages of a run one by one"
            )
        return interval

    def lattices(self) -> FloatArray:
        """(n_frames, 3, 3) Å: the cells, invertible whatever is periodic. See periodic.lattices."""
        return lattices(self.cells, self.pbc)

    def displacements(self) -> FloatArray:
        """(n_frames, n_atoms, 3) Å: the way each atom has gone since the first frame.

        Without the motion of the cell, see periodic.path.
        """
        return path(self.positions, self.cells, self.pbc)
