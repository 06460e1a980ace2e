"""Radial distribution functions."""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from e3md.analysis.periodic import FloatArray
from e3md.analysis.trajectory import Trajectory
from e3md.neighbors import neighbor_list


@dataclass(frozen=True)
class RadialDistribution:
    """g(r) averaged over frames, on the centers of equal bins."""

    r: FloatArray  # (n_bins,) Å
    total: FloatArray  # (n_bins,) all atoms alike
    partial: dict[tuple[str, str], FloatArray]  # (n_bins,) each; one order of each pair
    coordination: dict[tuple[str, str], FloatArray]  # (a, b): mean number of b within r of an a
    n_frames: int

    def first_minimum(self, a: str, b: str) -> float | None:
        """Å: where g_ab is lowest between its first peak and the next, the edge of the first shell.

        None if there is no peak, or g_ab never falls under half of the peak after it.
        """
        g = self.partial[(a, b) if (a, b) in self.partial else (b, a)]
        smooth = np.convolve(g, np.ones(3) / 3, mode="same")
        above = np.flatnonzero(smooth > max(1.0, 0.3 * smooth.max(initial=0.0)))
        if not len(above):
            return None
        gaps = np.flatnonzero(np.diff(above) > 1)
        peak_end = above[gaps[0]] if len(gaps) else above[-1]
        peak = above[0] + int(np.argmax(smooth[above[0] : peak_end + 1]))
        rise = np.flatnonzero(smooth[peak_end + 1 :] > 0.5 * smooth[peak])
        end = peak_end + 1 + (rise[0] if len(rise) else len(g) - peak_end - 1)
        if end <= peak_end + 1 or smooth[peak_end + 1 : end].min() > 0.5 * smooth[peak]:
            return None
        valley = smooth[peak_end + 1 : end]
        lowest = np.flatnonzero(valley <= valley.min() + 1e-12)
        return float(self.r[peak_end + 1 + lowest[0]])


def radial_distribution(
    trajectory: Trajectory, r_max: float = 8.0, n_bins: int = 160
) -> RadialDistribution:
    """Total and partial g(r): the density of b atoms at r from an a atom over their mean density.

    g_ab(r) = V/(N_a N_b) Σ_{i∈a} Σ_{j∈b} δ(r - r_ij)/(4π r²), with V of each frame and all
    periodic images, so r_max may exceed half the cell. Beyond it the images of one atom show.

    Args:
        trajectory: periodic in three directions.
        r_max: largest distance, Å.
        n_bins: number of bins between 0 and r_max.

    Raises:
        ValueError: for a trajectory that is not fully periodic: it has no density.
    """
    if not all(trajectory.pbc):
        raise ValueError(
            f"g(r) needs a density, hence three periodic directions; pbc is {trajectory.pbc}"
        )
    if not (r_max > 0 and n_bins > 0):
        raise ValueError(f"r_max and n_bins must be positive, not {r_max} and {n_bins}")
    kinds, kind_of = np.unique(np.array(trajectory.species), return_inverse=True)
    counts = np.bincount(kind_of)
    edges = np.linspace(0.0, r_max, n_bins + 1)
    # sums over frames, per ordered pair of kinds, of pair counts and of pair counts times volume
    pairs = np.zeros((len(kinds), len(kinds), n_bins))
    weighted = np.zeros_like(pairs)
    for positions, cell in zip(trajectory.positions, trajectory.cells, strict=True):
        found = _pair_counts(positions, cell, trajectory.pbc, kind_of, edges)
        pairs += found
        weighted += found * abs(np.linalg.det(cell))
    shells = 4 / 3 * np.pi * np.diff(edges**3) * trajectory.n_frames
    partial, coordination = {}, {}
    for a, b in combinations_with_replacement(range(len(kinds)), 2):
        name = (str(kinds[a]), str(kinds[b]))
        partial[name] = weighted[a, b] / (counts[a] * counts[b] * shells)
    for a in range(len(kinds)):
        for b in range(len(kinds)):
            name = (str(kinds[a]), str(kinds[b]))
            coordination[name] = np.cumsum(pairs[a, b]) / (counts[a] * trajectory.n_frames)
    total = weighted.sum(axis=(0, 1)) / (trajectory.n_atoms**2 * shells)
    r = 0.5 * (edges[1:] + edges[:-1])
    return RadialDistribution(r, total, partial, coordination, trajectory.n_frames)


def _pair_counts(
    positions: FloatArray,
    cell: FloatArray,
    pbc: tuple[bool, bool, bool],
    kind_of: np.ndarray,
    edges: FloatArray,
) -> FloatArray:
    """(n_kinds, n_kinds, n_bins): ordered pairs of one frame in each bin."""
    i, j, _, vectors = neighbor_list(positions, cell, pbc, float(edges[-1]))
    d = np.linalg.norm(vectors, axis=1)
    n_kinds, n_bins = kind_of.max() + 1, len(edges) - 1
    bins = np.minimum((d * (n_bins / edges[-1])).astype(np.int64), n_bins - 1)
    flat = (kind_of[i] * n_kinds + kind_of[j]) * n_bins + bins
    shape = (n_kinds, n_kinds, n_bins)
    return np.bincount(flat, minlength=np.prod(shape)).reshape(shape).astype(float)
