"""Frames of one or several files, put together to a trajectory of one run."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms

from e3md.analysis.frames import Frame
from e3md.analysis.one_run import check_jumps, one_run, wrapped_without_cell
from e3md.analysis.periodic import FloatArray, changes_of_basis, lattices, unwrap
from e3md.analysis.trajectory import Trajectory
from e3md.data.geometry import room

MAX_NAMED = 10  # atoms in a message
_UNCERTAIN = 0.4  # of a cell vector, by which an atom steps
_RARE = 1e-3  # of all steps
_LARGEST = 1e9  # Å, of a position
_DENSEST = 2.0  # atoms per Å³; hydrogen at 10 TPa
_FLAT = 1e-12  # volume over the product of the edges that counts as none


def assemble(
    frames: Sequence[Frame], name: str, frame_fs: float | None, notes: Sequence[str] = ()
) -> Trajectory:
    """The trajectory of the run that the frames belong to.

    Args:
        frames: in the order of the file, or of the files of one run.
        name: of the file, for messages.
        frame_fs: as in read_trajectory.
        notes: what was found in reading.

    Raises:
        ValueError: frames of two runs, of different atoms, or of positions and cells that no run has.
    """
    if not frames:
        raise ValueError(f"{name}: no frames{f' ({notes[0]})' if notes else ''}")
    _check_positions(frames, name)
    frames, found = one_run(frames, name)
    _check_same_atoms(frames, name)
    _check_cells(frames, name)
    first = frames[0]
    cells = np.array([frame.cell for frame in frames])
    positions = np.array([frame.positions for frame in frames])
    if not all(frame.unwrapped for frame in frames):
        positions = unwrap(positions, cells, first.pbc)
        found = [*found, *_uncertain_images(positions, cells, frames)]
    times, said = _times(frames, name, frame_fs)
    trajectory = Trajectory(
        first.symbols,
        positions,
        cells,
        first.pbc,
        times,
        (*notes, *found, *_flips(frames), *said),
        first.ids,
    )
    check_jumps(trajectory, frames, name)
    notes = (*trajectory.notes, *wrapped_without_cell(trajectory, frames))
    return replace(trajectory, notes=notes)


def _uncertain_images(
    positions: FloatArray, cells: FloatArray, frames: Sequence[Frame]
) -> list[str]:
    """A note where atoms move so far between frames that the nearest image may be another one."""
    pbc = np.asarray(frames[0].pbc)
    if not pbc.any() or len(frames) < 2:
        return []
    steps = np.diff(positions, axis=0) @ np.linalg.inv(lattices(cells, frames[0].pbc)[:-1])
    far = np.abs(steps[:, :, pbc]).max(axis=2) > _UNCERTAIN
    if far.mean() < _RARE:
        return []
    frame = int(far.any(axis=1).argmax())
    return [
        f"atoms move by nearly half a cell between frames ({100 * far.mean():.2g} % of all steps, "
        f"first from {frames[frame].label} on): which image is theirs is a guess, and MSD and D "
        "are too small; write frames more often, or unwrapped (xu yu zu, or ix iy iz)"
    ]


def _check_positions(frames: Sequence[Frame], name: str) -> None:
    for frame in frames:
        bad = ~(np.abs(frame.positions) <= _LARGEST).all(axis=1)
        if bad.any():
            row = int(bad.argmax())
            x, y, z = frame.positions[row]
            raise ValueError(
                f"{name}: {frame.label}: atom {frame.ids[row]} lies at {x:.3g} {y:.3g} {z:.3g} Å: "
                "the run has blown up, or the file is damaged; analyze the frames before it"
            )


def _check_cells(frames: Sequence[Frame], name: str) -> None:
    """Cells with a volume, and room in them for the atoms: the pairs of a crowd fill any memory."""
    pbc = frames[0].pbc
    cells = lattices(np.array([frame.cell for frame in frames]), pbc)
    volumes = np.abs(np.linalg.det(cells))
    flat = ~(volumes > _FLAT * np.linalg.norm(cells, axis=2).prod(axis=1))
    if flat.any():
        label = frames[int(flat.argmax())].label
        raise ValueError(f"{name}: {label}: the cell is periodic, but its volume is zero")
    smallest = frames[int(volumes.argmin())]
    n_atoms = len(smallest.ids)
    free = room(Atoms(positions=smallest.positions, cell=smallest.cell, pbc=pbc))
    if n_atoms > _DENSEST * free:
        raise ValueError(
            f"{name}: {smallest.label}: {n_atoms} atoms in {free:.3g} Å³ are denser than any "
            "matter: the cell or the unit of its lengths is wrong"
        )


def _check_same_atoms(frames: Sequence[Frame], name: str) -> None:
    first = frames[0]
    for frame in frames:
        if frame.pbc != first.pbc:
            raise ValueError(
                f"{name}: {frame.label} has pbc {_letters(frame.pbc)}, "
                f"{first.label} {_letters(first.pbc)}"
            )
        if not np.array_equal(frame.ids, first.ids):
            raise ValueError(f"{name}: {frame.label} {_other_ids(frame, first)}")
        if frame.symbols != first.symbols:
            atom = int(np.argmax(np.array(frame.symbols) != np.array(first.symbols)))
            raise ValueError(
                f"{name}: {frame.label} has other atoms than {first.label}, or another order: atom "
                f"{first.ids[atom]} is {frame.symbols[atom]}, was {first.symbols[atom]}"
            )


def _letters(pbc: Sequence[bool]) -> str:
    return "".join("FT"[int(p)] for p in pbc)


def _other_ids(frame: Frame, first: Frame) -> str:
    missing = np.setdiff1d(first.ids, frame.ids)
    new = np.setdiff1d(frame.ids, first.ids)
    found = [
        f"{verb} {len(atoms)} atoms ({', '.join(map(str, atoms[:MAX_NAMED]))}"
        f"{', ...' if len(atoms) > MAX_NAMED else ''})"
        for verb, atoms in (("lacks", missing), ("adds", new))
        if len(atoms)
    ]
    return (
        f"{' and '.join(found)} compared with {first.label}: atoms were lost or inserted, or the "
        "group that is written changes. Analyze the frames before it, or write the same atoms "
        "throughout"
    )


def _flips(frames: Sequence[Frame]) -> list[str]:
    if not any(frames[0].pbc):
        return []
    flips = changes_of_basis(np.array([frame.cell for frame in frames]), frames[0].pbc)
    if not len(flips):
        return []
    return [
        f"the cell takes another basis of the same lattice {len(flips)} times (box flips), first "
        f"at {frames[flips[0]].label}; displacements are free of it"
    ]


def _times(
    frames: Sequence[Frame], name: str, frame_fs: float | None
) -> tuple[FloatArray, list[str]]:
    """(n_frames,) ps, and what to say of them."""
    recorded = None
    if all(frame.time is not None for frame in frames):
        recorded = np.array([frame.time for frame in frames], dtype=float)
    if frame_fs is None:
        if recorded is None and len(frames) > 1:
            raise ValueError(f"{name}: {_NO_TIME[frames[0].unit == 'step']}")
        return (np.zeros(1) if recorded is None else recorded), []
    counts = np.array([np.nan if frame.step is None else frame.step for frame in frames])
    if np.isnan(counts).any():
        counts = np.arange(len(frames), dtype=float)
    interval = np.median(np.diff(counts)) if len(frames) > 1 else 1.0
    times = (counts - counts[0]) / interval * check_frame_fs(frame_fs) * 1e-3
    if recorded is None or np.allclose(recorded - recorded[0], times, rtol=1e-3):
        return times, []
    own = float(np.median(np.diff(recorded))) * 1e3
    return times, [f"the file records {own:g} fs between frames, frame_fs = {frame_fs:g} is used"]


_NO_TIME = {
    True: "the dump does not say its times; write it with `dump_modify ID units yes time yes`, or "
    "give the time between frames, frame_fs (--frame-fs)",
    False: 'frames carry no time (info["time_ps"]); give the time between frames, frame_fs '
    "(--frame-fs)",
}


def check_frame_fs(frame_fs: float) -> float:
    """frame_fs itself. Raises ValueError unless it is positive and finite."""
    if not (np.isfinite(frame_fs) and frame_fs > 0):
        raise ValueError(f"frame_fs, the time between frames, must be positive, not {frame_fs}")
    return frame_fs
