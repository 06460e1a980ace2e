"""Time of a committee of four against one of its members, in ASE and LAMMPS, one thread, one run.

    OMP_NUM_THREADS=1 python benchmarks/committee.py [--repeat 4] [--members 4] [--repeats 5]

Random weights, silicon. "mean": energies and forces alone; "deviations": those of every member too, on
every step, or on every tenth. Rounds alternate between all ways, the shortest time of each counts.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from ase import Atoms
from ase.build import bulk
from rich.console import Console
from rich.table import Table

from e3md import E3Calculator
from e3md.bench import describe, seconds_in_lammps
from e3md.data.statistics import Statistics
from e3md.export import save_model
from e3md.model import MACEConfig, ModelConfig, NequIPConfig, SchNetConfig, build_model
from e3md.model.committee import Committee
from e3md.model_file import TrainingRecord

MODELS: dict[str, ModelConfig] = {
    "NequIP 32 channels, l ≤ 1": NequIPConfig(cutoff=5.0, channels=32, l_max=1),
    "NequIP 32 channels, l ≤ 2": NequIPConfig(cutoff=5.0, channels=32, l_max=2),
    "MACE 64x0e": MACEConfig(cutoff=5.0, hidden_irreps="64x0e"),
    "SchNet 64 channels": SchNetConfig(cutoff=5.0, channels=64),
}
COLUMNS = ("one", "mean", "deviations", "every tenth")
STEPS = 12
WATCH = """compute dev all e3nn/std
compute top all reduce max c_dev
thermo {every}
thermo_style custom step c_top"""


def write_models(config: ModelConfig, members: int, folder: Path) -> tuple[Path, Path]:
    """Files of one model and of a committee."""
    statistics = Statistics(("Si",), (0.0,), scale=1.0, shift=0.0, avg_num_neighbors=28.0)
    models = [build_model(config, statistics, torch.float32) for _ in range(members)]
    paths = folder / "one.pt", folder / "committee.pt"
    for model, path in zip((models[0], Committee(models)), paths, strict=True):
        save_model(model, config, statistics, TrainingRecord(), path)
    return paths


def ways(one: Path, committee: Path, atoms: Atoms) -> dict[tuple[str, str], Callable[[], float]]:
    """Program and column -> seconds per step."""

    def lammps(model: Path, commands: str = "") -> Callable[[], float]:
        return lambda: seconds_in_lammps(model, atoms, "float32", 1, STEPS, commands)

    return {
        ("ASE", "one"): in_ase(one, atoms),
        ("ASE", "deviations"): in_ase(committee, atoms),
        ("LAMMPS", "one"): lammps(one),
        ("LAMMPS", "mean"): lammps(committee),
        ("LAMMPS", "deviations"): lammps(committee, WATCH.format(every=1)),
        ("LAMMPS", "every tenth"): lammps(committee, WATCH.format(every=10)),
    }


def in_ase(model: Path, atoms: Atoms) -> Callable[[], float]:
    """A calculator, which gives deviations with every evaluation of a committee."""
    moving = atoms.copy()
    moving.calc = E3Calculator(model)

    def seconds() -> float:
        times = []
        for _ in range(STEPS):
            moving.positions += 1e-3
            start = time.perf_counter()
            moving.get_forces()
            times.append(time.perf_counter() - start)
        return min(times)

    return seconds


def rows(timed: dict[tuple[str, str], Callable[[], float]], repeats: int, n_atoms: int) -> list:
    """Program, then a cell per column: µs per atom and step, and the ratio to one model."""
    rounds = [{way: run() for way, run in timed.items()} for _ in range(repeats)]
    best = {way: min(seconds[way] for seconds in rounds) for way in timed}
    found = []
    for program in ("ASE", "LAMMPS"):
        cells = []
        for column in COLUMNS:
            seconds = best.get((program, column))
            ratio = seconds / best[program, "one"] if seconds else 0.0
            cells.append(f"{1e6 * seconds / n_atoms:.1f} ({ratio:.2f})" if seconds else "")
        found.append([program, *cells])
    return found


def main(
    repeat: Annotated[int, typer.Option(help="cells of 8 atoms along each axis")] = 4,
    members: Annotated[int, typer.Option(min=2)] = 4,
    repeats: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Print µs per atom and step, and ratios to one model in the same program."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    console, table = Console(highlight=False), Table("model", "program", *COLUMNS)
    structure = bulk("Si", cubic=True).repeat(repeat)
    structure.rattle(0.05, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        for name, config in MODELS.items():
            one, committee = write_models(config, members, Path(folder))
            for row in rows(ways(one, committee, structure), repeats, len(structure)):
                table.add_row(name, *row)
        machine = describe(structure, E3Calculator(one))
    console.print(f"{machine}, 1 thread, µs/atom/step (ratio to one)", soft_wrap=True)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
