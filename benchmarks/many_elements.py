"""What a model of many elements costs that is evaluated on three, beside one of these three alone.

    OMP_NUM_THREADS=1 python benchmarks/many_elements.py [--elements 89] [--irreps 128x0e+128x1o]

MACE with random weights: of many elements with Agnesi distances, densities and ZBL, as foundation models
have them, and of Sr, Ti and O without. SrTiO₃, float32, ASE. Each model is loaded and run in processes of
its own, in turn; the shortest step of each counts, and the largest load and memory.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from ase import Atoms
from ase.data import chemical_symbols
from rich.console import Console
from rich.table import Table

from e3md import E3Calculator
from e3md.bench import describe
from e3md.data.statistics import Statistics
from e3md.export import save_model
from e3md.memory import status_kilobytes
from e3md.model import MACEConfig, build_model
from e3md.model_file import TrainingRecord

CUTOFF, LATTICE = 6.0, 3.76  # Å: 91 neighbors
FEW, STEPS = 2, 4
COLUMNS = (
    "model",
    "file, MB",
    "export, s",
    "load and first step, s",
    "µs/atom/step",
    "resident, MB",
)


def strontium_titanate(repeat: int) -> Atoms:
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    cell = Atoms("SrTiO3", scaled_positions=sites, cell=[LATTICE] * 3, pbc=True)
    atoms = cell.repeat(repeat)
    atoms.rattle(0.02)
    return atoms


def write(path: Path, species: tuple[str, ...], **options: Any) -> float:
    """A model with random weights; the seconds its export takes."""
    torch.manual_seed(0)
    config = MACEConfig(cutoff=CUTOFF, **options)
    e0s = tuple(-1.0 * k for k in range(len(species)))
    statistics = Statistics(species, e0s, scale=0.8, shift=0.0, avg_num_neighbors=60.0)
    model = build_model(config, statistics, torch.float32)
    begin = time.perf_counter()
    save_model(model, config, statistics, TrainingRecord(), path)
    return time.perf_counter() - begin


def measure(model: Path) -> dict[str, Any]:
    """In a process that does nothing else."""
    begin = time.perf_counter()
    calculator = E3Calculator(model)
    few, many = strontium_titanate(FEW), strontium_titanate(5)
    few.calc = many.calc = calculator
    few.get_forces()
    ready = time.perf_counter() - begin
    rng, seconds = np.random.default_rng(0), []
    for _ in range(STEPS):
        many.positions += rng.normal(scale=0.001, size=many.positions.shape)
        start = time.perf_counter()
        many.get_forces()
        seconds.append(time.perf_counter() - start)
    peak = status_kilobytes("/proc/self/status", "VmHWM") / 1e3
    text = describe(many, calculator)
    return {"ready": ready, "step": 1e6 * min(seconds) / len(many), "peak": peak, "what": text}


def measured_apart(model: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", str(model)]
    run = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def main(
    elements: Annotated[int, typer.Option(min=38, max=96, help="the first so many")] = 89,
    irreps: Annotated[str, typer.Option(help="hidden irreps of both")] = "128x0e+128x1o",
    repeats: Annotated[int, typer.Option(min=1, help="processes of each model")] = 2,
    measure_only: Annotated[Path | None, typer.Option("--measure", hidden=True)] = None,
) -> None:
    if measure_only:
        print(json.dumps(measure(measure_only)))
        return
    console, table = Console(), Table(*COLUMNS)
    interaction = {"first_interaction": "density", "interaction": "density_residual"}
    with tempfile.TemporaryDirectory() as folder:
        many, three = Path(folder) / "many.pt", Path(folder) / "three.pt"
        of_many = tuple(chemical_symbols[1 : elements + 1])
        exports = {
            many: write(many, of_many, hidden_irreps=irreps, distance_transform="agnesi",
                        zbl=True, **interaction),
            three: write(three, ("O", "Ti", "Sr"), hidden_irreps=irreps),
        }  # fmt: skip
        runs = [(path, measured_apart(path)) for _ in range(repeats) for path in (many, three)]
        for path, export in exports.items():
            own = [found for of, found in runs if of == path]
            console.print(f"{path.stem}: {own[0]['what']}", soft_wrap=True, highlight=False)
            table.add_row(
                path.stem, f"{path.stat().st_size / 1e6:.1f}", f"{export:.1f}",
                f"{max(f['ready'] for f in own):.2f}", f"{min(f['step'] for f in own):.0f}",
                f"{max(f['peak'] for f in own):.0f}",
            )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
