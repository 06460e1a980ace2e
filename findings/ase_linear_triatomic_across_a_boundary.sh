#!/usr/bin/env bash
# ASE 3.29.0: FixLinearTriatomic tears a molecule that lies across a periodic boundary.
# The central atom is put between the outer two as their coordinates stand, not between nearest images:
# where a boundary runs between them it lands half a cell away, its bonds 2.16 Å long instead of 1.10,
# on the first move of an outer atom by 0.002 Å. The constraint asks for 1.10 Å all the time and says
# nothing. An optimizer then jumps between two energies without end.
# Way out: make the molecule whole before the constraint is set, and do not wrap its atoms afterwards.
# Seen: 104 of 725 places of a CO2 in a cell of 5.77 x 5.00 Å; none where the molecule is whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ase==3.29.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
from ase import Atoms
from ase.constraints import FixLinearTriatomic

BOND, ALONG = 1.1, np.array([0.86, 0.51, 0.0])
BOND_VECTOR = BOND * ALONG / np.linalg.norm(ALONG)


def bonds_after_a_small_move(x: float, y: float, wrapped: bool) -> list[float]:
    center = np.array([x, y, 5.0])
    positions = [center, center - BOND_VECTOR, center + BOND_VECTOR]
    atoms = Atoms("COO", positions=positions, cell=[5.77, 5.0, 10.0], pbc=(True, True, False))
    if wrapped:
        atoms.wrap()
    atoms.set_constraint(FixLinearTriatomic(triples=[(1, 0, 2)]))
    moved = atoms.get_positions()
    moved[1, 0] += 0.002
    atoms.set_positions(moved)
    return [atoms.get_distance(0, k, mic=True) for k in (1, 2)]


places = [(x, y) for x in np.arange(0, 5.77, 0.2) for y in np.arange(0, 5.0, 0.2)]
for wrapped in (True, False):
    found = [bonds_after_a_small_move(x, y, wrapped) for x, y in places]
    torn = [bonds for bonds in found if abs(bonds[0] - BOND) > 0.01]
    print(f"wrapped: {wrapped}; torn in {len(torn)} of {len(places)} places", torn[:1])
    assert bool(torn) == wrapped, "this ASE no longer does it, or does more"
PYTHON
