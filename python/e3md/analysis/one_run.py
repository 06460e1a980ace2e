"""Which frames of a file are one run: restarts that write frames again, second runs appended."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from e3md.analysis.frames import Frame
from e3md.analysis.periodic import path, unwrap
from e3md.analysis.trajectory import Trajectory

_SAMPLES = 40  # pairs of frames that show how far atoms usually go
_ROUNDING = 2e-3  # Å: positions that are the same but for the digits written
_JUMP = 5.0  # times the farthest other step: no dynamics does that to half of the atoms
_LEAP = 10.0  # times the median step of all atoms: vibrations and hops are shorter
_SPLIT = "write each run to a file of its own and analyze one at a time"


def one_run(frames: Sequence[Frame], name: str) -> tuple[list[Frame], list[str]]:
    """The frames without those that a restarted run has written again, and what was found.

    A run that is restarted goes back to a step whose positions agree with those of the same or the
    preceding step of the run before; the frames from there on are of the interrupted run and are
    left out. A second run in the file (reset_timestep, another job) goes back too, but goes on from
    the last frame, or from nowhere.

    Raises:
        ValueError: the frames belong to two runs.
    """
    if any(frame.step is None for frame in frames):
        return _without_repeats(frames)
    kept = [frames[0]]
    notes = []
    for number, frame in enumerate(frames[1:], 1):
        assert frame.step is not None
        steps = np.array([one.step for one in kept], dtype=float)
        back = int(np.searchsorted(steps, frame.step - 1e-9 * abs(frame.step)))
        if back < len(kept):
            joint = _Joint(kept, back, _rising(frames[number:]))
            if not joint.is_restart():
                what = "steps" if frame.unit == "step" else "times"
                raise ValueError(
                    f"{name}: {what} begin again at {frame.step:g} in {frame.label}: two runs in "
                    f"one file (its positions do not continue those before that {frame.unit}); "
                    f"{_SPLIT}"
                )
            notes.append(joint.note())
            del kept[back:]
        kept.append(frame)
    return kept, notes


def _rising(frames: Sequence[Frame]) -> Sequence[Frame]:
    """The first frames, up to where steps go back."""
    steps = np.array([frame.step for frame in frames], dtype=float)
    falls = np.flatnonzero(np.diff(steps) <= 0)
    return frames[: falls[0] + 1] if len(falls) else frames


@dataclass
class _Joint:
    """Where steps go back."""

    before: list[Frame]
    back: int  # of `before`: the first frame whose step the new ones have reached or passed
    after: Sequence[Frame]  # the new ones

    def is_restart(self) -> bool:
        """Whether the new frames continue those before `back`."""
        same = min(self._same, self._previous)
        exact = max(0.1 * self._usual[0], _ROUNDING)
        if self._same <= exact:
            return True
        if self._last <= exact or self.before[0].step >= self.after[0].step:  # type: ignore[operator]
            return False
        # In a solid atoms are never far from anywhere they have been: the nearest frame decides, and
        # doubt where hardly anything is kept of the run before, as a reset to 0 leaves it.
        ratio = 0.6 if self.back <= 1 else 1.2
        return same <= 2 * self._usual[1] and same <= ratio * self._last

    def note(self) -> str:
        first, last = self.after[0], self.after[-1]
        replaced = self.before[self.back :]
        if len(replaced) == 1 and self._same <= _ROUNDING:
            return f"{first.when} is there twice: {first.label} is taken, {replaced[0].label} not"
        return (
            f"a restarted run goes back to {first.when} in {first.label} and reaches {last.when}; "
            f"the {len(replaced)} frames of the interrupted run from {replaced[0].when} to "
            f"{replaced[-1].when} are left out"
        )

    @cached_property
    def _same(self) -> float:
        old, new = self.before[self.back], self.after[0]
        return _moved(old, new) if np.isclose(old.step, new.step, rtol=1e-9) else np.inf  # type: ignore[arg-type]

    @cached_property
    def _previous(self) -> float:
        return _moved(self.before[self.back - 1], self.after[0]) if self.back else np.inf

    @cached_property
    def _last(self) -> float:
        return _moved(self.before[-1], self.after[0])

    @cached_property
    def _usual(self) -> tuple[float, float]:
        """Å: median and largest way from one frame to the next, of a sample."""
        ways = [
            _moved(frames[k], frames[k + 1])
            for frames in (self.before, self.after)
            for k in np.unique(np.linspace(0, len(frames) - 2, _SAMPLES).astype(int))
            if len(frames) > 1
        ]
        return (float(np.median(ways)), max(ways)) if ways else (0.0, 0.0)


def _moved(a: Frame, b: Frame) -> float:
    """Å: root mean square of the ways to the nearest images, apart from the strain of the cell."""
    _, in_a, in_b = np.intersect1d(a.ids, b.ids, assume_unique=True, return_indices=True)
    if not len(in_a) or a.pbc != b.pbc:
        return np.inf
    positions = np.stack([a.positions[in_a], b.positions[in_b]])
    cells = np.stack([a.cell, b.cell])
    way = path(unwrap(positions, cells, a.pbc), cells, a.pbc)[1]
    return float(np.sqrt((way**2).sum(axis=1).mean()))


def _without_repeats(frames: Sequence[Frame]) -> tuple[list[Frame], list[str]]:
    """The same where nothing counts the frames: a restart writes the frame again that it starts at.

    Nothing is left out of a file in which many frames are the same: its atoms stand still.
    """
    keys = [np.round(frame.positions, 6).tobytes() for frame in frames]
    if len(set(keys)) < 0.7 * len(keys):
        return list(frames), []
    kept: dict[bytes, Frame] = {}
    notes = []
    for key, frame in zip(keys, frames, strict=True):
        if key in kept:
            order = list(kept)
            back = order.index(key)
            replaced = order[back:]
            notes.append(
                f"{frame.label} repeats {kept[key].label}, as a restarted run does: the frames "
                f"from there on ({len(replaced)}) are left out"
            )
            for old in replaced:
                del kept[old]
        kept[key] = frame
    return list(kept.values()), notes


def check_jumps(trajectory: Trajectory, frames: Sequence[Frame], name: str) -> None:
    """Raises ValueError if half of the atoms jump once, as they never do elsewhere: two runs."""
    if trajectory.n_atoms < 8 or trajectory.n_frames < 8:
        return
    steps = np.diff(trajectory.displacements(), axis=0)
    ways = np.median(np.linalg.norm(steps, axis=2), axis=1)
    jump = int(ways.argmax())
    others = np.delete(ways, jump).max()
    even = np.diff(trajectory.time)
    if ways[jump] > max(_JUMP * others, 1.0) and even[jump] < 1.5 * np.median(even):
        raise ValueError(
            f"{name}: atoms jump by {ways[jump]:.1f} Å (the median) from {frames[jump].label} to "
            f"{frames[jump + 1].label}, and by at most {others:.2g} Å elsewhere: two runs in one "
            f"file, or frames are missing; {_SPLIT}"
        )


def wrapped_without_cell(trajectory: Trajectory, frames: Sequence[Frame]) -> list[str]:
    """A note if single atoms leap in a file that is not periodic, as wrapped ones do at a boundary."""
    if any(trajectory.pbc) or trajectory.n_frames < 3:
        return []
    ways = np.linalg.norm(np.diff(trajectory.positions, axis=0), axis=2)
    frame, atom = np.unravel_index(ways.argmax(), ways.shape)
    if ways.max() < max(_LEAP * float(np.median(ways)), 3.0):
        return []
    return [
        f"atom {frames[0].ids[atom]} leaps by {ways.max():.1f} Å from {frames[frame].label} to "
        f"{frames[frame + 1].label}, and the file is not periodic: if atoms were wrapped into a cell, "
        "MSD and D are wrong; write a file with cell and pbc (LAMMPS: dump custom or extxyz)"
    ]
