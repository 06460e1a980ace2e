"""Reference data: files to checked frames."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from e3md.data.entries import Entries, entries_of
from e3md.data.extxyz import read_structures
from e3md.data.formats import read_any
from e3md.data.geometry import LARGEST, is_isolated, too_dense, too_near
from e3md.data.keys import DataKeys, Names, choose_names, known_names
from e3md.data.problems import DataError, brief, last_line, one_line, raise_listed, some
from e3md.data.sources import short_names, source_of
from e3md.data.weights import FrameWeights, masked_atoms, read_weights, say_weights
from e3md.neighbors import cell_volume

__all__ = ["DataError", "DataKeys", "Frame", "file_sha256", "read_frames", "read_structures"]

_ALIKE = FrameWeights()
_UNLIKE = 1e-3  # relative difference of a stress and a virial that are one label


@dataclass(frozen=True)
class Frame:
    """One labelled structure. NaN stands for a label that is not there, or of weight 0."""

    atoms: Atoms  # no calculator, no constraints
    energy: float  # eV
    forces: NDArray[np.float64]  # (n_atoms, 3) eV/Å
    stress: NDArray[np.float64] | None  # (3, 3) eV/Å³
    label: str  # file name and frame number
    file: Path
    weights: FrameWeights = _ALIKE

    @property
    def isolated(self) -> bool:
        """A single atom in vacuum: it defines E0."""
        return is_isolated(self.atoms)

    @property
    def has_labels(self) -> bool:
        """Any label of a weight above 0; an isolated atom's is its energy."""
        forces = np.isfinite(self.forces).any()
        return bool(np.isfinite(self.energy) or forces or self.stress is not None)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; of the whole file where a path names frames of it."""
    digest = hashlib.sha256()
    with source_of(path).file.open("rb") as handle:
        while chunk := handle.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def read_frames(
    paths: Sequence[Path], keys: DataKeys, remarks: list[str] | None = None, partial: bool = False
) -> list[Frame]:
    """Read and check labelled frames.

    Args:
        paths: files of any format that ASE reads, with `@10:20` behind them for a part of it.
        keys: names of the labels.
        remarks: gets a line for whatever was taken under another name than ASE's, or left aside.
        partial: frames may have energy or forces alone.

    Raises:
        DataError: listing every frame that has no usable energy or forces, by file and number.
    """
    remarks = [] if remarks is None else remarks
    structures = _read_all(paths, remarks)
    entries = [entries_of(atoms, label) for atoms, label, _ in structures]
    names = choose_names(entries, keys, remarks)
    present = [_present(chosen, held) for chosen, held in zip(names, entries, strict=True)]
    partial = partial and any(chosen.energy or chosen.forces for chosen in present)
    if partial:
        names = present
    frames, errors = [], []
    for (atoms, label, path), held, chosen in zip(structures, entries, names, strict=True):
        try:
            frames.append(_frame(atoms, held, chosen, keys, path, partial))
        except DataError as error:
            errors.append(f"{label}: {error}")
        except (
            ValueError,
            TypeError,
            ArithmeticError,
            RuntimeError,
        ) as error:  # whatever a label is
            errors.append(f"{label}: {last_line(error)}")
    raise_listed(errors)
    if partial:
        _check_present(frames, entries, keys, remarks)
    say_weights(entries, remarks)
    _say_conditions(entries, remarks)
    why = "they have no label" if partial else "all labels have weight 0"
    found = _labelled(_without_zero_stress(frames, remarks), remarks, why)
    remarks[:] = [one_line(line) for line in remarks]
    return found


def _present(names: Names, entries: Entries) -> Names:
    """Of the names, those that the frame has."""
    known = {*entries.line, *entries.columns}
    return Names(**{kind: n if n in known else None for kind, n in vars(names).items()})


def _check_present(
    frames: Sequence[Frame], entries: Sequence[Entries], keys: DataKeys, remarks: list[str]
) -> None:
    """Refuse a set without a label that was asked for; say which ones not all frames have."""
    asked = {"energy": keys.energy, "forces": keys.forces, "stress": keys.stress or keys.virial}
    for what, key in asked.items():
        n = sum(_is_known(getattr(f, what)) for f in frames)
        if key and not n:
            raise DataError(f"{entries[0].label}: no '{brief(key)}', nor in any other frame")
        if what != "stress" and n < len(frames):
            why = "" if n else f": {_missing(what, entries[0])}"
            remarks.append(f"{what}: known in {n} of {len(frames)} frames{why}")


def _is_known(label: float | NDArray[np.float64] | None) -> bool:
    return label is not None and bool(np.isfinite(label).any())


def _without_zero_stress(frames: list[Frame], remarks: list[str]) -> list[Frame]:
    """Beside forces, a stress of exact zeros is what programs write that have not computed it."""
    zero = {
        frame.label
        for frame in frames
        if frame.stress is not None and not frame.stress.any() and np.nan_to_num(frame.forces).any()
    }
    if zero:
        remarks.append(f"stress is exactly zero, taken as not computed: {some(sorted(zero))}")
    return [replace(frame, stress=None) if frame.label in zero else frame for frame in frames]


def _labelled(frames: list[Frame], remarks: list[str], why: str) -> list[Frame]:
    """Without the frames whose labels all have weight 0: they can say nothing, not even an element."""
    left_out = [f.label for f in frames if not f.has_labels]
    if left_out:
        remarks.append(f"left out, as {why}: {some(left_out)}")
    if frames and len(left_out) == len(frames):
        raise DataError("no frame has a label of a weight above 0")
    return [f for f in frames if f.has_labels]


def _read_all(paths: Sequence[Path], remarks: list[str]) -> list[tuple[Atoms, str, Path]]:
    names = short_names([source_of(path).file for path in paths])
    found, errors = [], []
    for path in paths:
        name = names[source_of(path).file]
        try:
            frames = read_any(path, True, remarks)
        except DataError as error:
            errors.append(str(error))
            continue
        found += [(atoms, f"{name} frame {k}", path) for k, atoms in frames]
    if errors:
        raise DataError("\n".join(errors))
    return found


def _frame(
    atoms: Atoms, entries: Entries, names: Names, keys: DataKeys, file: Path, partial: bool
) -> Frame:
    if len(atoms) == 0:
        raise DataError("no atoms")
    _check_structure(atoms)
    stress = _stress(atoms, entries, names, keys)
    weights = read_weights(entries)
    needed = {
        "energy": weights.energy > 0 and not (partial and names.energy is None),
        # zero by symmetry, and rarely in the file: nothing to learn or to compare
        "forces": weights.forces > 0
        and not is_isolated(atoms)
        and not (partial and names.forces is None),
    }
    plain = atoms.copy()
    plain.calc = None
    plain.set_constraint()  # ASE would give zero forces for what they hold
    return Frame(
        plain,
        _energy(entries, names, needed["energy"]),
        _forces(entries, names, needed["forces"]),
        stress if weights.stress > 0 else None,
        entries.label,
        file,
        weights,
    )


def _check_structure(atoms: Atoms) -> None:
    ghosts = np.flatnonzero(atoms.numbers == 0)
    if len(ghosts):
        raise DataError(
            f"atom {some([str(k) for k in ghosts])} is X, atomic number 0: a ghost atom or dummy "
            "site is no element that a potential can have; leave such sites out of the file"
        )
    for name, values in (("positions", atoms.positions), ("cell", atoms.cell.array)):
        if not np.isfinite(values).all():
            raise DataError(f"{name} not finite")
        if np.abs(values).max(initial=0.0) > LARGEST:
            raise DataError(f"{name} of {np.abs(values).max():.3g} Å: in which unit are they?")
    for k, periodic in enumerate(atoms.pbc):
        if periodic and not atoms.cell.array[k].any():
            raise DataError(f"periodic in direction {k}, but cell vector {k} is zero")
    periodic = atoms.cell.array[atoms.pbc]
    if len(periodic) and np.linalg.matrix_rank(periodic, tol=1e-6) < len(periodic):
        raise DataError(
            "the periodic cell vectors lie in one plane or line: the cell has no volume"
        )
    problem = too_dense(atoms) or too_near(atoms)
    if problem:
        raise DataError(problem)


def _energy(entries: Entries, names: Names, needed: bool) -> float:
    if not needed:
        return np.nan
    if names.energy is None:
        raise DataError(_missing("energy", entries))
    value = np.asarray(_entry(entries.line, names.energy, entries, "energy"))
    if value.size != 1:
        raise DataError(
            f"{names.energy}: {value.size} values, expected the energy of the whole frame"
        )
    return float(_numbers(value, names.energy).reshape(()))


def _forces(entries: Entries, names: Names, needed: bool) -> NDArray[np.float64]:
    shape = (entries.n_atoms, 3)
    if not needed:
        return np.full(shape, np.nan)
    if names.forces is None:
        raise DataError(_missing("forces", entries))
    forces = _numbers(_entry(entries.columns, names.forces, entries, "forces"), names.forces)
    if forces.shape != shape:
        raise DataError(f"{names.forces} have shape {forces.shape}, expected {shape}")
    mask = masked_atoms(entries)
    return forces if mask is None else np.where(mask[:, None], np.nan, forces)


def _stress(
    atoms: Atoms, entries: Entries, names: Names, keys: DataKeys
) -> NDArray[np.float64] | None:
    """Of any cell with three vectors, whatever the boundaries."""
    volume = cell_volume(atoms.cell.array)
    if not np.isfinite(volume) or is_isolated(atoms):
        return None
    found: dict[str, NDArray[np.float64]] = {}
    for kind, sign in (("stress", 1.0), ("virial", -1.0 / volume)):
        name, asked = getattr(names, kind), getattr(keys, kind)
        if name is None or (name not in entries.line and not atoms.pbc.all()):
            continue
        if asked and kind == "stress" and name.lower().rstrip("s").endswith("virial"):
            raise DataError(f"data.keys.stress: {name} is a virial: name it in data.keys.virial")
        found[kind] = sign * _matrix(_entry(entries.line, name, entries, kind), name)
    if len(found) == 2:
        _compare(found["stress"], found["virial"], names)
    return next(iter(found.values()), None)


def _compare(stress: NDArray[np.float64], virial: NDArray[np.float64], names: Names) -> None:
    largest = max(np.abs(stress).max(), np.abs(virial).max())
    if np.abs(stress - virial).max() <= _UNLIKE * largest + 1e-5:
        return
    hint = " (it is of the other sign)" if np.allclose(stress, -virial, _UNLIKE, 1e-5) else ""
    raise DataError(
        f"{names.stress} and {names.virial} disagree: xx {stress[0, 0]:.5g} eV/Å³, but -virial/V "
        f"{virial[0, 0]:.5g} eV/Å³{hint}. Set data.keys.stress or data.keys.virial"
    )


def _entry(where: Any, name: str, entries: Entries, what: str) -> Any:
    if name in where:
        return where[name]
    if name in entries.line or name in entries.columns:
        place = "the comment line" if name in entries.line else "a column per atom"
        raise DataError(f"{name} is in {place}: no place for the label {what}")
    raise DataError(f"no '{name}', which data.keys.{what} asks for")


def _missing(what: str, entries: Entries) -> str:
    known = known_names(entries)
    hint = ""
    if what == "energy" and "E" in known:
        hint = "; E of CP2K's files is in Hartree and must be converted"
    found = some(known, 20) or "nothing but positions"
    return f"no {what} (it has: {found}; set data.keys.{what} to the name of the label{hint})"


def _numbers(value: Any, name: str) -> NDArray[np.float64]:
    array = np.asarray(value)
    if array.dtype.kind == "b":
        raise DataError(f"{name} is {brief(value)}, expected a number")
    try:
        numbers = array.astype(float)
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"{name} is '{brief(value)}', expected numbers alone") from None
    if not np.isfinite(numbers).all():
        raise DataError(f"{name} not finite")
    return numbers


def _matrix(value: Any, name: str) -> NDArray[np.float64]:
    numbers = _numbers(value, name)
    if numbers.size == 6:
        matrix: NDArray[np.float64] = voigt_6_to_full_3x3_stress(numbers.ravel())
        return matrix
    if numbers.size == 9:
        return numbers.reshape(3, 3)
    raise DataError(f"{name} has {numbers.size} numbers, expected 6 (Voigt) or 9")


# What a potential does not see, though energies depend on it.
_CONDITIONS = ("charge", "total_charge", "spin", "multiplicity", "total_spin", "head",
               "electric_field", "efield", "external_field", "pressure", "pstress")  # fmt: skip


def _say_conditions(entries: Sequence[Entries], remarks: list[str]) -> None:
    for name in sorted({n for e in entries for n in e.line if n.lower() in _CONDITIONS}):
        values = {brief(e.line.get(name)) for e in entries}
        if len(values) > 1:
            remarks.append(
                f"frames differ in {name} ({some(sorted(values))}), on which energies depend and "
                "which the model does not see"
            )
