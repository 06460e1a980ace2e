"""Diffusion coefficient from the Einstein relation, with an error bar."""

from dataclasses import dataclass

import numpy as np

from e3md.analysis.msd import drift_free_path, msd_per_atom
from e3md.analysis.periodic import FloatArray
from e3md.analysis.trajectory import Trajectory

CM2_PER_S = 1e-4  # of 1 Å²/ps

# Slope of log MSD against log τ that still counts as diffusive: 1 within this.
_SLOPE_TOLERANCE = 0.15


@dataclass(frozen=True)
class Diffusion:
    """Self-diffusion coefficient of one species."""

    species: str
    coefficient: float  # cm²/s
    error: float  # cm²/s, standard error (one sigma)
    window: tuple[float, float]  # ps, lags of the fit
    slope: float  # of log MSD against log lag in the window; 1 when diffusive
    blocks: FloatArray  # (n_blocks,) cm²/s, one value from each part of the trajectory
    warning: str | None  # why the value should not be trusted


def diffusion_coefficient(
    trajectory: Trajectory,
    species: str,
    window: tuple[float, float] | None = None,
    n_blocks: int = 5,
    remove_drift: bool = True,
) -> Diffusion:
    """D from MSD(τ) = 6 D τ + c, fitted by least squares over a window of lags.

    The error bar is the standard error of the values from n_blocks successive parts of the
    trajectory: it counts the correlation between atoms and between overlapping time origins,
    which the residuals of the fit do not.

    Args:
        trajectory: frames equally spaced in time.
        species: whose atoms to average over.
        window: first and last lag of the fit, ps; default 10 % to 50 % of a block.
        n_blocks: parts of the trajectory, at least 2.
        remove_drift: as in mean_square_displacement.

    Raises:
        ValueError: an unknown species, or a window with fewer than three lags in a block.
    """
    if n_blocks < 2:
        raise ValueError(f"an error bar needs at least 2 blocks, not {n_blocks}")
    interval = trajectory.frame_interval()
    indices = trajectory.atoms_of(species)
    path = drift_free_path(trajectory) if remove_drift else trajectory.displacements()
    path = path[:, indices]
    length = trajectory.n_frames // n_blocks
    lags = _window_lags(window, interval, length)
    msd = msd_per_atom(path).mean(axis=1)
    used = path[trajectory.n_frames - n_blocks * length :]
    blocks = np.array(
        [_fit(msd_per_atom(part).mean(axis=1), lags, interval) for part in np.split(used, n_blocks)]
    )
    slope = _log_slope(msd, lags)
    value = _fit(msd, lags, interval)
    return Diffusion(
        species=species,
        coefficient=value,
        error=float(blocks.std(ddof=1) / np.sqrt(n_blocks)),
        window=(float(lags[0] * interval), float(lags[-1] * interval)),
        slope=slope,
        blocks=blocks,
        warning=_warning(slope, value),
    )


def _window_lags(window: tuple[float, float] | None, interval: float, length: int) -> np.ndarray:
    """The lags of the fit, in frames; `length`: frames in a block."""
    if window is None:
        first, last = max(1, round(0.1 * (length - 1))), int(0.5 * (length - 1))
    else:
        first, last = max(1, round(window[0] / interval)), round(window[1] / interval)
    if last >= length:
        raise ValueError(
            f"the window ends at {last * interval:g} ps, but a block is only "
            f"{(length - 1) * interval:g} ps long; shorten the window or use fewer blocks"
        )
    if last - first < 2:
        raise ValueError(
            f"the window holds fewer than three lags (frames every {interval:g} ps, blocks of "
            f"{length} frames); a longer trajectory, more frames or fewer blocks are needed"
        )
    return np.arange(first, last + 1)


def _fit(msd: FloatArray, lags: np.ndarray, interval: float) -> float:
    """D in cm²/s from the slope of the MSD (Å²) over the lags (frames)."""
    return float(np.polyfit(lags * interval, msd[lags], 1)[0] / 6 * CM2_PER_S)


def _log_slope(msd: FloatArray, lags: np.ndarray) -> float:
    if (msd[lags] <= 0).any():
        return 0.0
    return float(np.polyfit(np.log(lags), np.log(msd[lags]), 1)[0])


def _warning(slope: float, value: float) -> str | None:
    if abs(slope - 1) > _SLOPE_TOLERANCE or value <= 0:
        kind = "sub" if slope < 1 else "super"
        return (
            f"not diffusive in this window: MSD grows as τ^{slope:.2f} ({kind}diffusive); "
            "a longer trajectory or a later window is needed"
        )
    return None
