"""What a frame of a file holds besides its structure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ase import Atoms

_OF_ATOMS = ("forces", "energies", "stresses", "magmoms", "charges", "dipoles")  # ASE's results


@dataclass(frozen=True)
class Entries:
    """Names and values, as they were in the file."""

    label: str  # file and frame
    n_atoms: int
    line: Mapping[str, Any]  # of the comment line
    columns: Mapping[str, Any]  # per atom


def entries_of(atoms: Atoms, label: str) -> Entries:
    """What ASE has read, with what it took for results of a calculator."""
    results = dict(atoms.calc.results) if atoms.calc else {}
    columns = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    columns |= {k: v for k, v in results.items() if k in _OF_ATOMS}
    line = {**atoms.info, **{k: v for k, v in results.items() if k not in _OF_ATOMS}}
    return Entries(label, len(atoms), line, columns)
