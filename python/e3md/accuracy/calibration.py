"""Whether the deviation of a committee tells its error."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.stats import rankdata

from e3md.accuracy.errors import Compared
from e3md.quantities import FORCES

_BINS, _PER_BIN = 12, 20  # bins at most; entries in a bin at least, where there are so many


class CalibrationBin(BaseModel):
    """Entries of similar deviation."""

    n: int
    deviation: float  # root mean square
    error: float  # root mean square


class Calibration(BaseModel):
    """Error of a committee's mean against the deviation of its members."""

    ratio: float | None  # RMS error / RMS deviation: 1 if the deviation can be taken at its word
    rank_correlation: float | None  # Spearman's, of deviation and error; None if not defined
    bins: list[CalibrationBin]  # by increasing deviation, as many entries in each


class Deviations(BaseModel):
    """Calibration of the two things a committee has deviations of; None of what has no label."""

    forces: Calibration | None  # per atom: norm over x, y, z, eV/Å
    energy_per_atom: Calibration | None  # per frame, eV


def calibrate(deviation: NDArray[np.float64], error: NDArray[np.float64]) -> Calibration:
    """deviation, error: (n,) in the same unit, not negative.

    Raises:
        ValueError: if there are no entries.
    """
    if len(deviation) == 0:
        raise ValueError("no deviations to compare with errors")
    order = np.argsort(deviation, kind="stable")
    parts = np.array_split(order, np.clip(len(order) // _PER_BIN, 1, _BINS))
    bins = [
        CalibrationBin(n=len(p), deviation=_rms(deviation[p]), error=_rms(error[p])) for p in parts
    ]
    whole = _rms(deviation)
    return Calibration(
        ratio=_rms(error) / whole if whole > 0 else None,
        rank_correlation=_spearman(deviation, error),
        bins=bins,
    )


def collect_deviations(frames: Sequence[Compared]) -> Deviations:
    """Calibration over all frames, which must be a committee's.

    Raises:
        ValueError: if there are no frames.
    """
    if not frames:
        raise ValueError("no frames to compare")
    return Deviations(
        forces=_known(*force_pairs(frames)), energy_per_atom=_known(*energy_pairs(frames))
    )


def _known(deviation: NDArray[np.float64], error: NDArray[np.float64]) -> Calibration | None:
    return calibrate(deviation, error) if len(deviation) else None


def force_pairs(frames: Sequence[Compared]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deviation and error of the force on every labelled atom, (n,) eV/Å."""
    deviations = [f.deviation[1] for f in frames if f.deviation]
    errors = [f.forces[0] - f.forces[1] for f in frames]
    return _labelled(_norms(deviations), _norms(errors))


def energy_pairs(frames: Sequence[Compared]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deviation and error of the energy per atom of every labelled frame, (n,) eV."""
    deviations = [f.deviation[0] / len(f.symbols) for f in frames if f.deviation]
    errors = [abs(f.energy[0] - f.energy[1]) / len(f.symbols) for f in frames]
    return _labelled(np.array(deviations), np.array(errors))


def _labelled(
    deviations: NDArray[np.float64], errors: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    known = np.isfinite(errors)
    return deviations[known], errors[known]


def calibration_table(found: Deviations) -> str:
    """The bins of the forces as Markdown, and what they say."""
    lines = []
    if found.forces:
        head = f"| atoms | RMS deviation, {FORCES.milli} | RMS error, {FORCES.milli} |"
        lines += [head, "| ---: | ---: | ---: |"]
        lines += [
            f"| {b.n} | {1e3 * b.deviation:.2f} | {1e3 * b.error:.2f} |" for b in found.forces.bins
        ]
    words = [
        f"{name}: RMS error / RMS deviation {_number(c.ratio)}, rank correlation "
        f"{_number(c.rank_correlation)}"
        for name, c in (("Forces", found.forces), ("Energy", found.energy_per_atom))
        if c
    ]
    return "\n".join(lines) + "\n\n" + ". ".join(words) + ".\n"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _norms(vectors: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.linalg.norm(np.concatenate(vectors), axis=1)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
