"""What a training set fixes in a model before training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from e3md.data.problems import DataError, raise_listed
from e3md.data.read import Frame

SAME_ATOM = 1e-3  # eV; energies of one isolated atom that differ by less are rounded, not different


@dataclass(frozen=True)
class Statistics:
    """Reference energies and scales of a training set."""

    species: tuple[str, ...]  # chemical symbols; the index is the model's type
    e0s: tuple[float, ...]  # eV, energy of an isolated atom of each species
    scale: float  # eV, multiplies the network's atomic energy
    shift: float  # eV, added to every atomic energy beside E0
    avg_num_neighbors: float  # mean number of edges per receiving atom


@dataclass(frozen=True)
class ReferenceEnergies:
    """E0s and how they were found."""

    species: tuple[str, ...]
    e0s: tuple[float, ...]  # eV
    source: str  # for the statistics report


def find_species(frames: Sequence[Frame]) -> tuple[str, ...]:
    """Elements present, by atomic number."""
    numbers = np.unique(np.concatenate([frame.atoms.numbers for frame in frames]))
    return tuple(chemical_symbols[z] for z in numbers)


def reference_energies(frames: Sequence[Frame], isolated: Sequence[Frame]) -> ReferenceEnergies:
    """E0 of each element of `frames`: isolated atoms if all have one, else least squares.

    The least-squares solution of smallest norm is taken, so that a data set of one composition
    (where only the energy of the whole formula is determined) works too.

    Args:
        frames: the training frames, without isolated atoms.
        isolated: isolated atoms, also of other elements.

    Raises:
        DataError: if some but not all elements have an isolated atom, or one has two energies.
    """
    species = find_species(frames)
    known = isolated_energies(isolated)
    missing = [symbol for symbol in species if symbol not in known]
    if not missing:
        return ReferenceEnergies(species, tuple(known[s] for s in species), "isolated atoms")
    found = [symbol for symbol in species if symbol in known]
    if found:
        raise DataError(
            f"isolated-atom frames for {' '.join(found)} but not for {' '.join(missing)}: "
            "give one for every element, or none, or set data.e0s"
        )
    return _least_squares(frames, species)


def isolated_energies(isolated: Sequence[Frame]) -> dict[str, float]:
    """Energy of each element's isolated atom, eV.

    Raises:
        DataError: naming both frames if an element has two energies.
    """
    first: dict[str, Frame] = {}
    errors = []
    for frame in isolated:
        symbol = frame.atoms.symbols[0]
        known = first.setdefault(symbol, frame)
        if abs(known.energy - frame.energy) > SAME_ATOM:
            errors.append(
                f"{frame.label}: isolated {symbol} has {frame.energy:g} eV, "
                f"but {known.energy:g} eV in {known.label}"
            )
    raise_listed(errors)
    return {symbol: frame.energy for symbol, frame in first.items()}


def given_energies(species: tuple[str, ...], e0s: dict[str, float]) -> ReferenceEnergies:
    """E0s of the configuration.

    Raises:
        DataError: naming the elements of `species` that it lacks.
    """
    missing = [symbol for symbol in species if symbol not in e0s]
    if missing:
        raise DataError(f"data.e0s: no energy for {' '.join(missing)}, which data.train holds")
    return ReferenceEnergies(species, tuple(e0s[s] for s in species), "data.e0s")


def _least_squares(frames: Sequence[Frame], species: tuple[str, ...]) -> ReferenceEnergies:
    frames = [frame for frame in frames if np.isfinite(frame.energy)]
    if not frames:
        return ReferenceEnergies(species, (0.0,) * len(species), "no frame has an energy")
    counts = np.array(
        [[(f.atoms.numbers == atomic_numbers[s]).sum() for s in species] for f in frames]
    )
    energies = np.array([f.energy for f in frames])
    e0s, _, rank, _ = np.linalg.lstsq(counts.astype(float), energies, rcond=1e-10)
    return ReferenceEnergies(
        species, tuple(e0s.tolist()), f"least squares over compositions{rank_note(rank, species)}"
    )


def rank_note(rank: int, species: tuple[str, ...]) -> str:
    """Whether compositions determine the energy of each element, in words; empty if they do."""
    if rank == len(species):
        return ""
    return f" (rank {rank} of {len(species)}: only sums over the formula are determined)"


def collect_statistics(
    frames: Sequence[Frame], reference: ReferenceEnergies, n_edges: Sequence[int]
) -> Statistics:
    """Scale = root mean square force component; shift = mean energy per atom beyond the E0s.

    Args:
        frames: the training frames, without isolated atoms.
        reference: from `reference_energies`.
        n_edges: edges of each frame's graph.

    Raises:
        DataError: if no frame has forces.
    """
    forces = np.concatenate([frame.forces.ravel() for frame in frames])
    forces = forces[np.isfinite(forces)]
    if not len(forces):
        raise DataError("data.train: no frame has forces (all are of weight 0)")
    e0 = dict(zip(reference.species, reference.e0s, strict=True))
    known = [frame for frame in frames if np.isfinite(frame.energy)]
    residual = [f.energy - sum(e0[s] for s in f.atoms.symbols) for f in known]
    return Statistics(
        species=reference.species,
        e0s=reference.e0s,
        scale=float(max(np.sqrt(np.mean(forces**2)), 1e-3)),
        shift=float(np.sum(residual) / max(1, _count_atoms(known))),
        avg_num_neighbors=float(max(np.sum(n_edges) / _count_atoms(frames), 1.0)),
    )


def _count_atoms(frames: Sequence[Frame]) -> int:
    return sum(len(frame.atoms) for frame in frames)
