"""Speed of LAMMPS on several MPI ranks over one, one thread per rank.

    python benchmarks/mpi_scaling.py [--model model.pt] [--replicate 3 3 2] [--ranks 1 2]

Prints machine, dtype, atoms, neighbors per atom, ghost cutoff, ghosts per rank, time per step and
the ratio to the first number of ranks. Runs of all rank counts alternate; the fastest of each counts.
"""

import argparse
import re
import tempfile
from pathlib import Path

import numpy as np
from ase.io import read

from e3md import E3Calculator
from e3md.bench import machine
from e3md.demo import MODEL_PATH, STRUCTURE_PATH
from e3md.lammps.inputs import potential, structure
from e3md.lammps.runner import run_input
from e3md.lammps.structure import write_data
from e3md.neighbors import neighbor_list

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", type=Path, default=MODEL_PATH)
parser.add_argument("--structure", type=Path, default=STRUCTURE_PATH)
parser.add_argument("--replicate", type=int, nargs=3, default=[3, 3, 2])
parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
parser.add_argument("--steps", type=int, default=30)
parser.add_argument("--repeats", type=int, default=3)
args = parser.parse_args()

atoms = read(args.structure) * args.replicate
calculator = E3Calculator(str(args.model))
species = sorted(set(atoms.get_chemical_symbols()))
n_edges = len(neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, calculator.cutoff)[0])
print(f"{machine()}, 1 thread per rank, {calculator.dtype}")
print(f"{len(atoms)} atoms, {n_edges / len(atoms):.0f} neighbors within {calculator.cutoff:g} Å")

INPUT = f"""{structure("start.data")}{potential(args.model, species)}
velocity all create 600 1
fix 1 all nve
timestep 0.001
thermo 10
run 5
run {args.steps}
"""

times: dict[int, list[float]] = {n: [] for n in args.ranks}
logs: dict[int, str] = {}
with tempfile.TemporaryDirectory() as folder:
    write_data(Path(folder) / "start.data", atoms, species)
    for _ in range(args.repeats):
        for n in args.ranks:
            logs[n] = run_input(INPUT, n, Path(folder))
            times[n].append(float(re.findall(r"Loop time of (\S+) on", logs[n])[-1]) / args.steps)

first = min(times[args.ranks[0]])
for n in args.ranks:
    cutoff = re.findall(r"ghost atom cutoff = (\S+)", logs[n])[-1]
    ghosts = re.findall(r"Nghost:\s+(\S+) ave", logs[n])[-1]
    best = min(times[n])
    print(
        f"{n} ranks: ghost cutoff {cutoff} Å, {ghosts} ghosts per rank, {1e3 * best:.1f} ms/step "
        f"(spread {1e3 * np.ptp(times[n]):.1f}), {1e6 * best / len(atoms):.0f} µs/atom, "
        f"speed-up {first / best:.2f}"
    )
    print("   " + "\n   ".join(re.findall(r"^(?:Pair|Comm|Neigh|Modify) .*", logs[n], re.M)[-4:]))
