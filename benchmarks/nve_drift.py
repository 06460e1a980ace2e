"""Drift of the conserved energy of the demo system in NVE, in ASE and LAMMPS, double and single.

    python benchmarks/nve_drift.py [--length 20] [--model model.pt]

Prints eV/atom/ps with machine, threads, dtype and number of atoms. Bounds: 1e-5 in float64, 1e-4
in float32.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from ase.io import read
from ase.md.velocitydistribution import Stationary, thermalize_momenta

from e3md import E3Calculator
from e3md.bench import machine
from e3md.demo import MODEL_PATH, STRUCTURE_PATH
from e3md.md.simulate import Protocol, run_ase, run_lammps

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", type=Path, default=MODEL_PATH)
parser.add_argument("--structure", type=Path, default=STRUCTURE_PATH)
parser.add_argument("--length", type=float, default=20.0, help="of the NVE run, ps")
parser.add_argument("--equilibration", type=float, default=1.0, help="NVT before, ps")
parser.add_argument("--temperature", type=float, default=600.0, help="K")
parser.add_argument("--timestep", type=float, default=1.0, help="fs")
parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
parser.add_argument("--ranks", type=int, default=1, help="MPI ranks of LAMMPS")
args = parser.parse_args()

atoms = read(args.structure)
thermalize_momenta(
    atoms, temperature_K=args.temperature, rng=np.random.default_rng(1), exact_temperature=True
)
Stationary(atoms)
species = sorted(set(atoms.get_chemical_symbols()))
protocol = Protocol(
    temperature=args.temperature,
    timestep=args.timestep,
    nvt_steps=round(args.equilibration * 1000 / args.timestep),
    nve_steps=round(args.length * 1000 / args.timestep),
)
threads = os.environ.get("OMP_NUM_THREADS", "all")
print(f"{machine()}, OMP_NUM_THREADS {threads}, {len(atoms)} atoms")
print(f"NVE {args.length:g} ps at {args.temperature:g} K, {args.timestep:g} fs; eV/atom/ps")
for dtype in args.dtypes:
    with tempfile.TemporaryDirectory() as folder:
        calculator = E3Calculator(args.model, dtype=dtype)
        ase_run = run_ase(atoms, calculator, protocol, lambda done: None)
        print(f"ASE     {dtype}  {ase_run.drift:+.2e}", flush=True)
        lammps_run = run_lammps(
            atoms, args.model, species, protocol, Path(folder), args.ranks, f"dtype {dtype}"
        )
        print(f"LAMMPS  {dtype}  {lammps_run.drift:+.2e}  ({args.ranks} ranks)", flush=True)
