#!/usr/bin/env bash
# i-PI 3.3.1: an ASE driver with has_stress=False cannot give anything.
#
# ipi.pes._ase.ASEDriver documents has_stress ("whether the model can compute stress"). With False it
# puts np.zeros(9) in the place of the stress, and its own check then accepts only six numbers or a
# 3 x 3 matrix. So the option that is meant for calculators without a stress, or for molecules, stops
# at the first step:
#
#     ValueError: The stress tensor should have shape (3,3) but it has shape (9,).
#
# With the default, True, a calculator that knows no stress stops in ASE (PropertyNotImplementedError).
# What works: a calculator whose get_stress succeeds whenever the cell has three vectors, whatever pbc.
# i-PI always sends such a cell, also for molecules, and asks for a virial in every ensemble.
#
# Seen with ipi 3.3.1, ase 3.29.0, numpy 2.4.6, Python 3.11. Exits non-zero if it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet ipi==3.3.1 ase==3.29.0
venv/bin/python - <<'PY'
import numpy as np
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.io import write
from ipi.pes._ase import ASEDriver


class Driver(ASEDriver):
    def check_parameters(self):
        super().check_parameters()
        self.ase_calculator = LennardJones(rc=6.0)


write("dimer.extxyz", Atoms("Ar2", [[0, 0, 0], [0, 0, 1.2]], cell=[12, 12, 12], pbc=False))
cell, positions = 22.0 * np.eye(3), np.array([[0, 0, 0], [0, 0, 2.3]])  # bohr, as i-PI sends them

energy, forces, virial, _ = Driver("dimer.extxyz")(cell, positions)
virial = np.reshape(virial, (3, 3))
assert np.isfinite(energy) and abs(virial[2, 2]) > 0, "the default gives energy, forces and virial"
print(f"has_stress=True: energy {energy:.6f} Ha, virial zz {virial[2, 2]:.6f} Ha")
try:
    Driver("dimer.extxyz", has_stress=False)(cell, positions)
except ValueError as error:
    print(f"has_stress=False: ValueError: {error}")
    assert "(3,3) but it has shape (9,)" in str(error), error
else:
    raise SystemExit("changed: has_stress=False works now")
PY
