"""LAMMPS text dumps (`dump custom`, `dump atom`) as trajectories."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from e3md.analysis.trajectory import FloatArray, Trajectory, check_frame_fs, unwrap

# Columns that hold a position: (names, unwrapped already, fractional)
_COORDINATES = (
    (("xu", "yu", "zu"), True, False),
    (("xsu", "ysu", "zsu"), True, True),
    (("x", "y", "z"), False, False),
    (("xs", "ys", "zs"), False, True),
)
_IMAGES = ("ix", "iy", "iz")
_TIME_PS = {"metal": 1.0, "real": 1e-3}  # unit styles whose length is Å; ps per time unit


@dataclass(frozen=True)
class _Frame:
    step: int
    time: float | None  # ps, if the dump says
    cell: FloatArray  # (3, 3) Å
    pbc: tuple[bool, bool, bool]
    ids: NDArray[np.int64]  # (n,) increasing
    labels: list[str]  # (n,) element column, or type column
    positions: FloatArray  # (n, 3) Å from the corner of the cell
    images: NDArray[np.int64] | None  # (n, 3); None: unknown
    unwrapped: bool


def is_dump(file: TextIO) -> bool:
    """True if the text begins as a LAMMPS dump does. Leaves the file at its beginning."""
    first = file.read(5)
    file.seek(0)
    return first == "ITEM:"


def read_dump(
    file: TextIO, path: Path, frame_fs: float | None, types: Sequence[str] | None
) -> Trajectory:
    """Read all frames; arguments and errors as in read_trajectory.

    Atoms are put in the order of their IDs and measured from the corner of the cell. A time step
    that comes twice, as where a restarted run appends to its dump, counts once (the later one).
    """
    by_step: dict[int, _Frame] = {}
    reader = _Reader(file, path, prefer_type=types is not None)
    while (frame := reader.next_frame()) is not None:
        by_step[frame.step] = frame
    frames = [by_step[step] for step in sorted(by_step)]
    if not frames:
        raise ValueError(f"{path}: no frames")
    first = frames[0]
    for frame in frames:
        if not np.array_equal(frame.ids, first.ids) or frame.labels != first.labels:
            raise ValueError(
                f"{path}: step {frame.step} has other atom IDs or elements than step {first.step}; "
                "dump the same group of atoms throughout"
            )
        if frame.pbc != first.pbc:
            raise ValueError(f"{path}: boundaries change at step {frame.step}")
    cells = np.array([frame.cell for frame in frames])
    positions = np.array([frame.positions for frame in frames])
    if not first.unwrapped:
        if first.images is None:
            positions = unwrap(positions, cells, first.pbc)
        else:
            positions += np.array([frame.images for frame in frames]) @ cells
    species = _species(first.labels, types, path)
    return Trajectory(species, positions, cells, first.pbc, _times(frames, frame_fs, path))


def _species(labels: list[str], types: Sequence[str] | None, path: Path) -> tuple[str, ...]:
    if types is not None and all(label.isdigit() for label in labels):
        largest = max(int(label) for label in labels)
        if largest > len(types):
            raise ValueError(f"{path}: atom type {largest}, but only {len(types)} elements given")
        labels = [types[int(label) - 1] for label in labels]
    unknown = sorted(set(labels) - set(chemical_symbols[1:]))
    if unknown:
        raise ValueError(
            f"{path}: {', '.join(unknown)} are not elements; write an element column "
            "(dump ... element ..., dump_modify ... element Li P S) or give the elements of the "
            "atom types (types)"
        )
    return tuple(labels)


def _times(frames: list[_Frame], frame_fs: float | None, path: Path) -> FloatArray:
    if frame_fs is not None:
        steps = np.array([frame.step for frame in frames], dtype=float)
        interval = np.median(np.diff(steps)) if len(steps) > 1 else 1.0
        return (steps - steps[0]) / interval * check_frame_fs(frame_fs) * 1e-3
    if len(frames) == 1 and frames[0].time is None:
        return np.zeros(1)
    times = []
    for frame in frames:
        if frame.time is None:
            raise ValueError(
                f"{path}: the dump does not say its times; write it with "
                "`dump_modify ID units yes time yes`, or give the time between frames, frame_fs"
            )
        times.append(frame.time)
    return np.array(times)


class _Reader:
    """Reads one frame after another from an open dump."""

    def __init__(self, file: TextIO, path: Path, prefer_type: bool) -> None:
        self._file = file
        self._path = path
        self._label_columns = ("type", "element") if prefer_type else ("element", "type")
        self._units: str | None = None  # LAMMPS writes it before the first frame only
        self._step: int | None = None

    def next_frame(self) -> _Frame | None:
        """The next frame, or None at the end of the file or before a frame cut short by it."""
        time: float | None = None
        n_atoms = -1
        low: FloatArray = np.zeros(3)
        cell: FloatArray = np.zeros((3, 3))
        pbc = (True, True, True)
        while line := self._file.readline():
            if line.startswith("ITEM: UNITS"):
                self._units = self._file.readline().strip()
                if self._units not in _TIME_PS:
                    raise ValueError(f"{self._path}: units {self._units}; metal and real are read")
            elif line.startswith("ITEM: TIMESTEP"):
                self._step = int(self._file.readline())
            elif line.startswith("ITEM: TIME"):
                time = float(self._file.readline())
            elif line.startswith("ITEM: NUMBER OF ATOMS"):
                n_atoms = int(self._file.readline())
            elif line.startswith("ITEM: BOX BOUNDS"):
                low, cell, pbc = self._box(line)
            elif line.startswith("ITEM: ATOMS"):
                rows = [self._file.readline() for _ in range(n_atoms)]
                if not rows or not rows[-1].endswith("\n"):
                    return None  # a killed run leaves its last frame unfinished
                if self._units is not None and time is not None:
                    time *= _TIME_PS[self._units]
                elif self._units is None:
                    time = None
                return self._atoms(line.split()[2:], rows, time, low, cell, pbc)
            else:
                raise self._error(f"unexpected line {line.strip()!r}")
        return None

    def _box(self, header: str) -> tuple[FloatArray, FloatArray, tuple[bool, bool, bool]]:
        words = header.split()[3:]
        if words[:2] == ["abc", "origin"]:  # general triclinic: three vectors, each with a corner
            rows = np.array([self._file.readline().split() for _ in range(3)], dtype=float)
            pbc = tuple(word.startswith("p") for word in words[2:5])
            return rows[:, 3], rows[:, :3], pbc  # type: ignore[return-value]
        rows = np.array([self._file.readline().split() for _ in range(3)], dtype=float)
        tilted = words[:3] == ["xy", "xz", "yz"]
        xy, xz, yz = rows[:, 2] if tilted else (0.0, 0.0, 0.0)
        low, high = rows[:, 0].copy(), rows[:, 1].copy()
        # bounds of a tilted box enclose it: docs.lammps.org/Howto_triclinic
        low[0] -= min(0.0, xy, xz, xy + xz)
        high[0] -= max(0.0, xy, xz, xy + xz)
        low[1] -= min(0.0, yz)
        high[1] -= max(0.0, yz)
        length = high - low
        cell = np.array([[length[0], 0, 0], [xy, length[1], 0], [xz, yz, length[2]]])
        pbc = tuple(word.startswith("p") for word in words[3 if tilted else 0 :][:3])
        return low, cell, pbc  # type: ignore[return-value]

    def _atoms(
        self,
        names: list[str],
        rows: list[str],
        time: float | None,
        low: FloatArray,
        cell: FloatArray,
        pbc: tuple[bool, bool, bool],
    ) -> _Frame:
        columns = dict(zip(names, zip(*map(str.split, rows), strict=True), strict=True))
        if "id" not in columns:
            raise self._error("no column `id`; atoms cannot be followed without it")
        label = self._label_column(columns)
        for keys, unwrapped, fractional in _COORDINATES:  # noqa: B007 (used below)
            if all(key in columns for key in keys):
                break
        else:
            raise self._error(f"no positions among the columns {' '.join(names)}; dump xu yu zu")
        ids = np.array(columns["id"], dtype=np.int64)
        order = np.argsort(ids)
        positions = np.array([columns[key] for key in keys], dtype=float).T[order]
        if fractional:
            positions = positions @ cell + low
        # the corner of a shrink-wrapped direction moves with the atoms and is no reference point
        positions = positions - np.where(pbc, low, 0.0)
        images = None
        if all(key in columns for key in _IMAGES):
            images = np.array([columns[key] for key in _IMAGES], dtype=np.int64).T[order]
        labels = [str(columns[label][index]) for index in order]
        assert self._step is not None
        return _Frame(self._step, time, cell, pbc, ids[order], labels, positions, images, unwrapped)

    def _label_column(self, columns: dict[str, tuple[str, ...]]) -> str:
        label = next((name for name in self._label_columns if name in columns), None)
        if label is None:
            raise self._error("no column `element` or `type`")
        several_types = len(set(columns.get("type", ""))) > 1
        if label == "element" and several_types and set(columns[label]) == {"C"}:
            raise self._error(  # what LAMMPS writes unless told better
                "all elements are C though there are several types; write the dump with "
                "`dump_modify ID element ...`, or give the elements of the atom types (types)"
            )
        return label

    def _error(self, what: str) -> ValueError:
        return ValueError(f"{self._path}: step {self._step}: {what}")
