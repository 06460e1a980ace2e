#!/usr/bin/env bash
# ASE 3.29.0 does not read back all that it writes or accepts as extended XYZ, without a word:
#   1. An info entry that is an empty text is written as `comment= energy=-1.5`; read again, the next
#      key becomes its value: the energy is gone (or pbc, and a slab is periodic in three directions).
#   2. A blank line between two frames ends the file: the frames after it are not read.
#   3. `ase.io.extxyz.iread_xyz` takes the first digit of the count line for the number of atoms: 12
#      atoms are read as 1, and the second frame then begins in the middle of the first.
# Seen: {'comment': 'energy=-1.5'} and no energy; 1 of 2 frames; ValueError in place of two frames.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ase==3.29.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import io

import ase.io
from ase.build import fcc111
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import iread_xyz

slab = fcc111("Cu", (2, 2, 3), vacuum=8.0)
slab.info["comment"] = ""
slab.calc = SinglePointCalculator(slab, energy=-1.5)
ase.io.write("slab.extxyz", [slab, slab])

read = ase.io.read("slab.extxyz", 0)
print("1.", read.info, "results:", read.calc and read.calc.results)
assert read.info["comment"] == "energy=-1.5" and read.calc is None

frame = "1\nProperties=species:S:1:pos:R:3\nSi 0 0 0\n"
frames = ase.io.read(io.StringIO(frame + "\n" + frame), ":", format="extxyz")
print("2.", len(frames), "of 2 frames")
assert len(frames) == 1

try:
    found = [len(atoms) for atoms in iread_xyz(open("slab.extxyz"))]
except ValueError as error:
    print("3.", type(error).__name__, error)
else:
    raise SystemExit(f"iread_xyz now reads frames of {found} atoms")
PYTHON
