"""Speed of e3md beside mace-torch, nequip, schnetpack, symmetrix-xl and sevenn, on the same weights.

    python benchmarks/speed/run.py -o OUTPUT --peers ENVIRONMENTS [--make-peers]
        [--systems si512 water1536 ...] [--models mace_64x0e ...] [--threads 1 2]
        [--dtypes float32 float64]

ENVIRONMENTS: a folder of virtual environments mace, nequip, schnetpack, symmetrix, sevennet;
--make-peers installs those that the models need.
Rows go to OUTPUT/speed.json as they are measured, a table to the terminal, a plot to
OUTPUT/speed.png. Times are medians over steps in which atoms move as in molecular dynamics.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import models  # first: knows where other programs' scripts are
import systems
import torch
from ase.io import read, write
from environments import make_environments
from flops import flops_per_atom, sgemm_peak
from plot import plot
from rich.console import Console
from rich.table import Table
from timers import time_in_ase, time_in_lammps

from e3md.bench import machine
from e3md.model import build_model
from e3md.neighbors import neighbor_list
from e3md.train.initial import InitialModel, load_initial

COLUMNS = {
    "model": "model", "system": "system", "dtype": "dtype", "threads": "threads",
    "neighbors": "neighbors", "ase": "ASE", "lammps": "LAMMPS", "peer": "peer",
    "ratio": "ratio", "energy_difference": "ΔE (eV/atom)", "peak_mb": "peak MB", "peer_peak_mb": "its peak",
    "mflop": "MFLOP/atom", "of_peak": "of SGEMM",
}  # fmt: skip


def time_peer(
    model: models.Model, path: Path, structure: Path, dtype: str, threads: int, steps: int
) -> Any:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    arguments = (str(path), str(structure), dtype, str(threads), str(steps))
    return json.loads(models.peer(model, args.peers, "time", *arguments).splitlines()[-1])


def count_flops(initial: InitialModel, n_neighbors: float) -> float:
    built = build_model(initial.config, initial.statistics, torch.float64)
    return flops_per_atom(built, n_neighbors).total()


def measure(name: str, system: str, dtype: str, threads: int) -> dict[str, Any]:
    """One row."""
    model, family = models.MODELS[name], systems.family(system)
    path = models.make(name, systems.FAMILIES[family], family, args.output, args.peers)
    converted, structure = Path(f"{path}.pt"), (args.output / f"{system}.extxyz").resolve()
    if not structure.is_file():
        write(structure, systems.make(system))
    atoms = read(structure)
    n, steps = len(atoms), args.steps
    initial = load_initial(converted)
    cutoff = initial.config.cutoff
    edges = len(neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)[0])
    ours = time_in_ase(converted, structure, dtype, threads, steps)
    lammps = time_in_lammps(converted, structure, dtype, threads, steps, 1)
    row = {
        "model": name, "system": system, "atoms": n, "neighbors": edges / n, "dtype": dtype,
        "threads": threads, "ase": 1e6 * ours["seconds"] / n, "lammps": 1e6 * lammps / n,
        "peak_mb": ours["peak_mb"], "mflop": count_flops(initial, edges / n) / 1e6,
        "instructions": ours["instructions"],
    }  # fmt: skip
    if args.ranks > 1:
        ranks = time_in_lammps(converted, structure, dtype, threads, steps, args.ranks)
        row[f"lammps_{args.ranks}_ranks"] = 1e6 * ranks / n
    row["of_peak"] = row["mflop"] * 1e3 / row["ase"] / peaks[threads]
    if args.no_peers:
        return row
    try:
        theirs = time_peer(model, path, structure, dtype, threads, max(3, steps // 4))
    except RuntimeError as error:
        console.print(f"{model.program} fails: {error}", soft_wrap=True)
        return row
    return row | {
        "peer": 1e6 * theirs["seconds"] / n, "peer_peak_mb": theirs["peak_mb"],
        "ratio": theirs["seconds"] / ours["seconds"],
        "energy_difference": abs(theirs["energy"] - ours["energy"]) / n,
        "peer_instructions": theirs["instructions"],
    }  # fmt: skip


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(*COLUMNS.values())
    for row in rows:
        cells = [row.get(key, "") for key in COLUMNS]
        table.add_row(*(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells))
    console.print(table)


def show_instructions(row: dict[str, Any]) -> None:
    """Of both sides: what a ratio of times depends on most."""
    program = models.MODELS[row["model"]].program
    theirs = row.get("peer_instructions", "not run")
    console.print(f"e3md: {row['instructions']}; {program}: {theirs}", soft_wrap=True)


parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("-o", "--output", type=Path, required=True)
parser.add_argument("--peers", type=Path, required=True)
parser.add_argument("--make-peers", action="store_true")
parser.add_argument("--no-peers", action="store_true", help="time e3md alone")
parser.add_argument("--systems", nargs="+", default=["si512"], choices=systems.NAMES)
parser.add_argument("--models", nargs="+", default=models.ANY_SYSTEM, choices=models.MODELS)
parser.add_argument("--threads", nargs="+", type=int, default=[1])
parser.add_argument("--dtypes", nargs="+", default=["float32"])
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--ranks", type=int, default=1, help="also time LAMMPS on so many ranks")
args = parser.parse_args()
args.output.mkdir(parents=True, exist_ok=True)
console = Console(width=170, highlight=False)
if args.make_peers:
    make_environments(args.peers, {models.MODELS[name].program for name in args.models})
peaks = {threads: sgemm_peak(threads) for threads in args.threads}
console.print(machine())
for threads, peak in peaks.items():
    console.print(f"SGEMM on {threads} thread(s): {peak:.0f} GFLOP/s")
rows: list[dict[str, Any]] = []
for system in args.systems:
    for name in args.models:
        for dtype in args.dtypes:
            for threads in args.threads:
                rows.append(measure(name, system, dtype, threads))
                show(rows[-1:])
                show_instructions(rows[-1])
                record = {"sgemm_gflops": peaks, "rows": rows}
                (args.output / "speed.json").write_text(json.dumps(record, indent=1))
console.print("times in µs per atom and step; ratio: peer over e3md, both in ASE")
show(rows)
plot(rows, args.output / "speed.png")
