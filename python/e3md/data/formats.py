"""Structures and their labels from any file that ASE reads; extended XYZ by our own reader."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.io.formats import UnknownFileTypeError, filetype, ioformats

from e3md.data.extxyz import read_structures
from e3md.data.packed import OPENERS, check_file, head, is_packed, unpacked
from e3md.data.problems import DataError, brief, last_line, one_line
from e3md.data.sources import source_of

_XYZ = (".xyz", ".extxyz", ".exyz")
# Files without labels, or from which ASE 3.29 takes wrong ones.
_NO_LABELS = {
    "lammps-dump-text": "a LAMMPS dump holds no energies (ASE gives 0 to each frame)",
    "lammps-dump-binary": "a LAMMPS dump holds no energies (ASE takes velocities for forces)",
    "abinit-out": "ASE takes a wrong cell from ABINIT's text output: give the _GSR.nc file instead",
}
_ENERGY, _LENGTH = ("ev",), ("", "ang", "angstrom", "a")  # units of a database's properties


def read_any(path: Path, labels: bool, remarks: list[str]) -> list[tuple[int, Atoms]]:
    """Frames of a file, with their numbers in it.

    Args:
        path: of the file, with `@10:20` behind it for a part of its frames.
        labels: they are needed, so that a format which has none is refused.
        remarks: gets what ASE warns of.

    Raises:
        DataError: for a file that cannot be read, with what ASE says, or that has no such frames.
    """
    file, chosen = source_of(path)
    check_file(file)
    frames = list(enumerate(_read(file, labels, remarks)))
    try:
        found = frames[chosen] if isinstance(chosen, slice) else [frames[chosen]]
    except IndexError:
        found = []
    if not found:
        held = f"only {len(frames)} frames" if frames else "no structure"
        raise DataError(f"{path}: holds {held}")
    return found


def read_structure(path: Path) -> Atoms:
    """One structure: of several frames the last, as ASE takes it, or the one that `@` chooses.

    Raises:
        DataError: for a file that cannot be read.
    """
    return read_any(path, labels=False, remarks=[])[-1][1]


def _read(file: Path, labels: bool, remarks: list[str]) -> list[Atoms]:
    if _is_extxyz(file):
        return read_structures(file)
    if is_packed(file):
        unpacked(file)  # for its size: ASE unpacks whatever comes
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = _by_ase(file, labels)
    said = {str(w.message) for w in caught if issubclass(w.category, UserWarning)}
    remarks += [f"{file.name}: ASE warns: {one_line(text, 200)}" for text in sorted(said)]
    return found


def _is_extxyz(file: Path) -> bool:
    """By its name, or by a count of atoms that begins a file of no name that ASE knows."""
    name = file.with_suffix("") if file.suffix in OPENERS else file
    if name.suffix.lower() in _XYZ:
        return True
    lines = head(file).lstrip().split(b"\n", 2)
    known = any(kind.match_name(name.name) for kind in ioformats.values())
    has_keys = len(lines) > 1 and b"=" in lines[1]
    return bool(re.fullmatch(rb"[0-9]+", lines[0].strip())) and (has_keys or not known)


def _by_ase(file: Path, labels: bool) -> list[Atoms]:
    kind = ""
    try:
        kind = filetype(str(file))
        if labels and kind in _NO_LABELS:
            raise DataError(f"{file}: {_NO_LABELS[kind]}")
        if kind in ("db", "json"):
            return list(_rows(file))
        found: Any = ase.io.read(
            str(file), index=":", format=kind, do_not_split_by_at_sign=True, parallel=False
        )
    except DataError:
        raise
    except UnknownFileTypeError as error:
        raise DataError(f"{file}: neither extended XYZ nor of a format that ASE knows") from error
    except Exception as error:  # readers of so many formats raise whatever they meet
        raise DataError(f"{file}: ASE cannot read it as {kind}: {last_line(error)}") from error
    return [found] if isinstance(found, Atoms) else list(found)


def _rows(file: Path) -> Iterator[Atoms]:
    """Rows of an ASE database, with their key-value pairs and data, which ASE's reader drops."""
    database = ase.db.connect(str(file), serial=True)
    _check_units(file, database.metadata or {})
    for row in database.select():
        atoms = row.toatoms()
        for name, value in {**row.key_value_pairs, **(row.data or {})}.items():
            array = np.asarray(value)
            if array.dtype.kind not in "biufUS":
                continue
            of_atoms = array.size > 1 and array.ndim and len(array) == len(atoms)
            if of_atoms and name not in atoms.arrays:
                atoms.new_array(name, array)
            else:
                atoms.info.setdefault(name, array.item() if array.size == 1 else value)
        yield atoms


def _check_units(file: Path, metadata: dict[str, Any]) -> None:
    """SchNetPack keeps its units in the metadata."""
    units = metadata.get("_property_unit_dict")
    for name, unit in units.items() if isinstance(units, dict) else ():
        energy, _, length = str(unit).lower().partition("/")
        known = energy in _ENERGY and length.split("*")[0] in _LENGTH
        if re.search("energy|forces|stress|virial", name) and not known:
            raise DataError(
                f"{file}: {brief(name)} is in {brief(unit)}, as its metadata say: write a file in eV "
                "and Å"
            )
