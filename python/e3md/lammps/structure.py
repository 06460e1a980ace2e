"""Structures as LAMMPS takes them: box, axes, data file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.lammps import Prism
from ase.data import chemical_symbols
from ase.geometry import complete_cell
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_PADDING = 1.0  # Å of empty box around atoms in directions that are not periodic
# What follows the ID of atom k in a data file, by atom_style.
_COLUMNS = {
    "atomic": "{type}",
    "charge": "{type} 0",
    "bond": "{k} {type}",
    "molecular": "{k} {type}",
    "full": "{k} {type} 0",
    "sphere": "{type} 1 1",
}


@dataclass(frozen=True)
class Frame:
    """How a structure lies in LAMMPS' box: r_lammps = (r - origin) R^T, box from 0 to `cell`."""

    cell: FloatArray  # (3, 3) lower triangular, Å
    origin: FloatArray  # (3,) Å, ASE's axes
    to_ase: FloatArray  # (3, 3): v_ase = v_lammps @ to_ase


def lammps_frame(atoms: Atoms) -> Frame:
    """LAMMPS' box for a structure; where it is not periodic, a box around the atoms.

    Directions that are not periodic are taken perpendicular to the others: LAMMPS skews a box only
    along periodic directions.
    """
    cell = atoms.cell.array * atoms.pbc[:, None]
    if not atoms.pbc.all():
        cell = complete_cell(cell)
    fractional = atoms.positions @ np.linalg.inv(cell)
    origin = np.zeros(3)
    for k in np.flatnonzero(~atoms.pbc):
        low, high = fractional[:, k].min() - _PADDING, fractional[:, k].max() + _PADDING
        origin += low * cell[k]
        cell[k] = cell[k] * (high - low)
    prism = Prism(cell, pbc=atoms.pbc)
    return Frame(np.array(prism.lammps_cell), origin, np.array(prism.vector_to_ase(np.eye(3))))


def write_data(
    path: Path,
    atoms: Atoms,
    species: Sequence[str],
    length: float = 1.0,
    mass: float = 1.0,
    atom_style: str = "atomic",
    velocities: bool = False,
) -> Frame:
    """Write a LAMMPS data file in full precision.

    species: elements of the types; length: Å per LAMMPS length unit; mass: g/mol per mass unit.
    atom_style: without charges and bonds, each atom a molecule of its own.
    velocities: also those of the atoms, in Å/ps as units metal have them.
    """
    frame = lammps_frame(atoms)
    box = frame.cell / length
    positions = (atoms.positions - frame.origin) @ frame.to_ase.T / length
    masses = {s: m for s, m in zip(atoms.symbols, atoms.get_masses(), strict=True)}
    lines = ["written by e3md", "", f"{len(atoms)} atoms", f"{len(species)} atom types", ""]
    lines += [f"0 {box[k, k]:.17g} {'xyz'[k]}lo {'xyz'[k]}hi" for k in range(3)]
    if np.any(box != np.diag(np.diag(box))):
        lines.append(f"{box[1, 0]:.17g} {box[2, 0]:.17g} {box[2, 1]:.17g} xy xz yz")
    if atom_style != "sphere":  # whose atoms have masses of their own
        lines += ["", "Masses", ""]
        for k, symbol in enumerate(species, 1):
            lines.append(f"{k} {masses.get(symbol, _standard_mass(symbol)) / mass:.17g} # {symbol}")
    if len(atoms):
        lines += ["", f"Atoms # {atom_style}", ""]
    for k, (symbol, r) in enumerate(zip(atoms.symbols, positions, strict=True), 1):
        columns = _COLUMNS[atom_style].format(k=k, type=species.index(symbol) + 1)
        lines.append(f"{k} {columns} {_digits(r)}")
    if velocities:
        per_ps = atoms.get_velocities() @ frame.to_ase.T * 1000 * units.fs
        lines += ["", "Velocities", "", *(f"{k} {_digits(v)}" for k, v in enumerate(per_ps, 1))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return frame


def cell_of_dump(bounds: FloatArray) -> FloatArray:
    """Cell (3, 3), Å, from the BOX BOUNDS of a dump, which enclose a skewed box."""
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    cell = np.diag(high - low)
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return cell


def _digits(vector: FloatArray) -> str:
    return " ".join(f"{x:.17g}" for x in vector)


def _standard_mass(symbol: str) -> float:
    return float(Atoms([chemical_symbols.index(symbol)]).get_masses()[0])
