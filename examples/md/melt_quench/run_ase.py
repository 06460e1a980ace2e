"""A glass by melt and quench with ASE: Langevin dynamics at constant volume.

The same physics as in.lammps. Reads start.extxyz (../prepare.py), writes melt.traj, quench.traj
and anneal.traj. A stage whose last frame (STAGE.extxyz) is there is not run again.
"""

import argparse
from pathlib import Path

import numpy as np
from ase import units
from ase.io import read, write
from ase.md.langevin import Langevin

from e3md import E3Calculator
from e3md.demo import MODEL_PATH
from e3md.md.dynamics import run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", type=Path, help="model file; default: the demo's potential")
parser.add_argument("--hot", type=float, default=1200.0, help="of the melt, K")
parser.add_argument("--cold", type=float, default=300.0, help="of the glass, K")
parser.add_argument("--rate", type=float, default=50.0, help="of the quench, K/ps")
parser.add_argument("--melt", type=float, default=10.0, help="ps")
parser.add_argument("--anneal", type=float, default=10.0, help="ps")
parser.add_argument("--timestep", type=float, default=1.0, help="fs")
parser.add_argument("--damping", type=float, default=100.0, help="of the thermostat, fs")
parser.add_argument("--interval", type=int, default=50, help="steps between frames")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--quick", action="store_true", help="a few steps, to try it out")
args = parser.parse_args()
if args.quick:
    args.melt, args.anneal, args.rate, args.interval = 0.02, 0.05, 45000.0, 1

# name, length (ps), temperature at the beginning and at the end (K)
stages = (
    ("melt", args.melt, args.hot, args.hot),
    ("quench", (args.hot - args.cold) / args.rate, args.hot, args.cold),
    ("anneal", args.anneal, args.cold, args.cold),
)
rng = np.random.default_rng(args.seed)
atoms = read("start.extxyz")
for name, length, begin, end in stages:
    last = Path(f"{name}.extxyz")
    if last.exists():
        atoms = read(last)
        continue
    atoms.calc = E3Calculator(args.model or MODEL_PATH)
    n_steps = round(length * 1000 / args.timestep)
    friction = 1 / (args.damping * units.fs)
    langevin = Langevin(
        atoms, args.timestep * units.fs, temperature_K=begin, friction=friction, rng=rng
    )

    def ramp(dynamics=langevin, begin=begin, end=end, n_steps=n_steps) -> None:
        fraction = dynamics.nsteps / n_steps
        dynamics.set_temperature(temperature_K=begin + (end - begin) * fraction)

    if begin != end:
        langevin.attach(ramp, interval=1)
    run(langevin, n_steps, args.interval, Path(f"{name}.traj"))
    write(last, atoms, columns=["symbols", "positions", "momenta"])
