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

    @property
    def isolated(self) -> bool:
        """A single atom in vacuum: it defines E0."""
        config_type = str(self.atoms.info.get("config_type", "")).lower()
        return len(self.atoms) == 1 and (not self.atoms.pbc.any() or "isolated" in config_type)


class DataError(ValueError):
    """Frames that cannot be trained on; the message lists file, frame and reason of each."""


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
    text = opener(path, "rt").read() if opener else path.read_text()
    try:
        frames: Any = ase.io.read(io.StringIO(text), ":", format="extxyz")
    except Exception as error:  # ASE raises many kinds on a damaged file
        raise DataError(f"{path}: not readable as extended XYZ ({error})") from error
    if not frames:
        raise DataError(f"{path}: holds no structure")
    return frames


def read_frames(paths: Sequence[Path], keys: DataKeys) -> tuple[list[Frame], list[str]]:
    """Read and check labelled frames.

    Returns:
        The frames, and warnings (one line each: file, frame, what is odd about it).

    Raises:
        DataError: listing every frame that has no usable energy or forces, by file and number.
    """
    frames: list[Frame] = []
    errors: list[str] = []
    warnings: list[str] = []
    for path in paths:
        for number, atoms in enumerate(read_structures(path)):
            label = f"{path.name} frame {number}"
            try:
                frames.append(_frame(atoms, keys, label))
            except DataError as error:
                errors.append(f"{label}: {error}")
    warnings += _odd_frames(frames)
    if errors:
        shown = "\n  ".join(errors[:20]) + (f"\n  ... {len(errors)} in all" if errors[20:] else "")
        raise DataError(f"{len(errors)} unusable frame(s):\n  {shown}")
    return frames, warnings


def _frame(atoms: Atoms, keys: DataKeys, label: str) -> Frame:
    results = atoms.calc.results if atoms.calc else {}
    energy = _label(atoms.info, keys.energy, results, ("energy", "free_energy"), "energy")
    forces = _label(atoms.arrays, keys.forces, results, ("forces",), "forces")
    if energy is None or forces is None:
        missing = "energy" if energy is None else "forces"
        known = sorted({*results, *atoms.info, *atoms.arrays} - {"numbers", "positions"})
        raise DataError(f"no {missing} (it has: {', '.join(known)}; set data.keys.{missing})")
    forces = np.asarray(forces, dtype=float)
    if forces.shape != (len(atoms), 3):
        raise DataError(f"forces have shape {forces.shape}, expected ({len(atoms)}, 3)")
    stress = _label(atoms.info, keys.stress, results, ("stress",), "stress")
    plain = atoms.copy()
    plain.calc = None
    frame = Frame(plain, float(energy), forces, _matrix(stress), label)
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


def _odd_frames(frames: list[Frame]) -> list[str]:
    """Frames that can be trained on but are probably a mistake."""
    warnings: list[str] = []
    seen: dict[tuple[bytes, bytes], str] = {}
    periodicities = {tuple(f.atoms.pbc.tolist()) for f in frames if not f.isolated}
    if len(periodicities) > 1:
        kinds = ", ".join("".join("TF"[not p] for p in pbc) for pbc in sorted(periodicities))
        warnings.append(f"frames of different periodicity ({kinds}) are mixed")
    for frame in frames:
        largest = np.abs(frame.forces).max(initial=0.0)
        if largest > ABSURD_FORCE:
            atom = int(np.abs(frame.forces).max(axis=1).argmax())
            warnings.append(f"{frame.label}: atom {atom} has a force of {largest:.0f} eV/Å")
        key = (frame.atoms.numbers.tobytes(), frame.atoms.positions.tobytes())
        if key in seen:
            warnings.append(f"{frame.label}: the same structure as {seen[key]}")
        seen.setdefault(key, frame.label)
    return warnings
