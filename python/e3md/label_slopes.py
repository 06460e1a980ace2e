"""Offset and slope of labels against predictions: other units, signs and references show in them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from e3md.accuracy.errors import Compared
from e3md.data.units import (
    ENERGIES,
    FORCES,
    STRESSES,
    Unit,
    common_question,
    nearest,
    question,
    with_signs,
)

_LIKE = 1.5  # factor that an ordinary model may be off
_KNOWN = (1.1, 0.8)  # from a known unit's factor, with this correlation
_SURE = 0.95  # correlation that tells any other factor
_FEWEST = 4  # energies of one composition, less their mean, that tell a slope
_RATIO = 1.02  # from a unit's factor, of whole energies, where there are too few differences
_OFFSET = 0.1  # eV per atom between references that a model is not to blame for
_APART = 0.2  # of the offset, by which energies may scatter about it

_Values = NDArray[np.float64]


class Slope(NamedTuple):
    """Labels over predictions."""

    value: float
    correlation: float
    n_frames: int

    def units(self, known: Sequence[Unit]) -> list[Unit]:
        """That it may be due to."""
        within, correlation = _KNOWN
        return nearest(self.value, known, within) if abs(self.correlation) > correlation else []

    def is_odd(self, known: Sequence[Unit]) -> bool:
        """Whether no model of these labels has it."""
        ordinary = 1 / _LIKE < self.value < _LIKE
        return not ordinary and (bool(self.units(known)) or abs(self.correlation) > _SURE)


def label_remarks(frames: Sequence[Compared]) -> list[str]:
    """A line for each fault of the labels, with the number of frames."""
    energies, forces = _energy_slope(frames), _forces_slope(frames)
    lines = []
    signed = with_signs(FORCES, "gradients, of the other sign")
    both = _common_question(energies, forces)
    if both and energies and forces:
        lines.append(
            f"energies and forces: slopes {energies.value:.4g} and {forces.value:.4g} of labels "
            f"against predictions ({forces.n_frames} frames): {both}"
        )
    else:
        lines += _line("energies", energies, ENERGIES) + _line("forces", forces, signed)
    if not energies or not energies.is_odd(ENERGIES):
        lines += _offset(frames)
    flipped = with_signs(STRESSES, "of the other sign (VASP's)")
    return lines + _line("stress", _stress_slope(frames), flipped)


def _line(name: str, slope: Slope | None, known: Sequence[Unit]) -> list[str]:
    if slope is None or not slope.is_odd(known):
        return []
    return [
        f"{name}: slope {slope.value:.4g} of labels against predictions ({slope.n_frames} frames, "
        f"correlation {slope.correlation:.3f}): {question(slope.units(known))}"
    ]


def _common_question(energies: Slope | None, forces: Slope | None) -> str:
    """Of units that energies and forces share; "" if there are none."""
    if not energies or not forces or not energies.is_odd(ENERGIES) or not forces.is_odd(FORCES):
        return ""
    return common_question(energies.units(ENERGIES), forces.units(FORCES))


def _through_zero(predicted: _Values, label: _Values, n_frames: int) -> Slope | None:
    """None where nothing varies."""
    squares = float(predicted @ predicted), float(label @ label)
    if min(squares) < 1e-12 * max(1, len(label)) or len(label) < 3:
        return None
    product = float(predicted @ label)
    return Slope(product / squares[0], product / (squares[0] * squares[1]) ** 0.5, n_frames)


def _forces_slope(frames: Sequence[Compared]) -> Slope | None:
    known = [f for f in frames if np.isfinite(f.forces[1]).any()]
    if not known:
        return None
    predicted, label = (np.concatenate([f.forces[k].ravel() for f in known]) for k in (0, 1))
    has = np.isfinite(label)
    return _through_zero(predicted[has], label[has], len(known))


def _stress_slope(frames: Sequence[Compared]) -> Slope | None:
    pairs = [f.stress for f in frames if f.stress is not None]
    if not pairs:
        return None
    predicted, label = (np.concatenate([p[k].ravel() for p in pairs]) for k in (0, 1))
    return _through_zero(predicted, label, len(pairs))


def _energy_slope(frames: Sequence[Compared]) -> Slope | None:
    """Of differences within one composition; of whole energies where these are too few to tell."""
    groups: dict[tuple, list[tuple[float, float]]] = defaultdict(list)
    for frame in frames:
        if np.isfinite(frame.energy[1]):
            groups[tuple(sorted(Counter(frame.symbols).items()))].append(frame.energy)
    if not groups:
        return None
    pairs = np.concatenate([np.array(own) - np.mean(own, axis=0) for own in groups.values()])
    whole = np.concatenate([np.array(own) for own in groups.values()])
    if len(whole) - len(groups) >= _FEWEST:
        return _through_zero(pairs[:, 0], pairs[:, 1], len(whole))
    ratios = whole[:, 1] / np.where(whole[:, 0] == 0, np.nan, whole[:, 0])
    middle = float(np.nanmedian(ratios)) if np.isfinite(ratios).any() else 1.0
    near = nearest(middle, ENERGIES, _RATIO) and np.allclose(ratios, middle, rtol=_RATIO - 1)
    return Slope(middle, 1.0, len(whole)) if near else None


def _offset(frames: Sequence[Compared]) -> list[str]:
    """Energies that agree but for a constant of each element: another reference."""
    known = [f for f in frames if np.isfinite(f.energy[1])]
    if len(known) < 2:
        return []
    species = sorted({s for f in known for s in f.symbols})
    shares = np.array([[f.symbols.count(s) / len(f.symbols) for s in species] for f in known])
    beyond = np.array([(f.energy[1] - f.energy[0]) / len(f.symbols) for f in known])
    constants, _, rank, _ = np.linalg.lstsq(shares, beyond, rcond=1e-6)
    if len(known) <= rank:
        return []
    rms, left = (float(np.sqrt(np.mean(x**2))) for x in (beyond, beyond - shares @ constants))
    if rms < _OFFSET or left > _APART * rms:
        return []
    by_element = "  ".join(f"{s} {c:+.3f}" for s, c in zip(species, constants, strict=True))
    each = f" (by element: {by_element})" if rank == len(species) > 1 else ""
    return [
        f"energies: labels are {np.mean(beyond):+.4g} eV per atom from predictions{each} in "
        f"{len(known)} frames, and agree to {1000 * left:.3g} meV per atom besides: another "
        "reference energy, functional or pseudopotential? Forces and differences can be compared"
    ]
