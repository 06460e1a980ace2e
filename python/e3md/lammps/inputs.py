"""What every LAMMPS input begins with: units, structure, potential."""

from collections.abc import Sequence
from pathlib import Path


def structure(
    data: str, boundary: str = "p p p", atom_style: str = "atomic", first: str = ""
) -> str:
    """Commands up to the atoms of a data file; `first`: more of them, before the box is there."""
    return f"""units metal
atom_style {atom_style}
atom_modify map yes
boundary {boundary}
newton on
{first}
read_data {data}
"""


def potential(model: Path, species: Sequence[str], settings: str = "") -> str:
    """pair_style e3nn for atoms of types 1, 2, ... of these species."""
    return f"""pair_style e3nn {settings}
pair_coeff * * "{Path(model).resolve()}" {" ".join(species)}
"""


def boundary_of(pbc: Sequence[bool]) -> str:
    """p or f for each direction."""
    return " ".join("p" if periodic else "f" for periodic in pbc)
