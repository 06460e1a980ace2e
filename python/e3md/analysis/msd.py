"""Mean square displacement with multiple time origins."""

from dataclasses import dataclass

import numpy as np

from e3md.analysis.drift import center_of_mass
from e3md.analysis.periodic import FloatArray
from e3md.analysis.statistics import half_width_of_mean
from e3md.analysis.trajectory import Trajectory

_BLOCKS = 5


@dataclass(frozen=True)
class MeanSquareDisplacement:
    """MSD averaged over atoms and over all time origins."""

    lag: FloatArray  # (n_frames,) ps, from 0
    total: FloatArray  # (n_frames,) Å², all atoms
    by_species: dict[str, FloatArray]  # (n_frames,) Å² each
    half_width: dict[str, FloatArray]  # (n_frames,) Å², of the 95 % interval; NaN: unknown


def mean_square_displacement(
    trajectory: Trajectory, remove_drift: bool = True
) -> MeanSquareDisplacement:
    """MSD(τ) = ⟨|r_i(t+τ) - r_i(t)|²⟩ over atoms i and all origins t, per species.

    Args:
        trajectory: frames equally spaced in time. Displacements are free of the cell's own motion
            (Trajectory.displacements), so constant-pressure runs are treated right.
        remove_drift: measure from the center of mass of all atoms, which thermostats that act on
            single atoms (Langevin) set in motion. Turn off where a frozen part anchors the system.

    Raises:
        ValueError: fewer than two frames, or frames that are not equally spaced.
    """
    interval = trajectory.frame_interval()
    path = drift_free_path(trajectory) if remove_drift else trajectory.displacements()
    per_atom = msd_per_atom(path)
    by_species = {
        name: per_atom[:, trajectory.atoms_of(name)].mean(axis=1)
        for name in sorted(set(trajectory.species))
    }
    half_width = {name: _spread(path[:, trajectory.atoms_of(name)]) for name in by_species}
    lag = np.arange(trajectory.n_frames) * interval
    return MeanSquareDisplacement(lag, per_atom.mean(axis=1), by_species, half_width)


def _spread(path: FloatArray) -> FloatArray:
    """(n_frames,) Å²: half of the 95 % interval of the MSD, by its spread over atoms and blocks.

    Blocks show what moves atoms together, and end at a fifth of the run; by how much their spread
    is above that of the atoms there is carried on to the longer lags.
    """
    n_atoms, length = path.shape[1], len(path) // _BLOCKS
    atoms = half_width_of_mean(msd_per_atom(path).T) if n_atoms > 1 else np.full(len(path), np.nan)
    if length < 3:
        return atoms
    parts = np.split(path[len(path) - _BLOCKS * length :], _BLOCKS)
    blocks = half_width_of_mean(np.array([msd_per_atom(part).mean(axis=1) for part in parts]))
    lags = slice(1, max(2, length // 2))  # the lags of few origins are noise
    if n_atoms == 1:
        return np.concatenate([blocks[: lags.stop], atoms[lags.stop :]])
    ratio = np.sqrt(np.square(blocks[lags]).mean() / max(np.square(atoms[lags]).mean(), 1e-300))
    return atoms * max(1.0, float(ratio))


def drift_free_path(trajectory: Trajectory) -> FloatArray:
    """(n_frames, n_atoms, 3) Å: displacements relative to the center of mass of all atoms."""
    path = trajectory.displacements()
    center = center_of_mass(trajectory, path)
    return path - center[:, None, :]


def msd_per_atom(path: FloatArray) -> FloatArray:
    """MSD of each atom over all time origins, in O(n_frames log n_frames) by FFT.

    |r(t+τ) - r(t)|² = r²(t+τ) + r²(t) - 2 r(t+τ)·r(t); the sums of the squares follow by
    recursion and the product is an autocorrelation (Calandrini et al., Collection SFN 12, 201
    (2011)).

    Args:
        path: (n_frames, n_atoms, 3) Å.

    Returns:
        (n_frames, n_atoms) Å²; row τ averages over n_frames - τ origins.
    """
    n_frames, n_atoms, _ = path.shape
    origins = np.arange(n_frames, 0, -1)[:, None]
    result = np.empty((n_frames, n_atoms))
    block = max(1, 4_000_000 // (6 * n_frames))  # atoms at a time, to bound the memory
    for start in range(0, n_atoms, block):
        # centering keeps the difference of large sums accurate
        part = path[:, start : start + block] - path[:, start : start + block].mean(axis=0)
        spectrum = np.fft.rfft(part, n=2 * n_frames, axis=0)
        products = np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:n_frames].sum(axis=2)
        squares = np.einsum("fnx,fnx->fn", part, part)
        head = np.cumsum(squares, axis=0)
        # Σ_t r²(t) + r²(t+τ): twice everything less the τ first and the τ last frames
        outer = np.zeros_like(head)
        outer[1:] = head[:-1] + np.cumsum(squares[::-1], axis=0)[:-1]
        result[:, start : start + block] = (2 * head[-1] - outer - 2 * products) / origins
    result[0] = 0.0
    return np.maximum(result, 0.0)
