"""Diffusion coefficient from the Einstein relation, with an interval, or why there is none."""

from dataclasses import dataclass

import numpy as np

from e3md.analysis.drift import share_of_center
from e3md.analysis.einstein import Lags, growth_beyond, slopes_and_msd
from e3md.analysis.msd import drift_free_path
from e3md.analysis.periodic import FloatArray
from e3md.analysis.statistics import half_width_of_mean, half_widths_of_blocks
from e3md.analysis.trajectory import Trajectory

CM2_PER_S = 1e-4  # of 1 Å²/ps

# Exponents of MSD ~ τ^α that count as diffusive: 1 within this, and known to twice of it.
_TOLERANCE = 0.15
# Beyond the window, on top of the half-width: it must go on.
_TOLERANCE_BEYOND = 0.1
# Fewer are no statistics; fewer per atom may be the way from free flight to the wall of a cage,
# where the MSD passes through τ^1 too.
_MIN_HOPS, _MIN_HOPS_PER_ATOM = 20.0, 1.5
_LONGEST_HOP = 3.0  # Å
_MIN_LAGS = 3


@dataclass(frozen=True)
class Diffusion:
    """Self-diffusion coefficient of one species, or why there is none."""

    species: str
    coefficient: float | None  # cm²/s
    half_width: float | None  # cm²/s, of the 95 % interval
    reason: str | None  # stands in the place of the coefficient, "not diffusive (τ^1.75)"
    window: tuple[float, float] | None  # ps, lags of the fit; None: the run is too short for any
    exponent: float | None  # α of MSD ~ τ^α in the window
    exponent_half_width: float | None  # of its 95 % interval
    n_blocks: int  # independent parts of the run behind the intervals
    n_hops: float | None  # of one mean atomic spacing each, behind a coefficient; None: unknown
    blocks: FloatArray  # (n_blocks,) cm²/s, one value from each part

    @property
    def text(self) -> str:
        """The value with its interval and unit, or the reason why there is none."""
        if self.coefficient is None or self.half_width is None:
            return str(self.reason)
        power = int(np.floor(np.log10(self.coefficient)))
        value, half = self.coefficient / 10.0**power, self.half_width / 10.0**power
        digits = max(1, 1 - int(np.floor(np.log10(half)))) if half > 0 else 2
        return f"({value:.{digits}f} ± {half:.{digits}f})e{power:+03d} cm²/s"


