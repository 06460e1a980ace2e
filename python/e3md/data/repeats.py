"""One structure given several times, and how far its labels disagree."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from e3md.data.problems import shorten
from e3md.data.read import Frame

_NEAR = 1e-3  # Å, coordinates and cell vectors of structures that count as one
_STIFF = 200.0  # eV/Å² by which a force may change over that way
_EXACT = 1e-8  # Å


def repeated_structures(frames: Sequence[Frame]) -> list[str]:
    """A line for each frame that repeats another one, or nearly does and contradicts it.

    The cell counts: a volume scan repeats the positions of a small cell. Structures that differ by
    a small step, as at the end of a relaxation, are named only if no such step explains their labels.
    """
    groups: dict[bytes, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[frame.atoms.numbers.tobytes() + frame.atoms.pbc.tobytes()].append(frame)
    order = {frame.label: k for k, frame in enumerate(frames)}
    lines: dict[str, str] = {}
    for own in groups.values():
        for first, second, way in _near_pairs(own):
            a, b = sorted((first, second), key=lambda f: order[f.label])
            line = _compare(a, b, way)
            if line:
                lines.setdefault(b.label, line)
    return shorten([lines[label] for label in sorted(lines, key=order.__getitem__)])


def _near_pairs(frames: Sequence[Frame]) -> Iterator[tuple[Frame, Frame, float]]:
    """Pairs whose coordinates differ by less than _NEAR, and by how much.

    Along one random direction the difference is at most the length of the whole: only neighbors in
    the order along it need be looked at.
    """
    points = np.array([_coordinates(frame) for frame in frames])
    direction = np.random.default_rng(0).normal(size=points.shape[1])
    along = points @ (direction / np.linalg.norm(direction))
    order = np.argsort(along, kind="stable")
    reach = _NEAR * points.shape[1] ** 0.5
    for at, k in enumerate(order):
        for other in order[at + 1 : at + 1 + _within(along, order, at, reach)]:
            way = float(np.abs(points[k] - points[other]).max())
            if way < _NEAR:
                yield frames[k], frames[other], way
                if way < _EXACT:
                    break  # the next one compares with that


def _within(along: NDArray[np.float64], order: NDArray[np.int64], at: int, reach: float) -> int:
    end = np.searchsorted(along, along[order[at]] + reach, side="right", sorter=order)
    return int(end) - at - 1


def _coordinates(frame: Frame) -> NDArray[np.float64]:
    return np.concatenate([frame.atoms.positions.ravel(), frame.atoms.cell.array.ravel()])


def _compare(first: Frame, second: Frame, way: float) -> str:
    """What to say of a pair; nothing where a small step may explain what differs."""
    energy = abs(first.energy - second.energy)
    forces = float(np.nan_to_num(np.abs(first.forces - second.forces)).max())
    both = first.stress is not None and second.stress is not None
    stress = float(np.abs(first.stress - second.stress).max()) if both else 0.0  # type: ignore[operator]
    largest = max(float(np.nan_to_num(np.abs(f.forces)).max()) for f in (first, second))
    path = way * 3 * len(first.atoms)
    unlike = energy > path * (largest + _STIFF * way) + 1e-4 or forces > _STIFF * way + 1e-3
    unlike = unlike or stress > 10.0 * way + 1e-4
    same = "the same structure as" if way < _EXACT else f"within {way:.1e} Å of"
    if unlike:
        return (
            f"{second.label}: {same} {first.label}, but with labels {1e3 * np.nan_to_num(energy):.3g} "
            f"meV, {forces:.3g} eV/Å, {stress:.3g} eV/Å³ apart: of different settings?"
        )
    return f"{second.label}: {same} {first.label}" if way < _EXACT else ""
