"""Trajectories from files: LAMMPS dumps, ASE .traj, extended XYZ."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from ase import Atoms

from e3md.analysis.assembly import assemble
from e3md.analysis.frames import Frame
from e3md.analysis.lammps_dump import is_dump, read_dump
from e3md.analysis.trajectory import Trajectory
from e3md.data.formats import read_any
from e3md.data.packed import OPENERS

# `Time=` of LAMMPS' dump extxyz has the unit of a unit style that the file does not name. The time
# step tells them apart: that of dynamics is between 0.01 and 20 fs. Unit, ps, range of time steps.
_TIME_UNITS = (("ps", 1.0, (1e-5, 0.02)), ("fs", 1e-3, (0.03, 20.0)))
# Binary dumps begin with the length and the letters of DUMPATOM or DUMPCUSTOM
_BINARY = re.compile(rb".{8}DUMP(ATOM|CUSTOM)", re.DOTALL)


def read_trajectory(
    paths: str | Path | Sequence[str | Path],
    frame_fs: float | None = None,
    types: Sequence[str] | None = None,
) -> Trajectory:
    """Read a LAMMPS text dump, an ASE .traj or an extended XYZ file (.gz, .xz and .bz2 too).

    Frames that a restarted run has written again are left out; `notes` of the trajectory say so.

    Args:
        paths: the file, or the files of one run in their order. Anything that ASE's readers know is
            tried if it is not a LAMMPS dump.
        frame_fs: time between frames, fs. Needed where the file does not say: LAMMPS dumps without
            `dump_modify ... time yes`, ASE files whose frames lack `info["time_ps"]`.
        types: elements of LAMMPS atom types 1, 2, ... Needed for dumps without an element column.

    Raises:
        ValueError: naming the file, and the frame or column at fault; two runs in one file.
        FileNotFoundError: if there is no such file.
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    frames: list[Frame] = []
    notes: list[str] = []
    for path in files:
        found, said = _read_frames(path, f" of {path.name}" if len(files) > 1 else "", types)
        frames += found
        notes += said
    return assemble(frames, ", ".join(map(str, files)), frame_fs, notes)


def from_atoms(frames: Sequence[Atoms], name: str, frame_fs: float | None = None) -> Trajectory:
    """A trajectory of ASE Atoms; `name` stands for it in messages. See read_trajectory."""
    found, notes = _ase_frames(frames)
    return assemble(found, name, frame_fs, notes)


def _read_frames(
    path: Path, where: str, types: Sequence[str] | None
) -> tuple[list[Frame], list[str]]:
    """All frames of a file and what was found; `where`: what their labels add to the number."""
    with path.open("rb") as binary:
        if _BINARY.match(binary.read(18)) or path.suffix == ".bin":
            raise ValueError(
                f"{path}: a binary LAMMPS dump, whose columns have no names; write a text dump "
                "(a file name without .bin), or convert it with LAMMPS' binary2txt"
            )
    with _open(path) as file:
        if is_dump(file):
            return read_dump(file, path, where, types)
    notes: list[str] = []
    frames, found = _ase_frames(_read_ase(path, notes), where)
    return frames, [*notes, *found]


def _open(path: Path) -> TextIO:
    opener = OPENERS.get(path.suffix, open)
    return opener(path, "rt", encoding="utf-8", errors="replace")


def _read_ase(path: Path, notes: list[str]) -> list[Atoms]:
    return [atoms for _, atoms in read_any(path, labels=False, remarks=notes)]


def _ase_frames(frames: Sequence[Atoms], where: str = "") -> tuple[list[Frame], list[str]]:
    clock, notes = _clock(frames)
    return [
        Frame(
            f"frame {number}{where}",
            *clock[number],
            atoms.cell.array,
            tuple(bool(p) for p in atoms.pbc),  # type: ignore[arg-type]
            np.arange(len(atoms)),
            tuple(atoms.get_chemical_symbols()),
            atoms.positions,
            unwrapped=False,
        )
        for number, atoms in enumerate(frames)
    ], notes


def _clock(
    frames: Sequence[Atoms],
) -> tuple[list[tuple[float | None, str, float | None]], list[str]]:
    """Of each frame what counts it, the unit of that and the time in ps; and what to say of it."""
    if all("time_ps" in atoms.info for atoms in frames):
        times = [float(atoms.info["time_ps"]) for atoms in frames]
        return [(time, "ps", time) for time in times], []
    if not all({"Timestep", "Time"} <= atoms.info.keys() for atoms in frames):
        return [(None, "", None) for _ in frames], []
    steps = [float(atoms.info["Timestep"]) for atoms in frames]  # LAMMPS' dump extxyz
    values = [float(atoms.info["Time"]) for atoms in frames]
    timestep = _timestep(steps, values)
    for unit, ps, (low, high) in _TIME_UNITS:
        if low <= timestep <= high:
            note = f"`Time=` is taken in {unit}, which makes the time step {timestep:g} {unit}"
            return [(s, "step", ps * t) for s, t in zip(steps, values, strict=True)], [note]
    return [(step, "step", None) for step in steps], []


def _timestep(steps: Sequence[float], times: Sequence[float]) -> float:
    """Time per step, in the unit of the times; 0 if there is one frame."""
    counts = np.diff(steps)
    return (
        float(np.median(np.diff(times)[counts > 0] / counts[counts > 0]))
        if any(counts > 0)
        else 0.0
    )
