"""What a training set fixes in a model before training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from e3md.data.problems import DataError, raise_listed, some
from e3md.data.read import Frame

UNCERTAIN = 2.0  # eV; standard error of an E0 that is worth a remark
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
    remark: str = ""  # what the energies of the data leave open, and what to do


def find_species(frames: Sequence[Frame]) -> tuple[str, ...]:
    """Elements present, by atomic number."""
    numbers = np.unique(np.concatenate([frame.atoms.numbers for frame in frames]))
    return tuple(chemical_symbols[z] for z in numbers)


def reference_energies(frames: Sequence[Frame], isolated: Sequence[Frame]) -> ReferenceEnergies:
    """E0 of each element of `frames`: isolated atoms if all have one, else least squares.

    The least-squares solution of smallest norm is taken, so that a data set of one composition
    (where only the energy of the whole formula is determined) works too. Any other solution, such as
    one near tabulated atoms, would give the same energies and forces for all that the data hold, and
    only look like knowledge of the rest: the remark says what the data leave open instead.

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
    if rank < len(species):
        remark = _undetermined(counts, species)
        note = rank_note(rank, species)
    else:
        shares = counts / counts.sum(axis=1, keepdims=True)
        misfit = (energies - counts @ e0s) / counts.sum(axis=1)
        condition = float(np.linalg.cond(shares))
        remark = _uncertain(shares, misfit, species, condition)
        note = f" (condition number {condition:.3g})" if len(species) > 1 else ""
    source = f"least squares over compositions{note}"
    return ReferenceEnergies(species, tuple(e0s.tolist()), source, remark)


_REMEDY = (
    "Give an isolated atom of each element (a frame of one atom, config_type=IsolatedAtom, of the "
    "same method), or data.e0s, or frames of other compositions"
)


def _undetermined(counts: NDArray[np.integer], species: tuple[str, ...]) -> str:
    """Elements whose energies only sums over formulas tell."""
    _, values, directions = np.linalg.svd(counts.astype(float))
    rank = int((values > 1e-10 * values[0]).sum())
    free = (np.abs(directions[rank:]) > 1e-6).any(axis=0)
    known = np.unique(counts // np.gcd.reduce(counts, axis=1, keepdims=True), axis=0)
    formulas = [_formula(row, species) for row in known]
    names = " ".join(symbol for symbol, open_ in zip(species, free, strict=True) if open_)
    return (
        f"E0 of {names}: the energies tell only their sum in {some(formulas, most=3)}. The values are "
        "the smallest that add up to it, not energies of atoms. What the data hold is learned as "
        "well; but nothing is known of dissociation, of defects that change the composition, or of "
        f"other compositions, whose energies will be far off. {_REMEDY}"
    )


def _uncertain(
    shares: NDArray[np.float64],
    misfit: NDArray[np.float64],
    species: tuple[str, ...],
    condition: float,
) -> str:
    """Elements whose energies the small differences of compositions do not tell well.

    Args:
        shares: (n_frames, n_species) fraction of the atoms.
        misfit: (n_frames,) eV per atom beyond the E0s.
        condition: number of `shares`.
    """
    if len(misfit) <= len(species):
        return ""
    variance = float(misfit @ misfit) / (len(misfit) - len(species))
    errors = np.sqrt(variance * np.diag(np.linalg.inv(shares.T @ shares)))
    bad = [f"{s} ± {e:.2g}" for s, e in zip(species, errors, strict=True) if e > UNCERTAIN]
    if not bad:
        return ""
    return (
        f"E0 of {' '.join(bad)} eV (standard error): compositions differ too little to tell them "
        f"(condition number {condition:.2g}), and energies of other compositions or of defects that "
        f"change it may be as far off. {_REMEDY}"
    )


def _formula(counts: NDArray[np.integer], species: tuple[str, ...]) -> str:
    """As in H2O."""
    parts = zip(species, counts.tolist(), strict=True)
    return "".join(f"{s}{n if n > 1 else ''}" for s, n in parts if n)


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
