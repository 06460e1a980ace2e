"""One trajectory type for LAMMPS dumps, ASE .traj and extended XYZ files."""

import gzip
import io
import lzma
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell
from ase.io import read
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]  # float64 throughout

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
        """(n_frames, 3, 3) Å: the cells with non-periodic directions made constant and invertible.

        A non-periodic "lattice vector" carries no physics (LAMMPS shrink-wraps it, ASE leaves it
        zero), so the one completed from the first frame stands in for all.
        """
        return _lattices(self.cells, self.pbc)

    def displacements(self) -> FloatArray:
        """(n_frames, n_atoms, 3) Å: the way each atom has gone since the first frame.

        The sum over frames of Δs·(H + H')/2, with s the fractional coordinates and H, H' the cells
        of two successive frames: the integral of the atoms' own velocity without the motion of the
        cell. At constant cell it is positions - positions[0]. At constant pressure the plain
        difference grows wrong with the distance gone, since the box fluctuation is multiplied by
        the number of cells crossed (von Bülow, Bullerjahn, Hummer, J. Chem. Phys. 153, 021101).
        """
        if not any(self.pbc) or np.array_equal(
            self.cells, np.broadcast_to(self.cells[0], self.cells.shape)
        ):
            return self.positions - self.positions[0]
        lattices = self.lattices()
        steps = np.diff(self.positions @ np.linalg.inv(lattices), axis=0)
        path = np.cumsum(steps @ (0.5 * (lattices[1:] + lattices[:-1])), axis=0)
        return np.concatenate([np.zeros_like(path[:1]), path])


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
    lattices = _lattices(cells, pbc)
    fractional = positions @ np.linalg.inv(lattices)
    jumps = np.rint(np.diff(fractional, axis=0)) * np.asarray(pbc, dtype=float)
    fractional[1:] -= np.cumsum(jumps, axis=0)
    return fractional @ lattices


def _lattices(cells: FloatArray, pbc: Sequence[bool]) -> FloatArray:
    lattices = cells.copy()
    open_directions = ~np.asarray(pbc, dtype=bool)
    if open_directions.any():
        first = cells[0].copy()
        first[open_directions] = 0.0
        lattices[:, open_directions] = complete_cell(first)[open_directions]
    return lattices


def read_trajectory(
    path: str | Path, frame_fs: float | None = None, types: Sequence[str] | None = None
) -> Trajectory:
    """Read a LAMMPS text dump, an ASE .traj or an extended XYZ file (.gz and .xz too).

    Args:
        path: the file. Anything that ASE's readers know is tried if it is not a LAMMPS dump.
        frame_fs: time between frames, fs. Needed where the file does not say: LAMMPS dumps without
            `dump_modify ... time yes`, ASE files whose frames lack `info["time_ps"]`.
        types: elements of LAMMPS atom types 1, 2, ... Needed for dumps without an element column.

    Raises:
        ValueError: naming the file, and the frame or column at fault.
        FileNotFoundError: if there is no such file.
    """
    from e3md.analysis.lammps_dump import is_dump, read_dump

    path = Path(path)
    with _open(path) as file:
        if is_dump(file):
            return read_dump(file, path, frame_fs, types)
    return from_atoms(_read_ase(path), str(path), frame_fs)


def from_atoms(frames: Sequence[Atoms], name: str, frame_fs: float | None = None) -> Trajectory:
    """A trajectory of ASE Atoms; `name` stands for it in messages. See read_trajectory."""
    if not frames:
        raise ValueError(f"{name}: no frames")
    symbols = frames[0].get_chemical_symbols()
    for number, atoms in enumerate(frames):
        if atoms.get_chemical_symbols() != symbols:
            raise ValueError(
                f"{name}: frame {number} has other atoms than frame 0, or another order"
            )
        if (atoms.pbc != frames[0].pbc).any():
            raise ValueError(f"{name}: frame {number} has pbc {atoms.pbc}, frame 0 {frames[0].pbc}")
    cells = np.array([atoms.cell.array for atoms in frames])
    pbc = tuple(bool(p) for p in frames[0].pbc)
    positions = unwrap(np.array([atoms.positions for atoms in frames]), cells, pbc)
    return Trajectory(tuple(symbols), positions, cells, pbc, _times(frames, name, frame_fs))  # type: ignore[arg-type]


def _times(frames: Sequence[Atoms], name: str, frame_fs: float | None) -> FloatArray:
    if frame_fs is not None:
        return np.arange(len(frames)) * check_frame_fs(frame_fs) * 1e-3
    if all("time_ps" in atoms.info for atoms in frames):
        return np.array([float(atoms.info["time_ps"]) for atoms in frames])
    if len(frames) == 1:
        return np.zeros(1)
    raise ValueError(
        f'{name}: frames carry no time (info["time_ps"]); give the time between frames, frame_fs'
    )


def check_frame_fs(frame_fs: float) -> float:
    """frame_fs itself. Raises ValueError unless it is positive and finite."""
    if not (np.isfinite(frame_fs) and frame_fs > 0):
        raise ValueError(f"frame_fs, the time between frames, must be positive, not {frame_fs}")
    return frame_fs


def _open(path: Path) -> TextIO:
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    return opener(path, "rt", encoding="utf-8", errors="replace")  # type: ignore[operator]


def _read_ase(path: Path) -> list[Atoms]:
    try:
        if path.suffix in (".gz", ".xz"):  # ASE would decompress anew for each frame
            with _open(path) as file:
                frames = read(io.StringIO(file.read()), ":", format="extxyz")
        else:
            frames = read(path, ":")
    except Exception as error:
        raise ValueError(f"{path}: not a LAMMPS dump, and ASE cannot read it: {error}") from error
    return [frames] if isinstance(frames, Atoms) else frames
