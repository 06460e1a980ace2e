"""Write one start for both engines: start.extxyz (ASE) and start.data (LAMMPS), with velocities."""

import argparse
from pathlib import Path

import numpy as np
from ase.io import read, write
from ase.md.velocitydistribution import Stationary, thermalize_momenta

from e3md.demo import STRUCTURE_PATH
from e3md.lammps.structure import write_data

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--structure", type=Path, default=STRUCTURE_PATH, help="file that ASE reads")
parser.add_argument("--repeat", type=int, default=1, help="copies along each lattice vector")
parser.add_argument("--temperature", type=float, required=True, help="of the velocities, K")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("-o", "--output", type=Path, default=Path())
args = parser.parse_args()

atoms = read(args.structure).repeat(args.repeat)
if not atoms.pbc.all():
    parser.error(
        f"{args.structure}: pbc is {atoms.pbc.tolist()}, and the inputs here are for three periodic "
        "directions. Add vacuum wider than the model's cutoff and set pbc=True"
    )
if atoms.constraints:  # the inputs of both engines move every atom
    print(f"left out: {len(atoms.constraints)} constraint(s) of {args.structure}")
    atoms.set_constraint()
rng = np.random.default_rng(args.seed)
thermalize_momenta(atoms, temperature_K=args.temperature, rng=rng)
Stationary(atoms)
args.output.mkdir(parents=True, exist_ok=True)
write(args.output / "start.extxyz", atoms, columns=["symbols", "positions", "momenta"])
species = sorted(set(atoms.get_chemical_symbols()))
write_data(args.output / "start.data", atoms, species, velocities=True)
print(f"{len(atoms)} atoms; LAMMPS types 1..{len(species)}: {' '.join(species)}")