def diffusion_coefficient(
    trajectory: Trajectory,
    species: str,
    window: tuple[float, float] | None = None,
    n_blocks: int = 5,
    remove_drift: bool = True,
) -> Diffusion:
    """D from MSD(τ) = 6 D τ + c, fitted by least squares over a window of lags.

    The interval comes from the spread over n_blocks successive parts of the trajectory, which
    counts the correlation between atoms and between overlapping time origins; the residuals of the
    fit do not. There is no coefficient where the MSD does not grow as τ, or where the run is too
    short to tell.

    Args:
        trajectory: frames equally spaced in time.
        species: whose atoms to average over.
        window: first and last lag of the fit, ps; default 10 % to 50 % of a block.
        n_blocks: parts of the trajectory, at least 2.
        remove_drift: as in mean_square_displacement.

    Raises:
        ValueError: an unknown species, or a given window with fewer than three lags in a block.
    """
    if n_blocks < 2:
        raise ValueError(f"an interval needs at least 2 blocks, not {n_blocks}")
    interval = trajectory.frame_interval()
    indices = trajectory.atoms_of(species)
    lags = _lags(window, interval, trajectory.n_frames // n_blocks)
    if lags is None:
        reason = f"too short ({trajectory.n_frames} frames)"
        return Diffusion(species, None, None, reason, None, None, None, 0, None, np.zeros(0))
    path = drift_free_path(trajectory) if remove_drift else trajectory.displacements()
    found = _measure(path[:, indices], lags, n_blocks)
    if remove_drift:
        found.half_width += found.value * share_of_center(trajectory)
    n_hops = _hops(trajectory, found.value, len(indices))
    none = _reason(found, n_hops, len(indices))
    return Diffusion(
        species=species,
        coefficient=None if none else found.value * CM2_PER_S,
        half_width=None if none else found.half_width * CM2_PER_S,
        reason=none,
        window=lags.window,
        exponent=found.exponent,
        exponent_half_width=found.exponent_half_width,
        n_blocks=n_blocks,
        n_hops=None if none else n_hops,
        blocks=found.blocks * CM2_PER_S,
    )


def _lags(window: tuple[float, float] | None, interval: float, length: int) -> Lags | None:
    """The lags of the fit; None if a block of `length` frames has too few for a window."""
    if window is None:
        first, last = max(1, round(0.1 * (length - 1))), int(0.5 * (length - 1))
        enough = last - first + 1 >= _MIN_LAGS
        return Lags(np.arange(first, last + 1), interval) if enough else None
    first, last = max(1, round(window[0] / interval)), round(window[1] / interval)
    if last >= length:
        raise ValueError(
            f"the window ends at {last * interval:g} ps, but a block is only "
            f"{(length - 1) * interval:g} ps long; shorten the window or use fewer blocks"
        )
    if last - first + 1 < _MIN_LAGS:
        raise ValueError(
            f"the window holds fewer than three lags (frames every {interval:g} ps, blocks of "
            f"{length} frames); a longer trajectory, more frames or fewer blocks are needed"
        )
    return Lags(np.arange(first, last + 1), interval)


@dataclass
class _Measured:
    """Fits of the whole run and of its blocks; Å²/ps."""

    value: float
    half_width: float
    blocks: FloatArray
    exponent: float
    exponent_half_width: float
    beyond: tuple[float, float] | None  # exponent after the window and its half-width


def _measure(path: FloatArray, lags: Lags, n_blocks: int) -> _Measured:
    length = len(path) // n_blocks
    parts = np.split(path[len(path) - n_blocks * length :], n_blocks)
    slopes, msds = zip(*(slopes_and_msd(part, lags) for part in parts), strict=True)
    of_blocks = np.array(slopes)
    whole, msd = slopes_and_msd(path, lags)
    together, alone = half_widths_of_blocks(of_blocks)
    beyond = growth_beyond(path, lags, float(msd[-1]))
    if beyond and alone > 0:  # its half-width is that of independent atoms
        beyond = beyond[0], beyond[1] * max(1.0, together / alone)
    return _Measured(
        value=float(whole.mean()),
        half_width=max(together, alone),
        blocks=of_blocks.mean(axis=1),
        exponent=lags.exponent(msd),
        exponent_half_width=float(half_width_of_mean(np.array([lags.exponent(m) for m in msds]))),
        beyond=beyond,
    )


def _hops(trajectory: Trajectory, value: float, n_atoms: int) -> float | None:
    """N·6DT/a², a being the mean spacing of all atoms: about one hop, at most _LONGEST_HOP.

    The count that the error of D follows (He, Zhu, Epstein, Mo, npj Comput. Mater. 4, 18 (2018)).
    """
    if not all(trajectory.pbc):
        return None
    volume = float(np.abs(np.linalg.det(trajectory.cells)).mean())
    spacing = min((volume / trajectory.n_atoms) ** (1 / 3), _LONGEST_HOP)
    length = float(trajectory.time[-1] - trajectory.time[0])
    return max(0.0, n_atoms * 6 * value * length / spacing**2)


def _reason(found: _Measured, n_hops: float | None, n_atoms: int) -> str | None:
    """Why there is no coefficient; None if there is one."""
    if found.value == 0 and found.half_width == 0:
        return "nothing moves"
    exponent, known = found.exponent, found.exponent_half_width
    off = abs(exponent - 1)
    if off > _TOLERANCE + known:
        return f"not diffusive (τ^{exponent:.2f})"
    if off > _TOLERANCE or known > 2 * _TOLERANCE:
        return f"too short (τ^{exponent:.2f} ± {known:.2f})"
    if found.beyond and abs(found.beyond[0] - 1) > _TOLERANCE_BEYOND + found.beyond[1]:
        return f"not diffusive (τ^{found.beyond[0]:.2f} after the window)"
    if n_hops is not None and n_hops < max(_MIN_HOPS, _MIN_HOPS_PER_ATOM * n_atoms):
        return f"too short ({n_hops:.0f} hops of {n_atoms} atoms)"
    if found.half_width >= found.value:
        return "too short (the interval of D holds zero)"
    return None
