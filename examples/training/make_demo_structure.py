"""Make the demo's starting structure: the last frame of MD with the trained potential.

    python make_demo_structure.py model.pt START -o lips.extxyz

START is any structure of the composition, for example a training frame; the MD of the potential
itself, 2 ps at each of two temperatures, takes it away from there.
"""

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from rich.progress import track

from e3md import E3Calculator

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model", type=Path)
parser.add_argument("start", type=Path, help="file that ASE reads; its first frame is used")
parser.add_argument("--hot", type=float, default=600.0, help="K")
parser.add_argument("--temperature", type=float, default=600.0, help="K")
parser.add_argument("--length", type=float, default=2.0, help="of each of the two parts, ps")
parser.add_argument("--timestep", type=float, default=1.0, help="fs")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("-o", "--output", type=Path, default=Path("lips.extxyz"))
args = parser.parse_args()

rng = np.random.default_rng(args.seed)
frame = read(args.start, 0)
atoms = Atoms(frame.symbols, positions=frame.positions, cell=frame.cell, pbc=frame.pbc)
atoms.calc = E3Calculator(str(args.model))
thermalize_momenta(atoms, temperature_K=args.hot, rng=rng)
for temperature in (args.hot, args.temperature):
    langevin = Langevin(
        atoms,
        args.timestep * units.fs,
        temperature_K=temperature,
        friction=0.01 / units.fs,
        rng=rng,
    )
    n_steps = round(args.length * 1000 / args.timestep)
    for _ in track(langevin.irun(n_steps), f"{temperature:g} K", total=n_steps + 1):
        pass
atoms.wrap()
final = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
write(args.output, final)
print(f"wrote {args.output}: {len(final)} atoms after {2 * args.length:g} ps of MD")
