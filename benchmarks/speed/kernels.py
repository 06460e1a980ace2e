"""µs and floating-point operations of each step of a model's plan, one thread.

    OMP_NUM_THREADS=1 python benchmarks/speed/kernels.py MODEL [--system srtio3_625] [--dtype float32]

The least of several evaluations counts for each step. Operations are counted as in flops.py: those of
steps with no figure are not.
"""

from pathlib import Path
from typing import Annotated

import systems
import torch
import typer
from flops import flops_per_atom, sgemm_peak
from rich.console import Console
from rich.table import Table

from e3md import E3Calculator
from e3md._core import NeighborList, Potential
from e3md.bench import describe
from e3md.model import build_model
from e3md.train.initial import load_initial

REPEATS = 10


def main(
    model: Annotated[Path, typer.Argument(help="model file of its species")],
    system: Annotated[str, typer.Option(help=f"one of {', '.join(systems.NAMES)}")] = "srtio3_625",
    dtype: str = "float32",
) -> None:
    peak, console = sgemm_peak(1), Console(width=120)
    atoms = systems.make(system)
    potential = Potential(str(model), dtype=dtype)
    list_ = NeighborList(potential.metadata.cutoff)
    types = [potential.metadata.type_of(symbol) for symbol in atoms.symbols]
    structure = (types, atoms.positions, atoms.cell.array, atoms.pbc, list_)
    runs = [potential.step_times(*structure) for _ in range(REPEATS)]
    console.print(describe(atoms, E3Calculator(model, dtype=dtype)), soft_wrap=True)
    console.print(f"SGEMM of order 1024 on one thread: {peak:.0f} GFLOP/s (float32)")

    n = len(atoms)
    table = Table("step", "forward, µs/atom", "backward, µs/atom")
    spent: dict[str, float] = {}
    for steps in zip(*runs, strict=True):
        kind, forward, backward = steps[0][0], *(1e6 / n * min(s[k] for s in steps) for k in (1, 2))
        table.add_row(kind, f"{forward:.2f}", f"{backward:.2f}")
        spent[kind] = spent.get(kind, 0.0) + forward + backward
    console.print(table)

    initial = load_initial(model)
    edges = len(list_.edges(atoms.positions, atoms.cell.array, atoms.pbc)[0])
    flops = flops_per_atom(
        build_model(initial.config, initial.statistics, torch.float64), edges / n
    )
    table = Table("kind", "µs/atom", "MFLOP/atom", "GFLOP/s", "of SGEMM")
    for kind, time in sorted(spent.items(), key=lambda item: -item[1]):
        rate = 1e-3 * flops[kind] / time if kind in flops else None
        counted = [f"{1e-6 * flops[kind]:.2f}", f"{rate:.0f}", f"{rate / peak:.2f}"] if rate else []
        table.add_row(kind, f"{time:.2f}", *counted)
    total = sum(spent.values())
    rate = 1e-3 * flops.total() / total
    all_flops = f"{1e-6 * flops.total():.2f}"
    table.add_row("all", f"{total:.2f}", all_flops, f"{rate:.0f}", f"{rate / peak:.2f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
