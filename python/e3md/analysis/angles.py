"""Bond-angle distributions."""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from e3md.analysis.periodic import FloatArray
from e3md.analysis.rdf import RadialDistribution
from e3md.analysis.trajectory import Trajectory
from e3md.neighbors import neighbor_list

BOND = 1.3  # times the sum of covalent radii: longest bond


@dataclass(frozen=True)
class AngleDistribution:
    """Distribution of the angle a-b-c at the central atom b, on the centers of equal bins."""

    triple: tuple[str, str, str]  # a, b (central), c
    cutoffs: tuple[float, float]  # Å, of the bonds b-a and b-c
    angle: FloatArray  # (n_bins,) degrees
    density: FloatArray  # (n_bins,) per degree; integrates to 1, zero if there are no angles
    angles_per_center: float  # mean number of angles of one b atom
    n_frames: int

    def bonds(self, unit: str) -> str:
        """The cutoffs as a text."""
        lengths = sorted(set(self.cutoffs), key=self.cutoffs.index)
        return f"<{', <'.join(f'{length:.2f}' for length in lengths)} {unit}"


def bonded_triples(
    rdf: RadialDistribution,
) -> dict[tuple[str, str, str], float | tuple[float, float]]:
    """Triples a-b-c whose two bonds exist, with the first minima of g(r) as cutoffs, Å.

    A pair is bonded if the first minimum of its g(r) lies within BOND times the sum of the covalent
    radii. In ionic and metallic systems none may be, and shells are then to be asked for by hand.
    """
    species = sorted({name for pair in rdf.partial for name in pair})
    found: dict[tuple[str, str, str], float | tuple[float, float]] = {}
    for center in species:
        cutoffs = {}
        for end in species:
            cutoff = rdf.first_minimum(end, center)
            if cutoff is not None and cutoff < BOND * (_radius(end) + _radius(center)):
                cutoffs[end] = cutoff
        for a, c in combinations_with_replacement(cutoffs, 2):
            found[(a, center, c)] = cutoffs[a] if a == c else (cutoffs[a], cutoffs[c])
    return found


def _radius(symbol: str) -> float:
    return float(covalent_radii[atomic_numbers[symbol]])


def angle_distribution(
    trajectory: Trajectory,
    triple: tuple[str, str, str],
    cutoff: float | tuple[float, float],
    n_bins: int = 90,
) -> AngleDistribution:
    """Angles between the bonds b-a and b-c, each angle counted once.

    No division by sin θ: randomly oriented bonds give sin θ, not a constant.

    Args:
        trajectory: any periodicity.
        triple: species a, b, c, with b the central one.
        cutoff: a bond is a pair at most this far apart, Å; two values for b-a and b-c.
        n_bins: number of bins between 0 and 180 degrees.

    Raises:
        ValueError: for a species that is not in the trajectory.
    """
    cutoffs = (cutoff, cutoff) if isinstance(cutoff, int | float) else cutoff
    if min(cutoffs) <= 0:
        raise ValueError(f"bond cutoffs must be positive, not {cutoffs}")
    ends_a, centers, ends_c = (
        np.isin(np.arange(trajectory.n_atoms), trajectory.atoms_of(name)) for name in triple
    )
    same = triple[0] == triple[2] and cutoffs[0] == cutoffs[1]
    histogram = np.zeros(n_bins)
    for positions, cell in zip(trajectory.positions, trajectory.lattices(), strict=True):
        i, j, _, vectors = neighbor_list(positions, cell, trajectory.pbc, max(cutoffs))
        d = np.linalg.norm(vectors, axis=1)
        units = vectors / d[:, None]
        bond_a = centers[i] & ends_a[j] & (d <= cutoffs[0])
        bond_c = centers[i] & ends_c[j] & (d <= cutoffs[1])
        cosines = _cosines(i, units, bond_a, bond_c, same)
        degrees = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
        histogram += np.histogram(degrees, bins=n_bins, range=(0.0, 180.0))[0]
    width = 180.0 / n_bins
    total = histogram.sum()
    return AngleDistribution(
        triple=triple,
        cutoffs=(float(cutoffs[0]), float(cutoffs[1])),
        angle=(np.arange(n_bins) + 0.5) * width,
        density=histogram / (max(total, 1.0) * width),
        angles_per_center=float(total / (centers.sum() * trajectory.n_frames)),
        n_frames=trajectory.n_frames,
    )


def _cosines(
    i: np.ndarray, units: FloatArray, bond_a: np.ndarray, bond_c: np.ndarray, same: bool
) -> FloatArray:
    """(n_angles,) cosines between every bond of set a and every bond of set c of the same center.

    With `same` sets, each pair of bonds once. A bond never pairs with itself.
    """
    index_a, index_c = np.flatnonzero(bond_a), np.flatnonzero(bond_c)
    # i is sorted, so the bonds of one center are a contiguous run of index_c
    begin = np.searchsorted(i[index_c], i[index_a], side="left")
    count = np.searchsorted(i[index_c], i[index_a], side="right") - begin
    first = np.repeat(index_a, count)
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    second = index_c[np.repeat(begin, count) + offset]
    keep = first < second if same else first != second
    return np.einsum("nx,nx->n", units[first[keep]], units[second[keep]])
