"""Reference data: extended XYZ files to checked frames."""

import bz2
import gzip
import hashlib
import io
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

ABSURD_FORCE = 300.0  # eV/Å: no relaxed electronic structure of ordinary matter has it
MAX_LINES = 20  # of errors or warnings of one kind
OPENERS: dict[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


class DataKeys(BaseModel):
    """Names of the labels in a file; where unset, those that ASE itself recognizes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    energy: str | None = Field(None, description="key in the comment line, eV")
    forces: str | None = Field(None, description="column, eV/Å")
    stress: str | None = Field(None, description="key in the comment line, eV/Å³, ASE's sign")


@dataclass(frozen=True)
class Frame:
    """One labelled structure. `label` says where it came from: file name and frame number."""

    atoms: Atoms  # no calculator
    energy: float  # eV
    forces: NDArray[np.float64]  # (n_atoms, 3) eV/Å
    stress: NDArray[np.float64] | None  # (3, 3) eV/Å³
    label: str
    file: Path

    @property
    def isolated(self) -> bool:
        """A single atom in vacuum: it defines E0."""
        return is_isolated(self.atoms)


class DataError(ValueError):
    """Frames that cannot be trained on; the message lists file, frame and reason of each."""


def is_isolated(atoms: Atoms) -> bool:
    """One atom, not periodic or of `config_type=IsolatedAtom`."""
    config_type = str(atoms.info.get("config_type", "")).lower()
    return len(atoms) == 1 and (not atoms.pbc.any() or "isolated" in config_type)


def raise_listed(errors: Sequence[str]) -> None:
    """One DataError for all unusable frames, if there are any."""
    if errors:
        raise DataError(f"{len(errors)} unusable frame(s):\n  " + "\n  ".join(shorten(errors)))


def shorten(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many there are in all."""
    return [*lines[:MAX_LINES], *([f"... {len(lines)} in all"] if lines[MAX_LINES:] else [])]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_structures(path: Path) -> list[Atoms]:
    """All frames of an extxyz file, plain or compressed (.gz, .xz, .bz2).

    Decompressed once: ASE alone seeks in the compressed stream, which is quadratic in the frames.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    opener = OPENERS.get(path.suffix)
    try:
        text = opener(path, "rt").read() if opener else path.read_text()
        frames: Any = ase.io.read(io.StringIO(text), ":", format="extxyz")
    except Exception as error:  # ASE and the decompressors raise many kinds on a damaged file
        raise DataError(f"{path}: not readable as extended XYZ ({error})") from error
    if not frames:
        raise DataError(f"{path}: holds no structure")
    return frames


def read_frames(paths: Sequence[Path], keys: DataKeys) -> list[Frame]:
    """Read and check labelled frames.

    Raises:
        DataError: listing every frame that has no usable energy or forces, by file and number.
    """
    frames: list[Frame] = []
    errors: list[str] = []
    names = [path.name for path in paths]
    for path in paths:
        # the bare name is enough unless two folders have a file of this name
        name = path.name if names.count(path.name) == 1 else str(path)
        for number, atoms in enumerate(read_structures(path)):
            label = f"{name} frame {number}"
            try:
                frames.append(_frame(atoms, keys, label, path))
            except DataError as error:
                errors.append(f"{label}: {error}")
    raise_listed(errors)
    return frames


def _frame(atoms: Atoms, keys: DataKeys, label: str, file: Path) -> Frame:
    if len(atoms) == 0:
        raise DataError("no atoms")
    results = atoms.calc.results if atoms.calc else {}
    energy = _label(atoms.info, keys.energy, results, ("energy", "free_energy"), "energy")
    if is_isolated(atoms):
        forces = np.zeros((1, 3))  # by symmetry; such frames rarely have the column
    else:
        forces = _label(atoms.arrays, keys.forces, results, ("forces",), "forces")
    if energy is None or forces is None:
        missing = "energy" if energy is None else "forces"
        known = sorted({*results, *atoms.info, *atoms.arrays} - {"numbers", "positions"})
        raise DataError(f"no {missing} (it has: {', '.join(known)}; set data.keys.{missing})")
    forces = np.asarray(forces, dtype=float)
    if forces.shape != (len(atoms), 3):
        raise DataError(f"forces have shape {forces.shape}, expected ({len(atoms)}, 3)")
    # only a cell that is periodic in all directions has a stress to ask for
    stress_key = keys.stress if atoms.pbc.all() and not is_isolated(atoms) else None
    stress = _label(atoms.info, stress_key, results, ("stress",), "stress")
    plain = atoms.copy()
    plain.calc = None
    frame = Frame(plain, float(energy), forces, _matrix(stress), label, file)
    _check_numbers(frame)
    return frame


def _label(own: dict, key: str | None, results: dict, default: tuple[str, ...], what: str) -> Any:
    if key is None:
        return next((results[name] for name in default if name in results), None)
    if key in own:
        return own[key]
    if key in results:
        return results[key]
    raise DataError(f"no '{key}', which data.keys.{what} asks for")


def _matrix(stress: Any) -> NDArray[np.float64] | None:
    if stress is None:
        return None
    stress = np.asarray(stress, dtype=float)
    if stress.size == 6:
        xx, yy, zz, yz, xz, xy = stress.ravel()
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if stress.size == 9:
        return stress.reshape(3, 3)
    raise DataError(f"stress has {stress.size} numbers, expected 6 (Voigt) or 9")


def _check_numbers(frame: Frame) -> None:
    for name, values in (
        ("energy", np.array([frame.energy])),
        ("forces", frame.forces),
        ("stress", frame.stress),
        ("positions", frame.atoms.positions),
        ("cell", frame.atoms.cell.array),
    ):
        if values is not None and not np.isfinite(values).all():
            raise DataError(f"{name} not finite")


def odd_frames(frames: Sequence[Frame]) -> list[str]:
    """Frames that can be trained on but are probably a mistake, one line each."""
    return [*_mixed_periodicity(frames), *_absurd_forces(frames), *_same_structures(frames)]


def _mixed_periodicity(frames: Sequence[Frame]) -> list[str]:
    kinds: dict[str, list[Frame]] = {}
    for frame in frames:
        if not frame.isolated:
            kinds.setdefault("".join("FT"[int(p)] for p in frame.atoms.pbc), []).append(frame)
    if len(kinds) < 2:
        return []
    found = ", ".join(f"{k} ({len(some)}, first {some[0].label})" for k, some in kinds.items())
    return [f"frames of different periodicity are mixed: {found}"]


def _absurd_forces(frames: Sequence[Frame]) -> list[str]:
    warnings = []
    for frame in frames:
        largest = np.abs(frame.forces).max(axis=1)
        if largest.max() > ABSURD_FORCE:
            atom = int(largest.argmax())
            warnings.append(f"{frame.label}: atom {atom} has a force of {largest[atom]:.0f} eV/Å")
    return shorten(warnings)


def _same_structures(frames: Sequence[Frame]) -> list[str]:
    """The cell counts: a volume scan repeats the positions of a small cell."""
    warnings: list[str] = []
    seen: dict[bytes, Frame] = {}
    for frame in frames:
        atoms = frame.atoms
        arrays = (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        first = seen.setdefault(b"".join(a.tobytes() for a in arrays), frame)
        if first is not frame:
            warnings.append(f"{frame.label}: the same structure as {first.label}")
    return shorten(warnings)
