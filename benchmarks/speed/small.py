"""What a step of few atoms costs, in units of what its atoms cost in a large system.

    python benchmarks/speed/small.py -o OUTPUT --peers ENVIRONMENTS [--make-peers]

For the shipped potential (NequIP form, l ≤ 2) and MACE 64x0e of random weights, built with mace-torch
in ENVIRONMENTS/mace: float32, one thread, in ASE and in LAMMPS. All structures are one periodic
lattice, so atoms have the same neighbors in each; c is the time per atom of the largest. `first` is
the first step of a fresh process after the calculator was made, over the median of later ones.
The table goes to the terminal, and with all figures to OUTPUT/small.json.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import models
import numpy as np
import systems
from ase import Atoms
from ase.io import read, write
from environments import make_environments
from rich.console import Console
from rich.table import Table
from timers import time_in_ase

from e3md.bench import machine, seconds_in_lammps
from e3md.demo import MODEL_PATH, STRUCTURE_PATH
from e3md.neighbors import neighbor_list

SIZES = {8: (2, 2, 2), 15: (1, 3, 5), 52: (2, 2, 13), 2000: (10, 10, 20)}  # sites of the lattice
AT_MOST = {8: 1.65, 15: 1.5, 52: 1.2}  # times N·c: what is aimed for
FIRST_AT_MOST = 2.0  # later steps
CUTOFF = 5.0  # of both models, Å
DTYPE = "float32"
# A random alloy is far from rest: slower, so that no atom moves far enough for a new neighbor list.
SLOW = "timestep 1e-6"
COLUMNS = (
    "model", "atoms", "neighbors", "ASE (ms)", "of N·c", "LAMMPS (ms)", "of N·c", "at most",
    "first", "at most",
)  # fmt: skip


def lattice(n_atoms: int) -> Atoms:
    """Li, P and S at random sites of a rattled simple cubic lattice, as dense as the demo's crystal."""
    rng = np.random.default_rng(n_atoms)
    crystal = read(STRUCTURE_PATH)
    assert isinstance(crystal, Atoms)
    spacing = (crystal.get_volume() / len(crystal)) ** (1 / 3)
    sites = spacing * np.array(list(np.ndindex(SIZES[n_atoms])))
    sites += rng.normal(scale=0.03, size=sites.shape)
    symbols = rng.choice(crystal.get_chemical_symbols(), size=n_atoms)
    return Atoms(symbols, sites, cell=spacing * np.array(SIZES[n_atoms]), pbc=True)


def measure(name: str, model: Path, n_atoms: int, folder: Path) -> dict[str, Any]:
    """Times of one size, in ms."""
    atoms, structure = lattice(n_atoms), folder / f"lattice{n_atoms}.extxyz"
    write(structure, atoms)
    steps = max(20, 4000 // n_atoms)
    ase = time_in_ase(model, structure, DTYPE, 1, steps)
    lammps = seconds_in_lammps(model, atoms, DTYPE, 1, steps, SLOW)
    edges = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, CUTOFF)[0]
    return {
        "model": name, "atoms": n_atoms, "neighbors": len(edges) / n_atoms,
        "ase_ms": 1e3 * ase["seconds"], "lammps_ms": 1e3 * lammps,
        "first_ms": 1e3 * ase["first_seconds"], "first": ase["first_seconds"] / ase["seconds"],
    }  # fmt: skip


def add_multiples(rows: list[dict[str, Any]]) -> None:
    """Of N·c, the rows of one model; the last is the large system."""
    for engine in ("ase", "lammps"):
        cost = rows[-1][f"{engine}_ms"] / rows[-1]["atoms"]
        for row in rows:
            row[f"{engine}_multiple"] = row[f"{engine}_ms"] / row["atoms"] / cost


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(
            row["model"], str(row["atoms"]), f"{row['neighbors']:.1f}",
            f"{row['ase_ms']:.3f}", f"{row['ase_multiple']:.2f}",
            f"{row['lammps_ms']:.3f}", f"{row['lammps_multiple']:.2f}",
            str(AT_MOST.get(row["atoms"], "")), f"{row['first']:.2f}", f"{FIRST_AT_MOST:g}",
        )  # fmt: skip
    console.print(table)


parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("-o", "--output", type=Path, required=True)
parser.add_argument("--peers", type=Path, required=True)
parser.add_argument("--make-peers", action="store_true")
args = parser.parse_args()
args.output.mkdir(parents=True, exist_ok=True)
os.environ["OMP_NUM_THREADS"] = "1"
console = Console(width=120, highlight=False)
console.print(machine())
if args.make_peers:
    make_environments(args.peers, ["mace"])
mace = models.make("mace_64x0e", systems.FAMILIES["lips"], "lips", args.output, args.peers)
rows: list[dict[str, Any]] = []
for name, model in {"shipped": MODEL_PATH, "mace_64x0e": Path(f"{mace}.pt")}.items():
    of_model = [measure(name, model, n_atoms, args.output) for n_atoms in SIZES]
    add_multiples(of_model)
    rows += of_model
record = {"machine": machine(), "rows": rows}
(args.output / "small.json").write_text(json.dumps(record, indent=1))
show(rows)
