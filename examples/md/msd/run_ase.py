"""Lithium diffusion with ASE: Langevin equilibration, then NVT (Nosé-Hoover chain).

The same physics as in.lammps. Reads start.extxyz (../prepare.py), writes nvt.traj.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from ase import units
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import NoseHooverChainNVT

from e3md import E3Calculator
from e3md.demo import MODEL_PATH
from e3md.md.dynamics import run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", type=Path, help="model file; default: the demo's potential")
parser.add_argument("--temperature", type=float, default=600.0, help="K")
parser.add_argument("--timestep", type=float, default=1.0, help="fs")
parser.add_argument("--damping", type=float, default=100.0, help="of both thermostats, fs")
parser.add_argument("--equilibration", type=float, default=5.0, help="ps")
parser.add_argument("--production", type=float, default=100.0, help="ps")
parser.add_argument("--interval", type=int, default=50, help="steps between frames")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--quick", action="store_true", help="a few steps, to try it out")
args = parser.parse_args()
if args.quick:
    args.equilibration, args.production, args.interval = 0.02, 0.1, 1

atoms = read("start.extxyz")
if atoms.constraints:
    # this thermostat counts 3 degrees of freedom per atom, and would hold the others far too cold
    sys.exit(
        "NoseHooverChainNVT is wrong with constraints: use ase.md.langevin.Langevin throughout"
    )
atoms.calc = E3Calculator(args.model or MODEL_PATH)
step = args.timestep * units.fs
damping = args.damping * units.fs

langevin = Langevin(
    atoms,
    step,
    temperature_K=args.temperature,
    friction=1 / damping,
    rng=np.random.default_rng(args.seed),
)
run(langevin, round(args.equilibration * 1000 / args.timestep), args.interval, None)

nvt = NoseHooverChainNVT(atoms, step, temperature_K=args.temperature, tdamp=damping, tchain=3)
run(nvt, round(args.production * 1000 / args.timestep), args.interval, Path("nvt.traj"))
