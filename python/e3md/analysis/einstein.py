"""What the Einstein relation rests on: displacements of every atom and direction, as statistics.

Every Cartesian component is a walk of its own, with MSD(τ) = 2 D τ + c in one dimension.
"""

from dataclasses import dataclass

import numpy as np

from e3md.analysis.msd import msd_per_atom
from e3md.analysis.periodic import FloatArray
from e3md.analysis.statistics import half_width_of_mean

_MEMORY = 4_000_000  # numbers held at a time


@dataclass(frozen=True)
class Lags:
    """Lags of a fit."""

    frames: np.ndarray  # (n_lags,) successive integers
    interval: float  # ps between frames

    @property
    def window(self) -> tuple[float, float]:
        """First and last, ps."""
        return float(self.frames[0] * self.interval), float(self.frames[-1] * self.interval)

    def slope(self, msd: FloatArray) -> FloatArray:
        """Slope of the line through (n_lags, ...) Å² by least squares, Å²/ps."""
        centered = (self.frames - self.frames.mean()) * self.interval
        return np.tensordot(centered / (centered**2).sum(), msd, axes=1)

    def exponent(self, msd: FloatArray) -> float:
        """α of MSD ~ τ^α through (n_lags,) Å² by least squares; 0 where nothing moves."""
        if (msd <= 0).any():
            return 0.0
        return float(np.polyfit(np.log(self.frames), np.log(msd), 1)[0])


def slopes_and_msd(path: FloatArray, lags: Lags) -> tuple[FloatArray, FloatArray]:
    """D of each component by itself, and the mean square displacement of all.

    Args:
        path: (n_frames, n_atoms, 3) Å.
        lags: of the fit.

    Returns:
        (3 n_atoms,) Å²/ps and (n_lags,) Å².
    """
    n_frames, n_atoms, _ = path.shape
    n_parts = min(n_atoms, 1 + 3 * n_atoms * n_frames // _MEMORY)
    slopes, total = [], np.zeros(len(lags.frames))
    for part in np.array_split(path, n_parts, axis=1):
        msd = msd_per_atom(part.reshape(n_frames, -1, 1))[lags.frames]
        slopes.append(lags.slope(msd) / 2)
        total += msd.sum(axis=1)
    return np.concatenate(slopes), total / n_atoms


def growth_beyond(path: FloatArray, lags: Lags, msd: float) -> tuple[float, float] | None:
    """Exponent of the MSD from the end of the window to half of the run, and its 95 % half-width.

    Args:
        path: (n_frames, n_atoms, 3) Å.
        lags: of the fit.
        msd: at its last lag, Å².

    Returns:
        None where half of the run is hardly longer than the window, or nothing moves.

    The half-width is that of atoms independent of each other.
    """
    last, half = int(lags.frames[-1]), len(path) // 2
    if half < 1.5 * last or msd <= 0:
        return None
    squares = np.square(path[half:] - path[:-half]).mean(axis=0).ravel()
    mean = squares.mean()
    if mean <= 0:
        return None
    decades = np.log(half / last)
    error = half_width_of_mean(squares) / mean / decades
    return float(np.log(3 * mean / msd) / decades), float(error)
