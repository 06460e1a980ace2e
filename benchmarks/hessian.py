"""Time of a Hessian, beside one that goes through the ops' references, and how far it is from others.

    OMP_NUM_THREADS=1 python benchmarks/hessian.py [--atoms 96] [--columns 3] [--dtype float64]
        [--before FOLDER]

"references": one column at a time through the ops' references, timed for a few columns of the same
structure and multiplied by their number, in the same run. "differences": central differences of forces,
which two evaluations per column give. "before": another version of e3md, installed in FOLDER, in a process
of its own. The shipped potential is taken for Li-P-S, random weights for silicon.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from ase import Atoms
from ase.build import bulk
from ase.io import read
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from e3md import E3Calculator
from e3md._core import ops_in_use
from e3md.bench import describe
from e3md.data.statistics import Statistics
from e3md.demo import MODEL_PATH, STRUCTURE_PATH
from e3md.export import save_model
from e3md.model import MACEConfig, ModelConfig, NequIPConfig, build_model
from e3md.model_file import TrainingRecord, load_module
from e3md.neighbors import atoms_to_graph
from e3md.ops import references

Columns = NDArray[np.float64]  # (3 n_atoms, columns) eV/Å²

RANDOM: dict[str, ModelConfig] = {
    "MACE 64x0e": MACEConfig(cutoff=5.0, hidden_irreps="64x0e"),
    "NequIP 32 channels, l ≤ 2": NequIPConfig(cutoff=5.0, channels=32, l_max=2),
}
STEP = 1e-3  # Å, of the differences


@dataclass(frozen=True)
class Timed:
    """Some columns of a Hessian, and the seconds that all would take."""

    columns: Columns
    seconds: float


def silicon(n_atoms: int) -> Atoms:
    """About so many atoms in cells of 8 along x, y and z in turn."""
    repeat = [1, 1, 1]
    while 8 * np.prod(repeat) < n_atoms:
        repeat[int(np.argmin(repeat))] += 1
    atoms = bulk("Si", cubic=True).repeat(repeat)
    atoms.rattle(0.05, seed=1)
    return atoms


def lips(n_atoms: int) -> Atoms:
    """The first atoms of the shipped structure, as a cluster where not all are taken."""
    atoms = read(STRUCTURE_PATH)
    if n_atoms < len(atoms):
        atoms = atoms[:n_atoms]
        atoms.pbc = False
    return atoms


def write_model(config: ModelConfig, path: Path) -> Path:
    """Random weights for silicon."""
    statistics = Statistics(("Si",), (0.0,), scale=1.0, shift=0.0, avg_num_neighbors=28.0)
    model = build_model(config, statistics, torch.float64)
    save_model(model, config, statistics, TrainingRecord(), path)
    return path


def through_references(model: Path, atoms: Atoms, which: list[int], dtype: torch.dtype) -> Timed:
    """Double backward through torch operations, one column after another."""
    calculator = E3Calculator(model)
    module = load_module(str(model)).to(dtype)
    module.tabulate(dtype == torch.float32)
    graph = atoms_to_graph(atoms, calculator.species, calculator.cutoff, dtype)
    vec = graph.edge_vec.requires_grad_()
    i, j = graph.edge_index
    found, seconds = [], []
    with references(), torch.jit.optimized_execution(False):
        energies = module(graph.types, graph.edge_index, vec, graph.n_atoms)
        (slope,) = torch.autograd.grad(energies.sum(), vec, create_graph=True)
        for column in which:
            motion = torch.zeros_like(vec)
            motion[:, column % 3] = (j == column // 3).to(dtype) - (i == column // 3).to(dtype)
            start = time.perf_counter()
            (bend,) = torch.autograd.grad(slope, vec, motion, retain_graph=True)
            seconds.append(time.perf_counter() - start)
            rows = torch.zeros(len(atoms), 3, dtype=dtype)
            rows = rows.index_add(0, j, bend).index_add(0, i, -bend)
            found.append(rows.double().numpy().ravel())
    return Timed(np.stack(found, axis=1), float(np.min(seconds)) * 3 * len(atoms))


def by_differences(calculator: E3Calculator, atoms: Atoms, which: list[int]) -> Timed:
    """Central differences of forces, two evaluations for a column."""
    moving, found, seconds = atoms.copy(), [], []
    moving.calc = calculator
    for column in which:
        forces = []
        for sign in (-1, 1):
            moving.positions = atoms.positions
            moving.positions[column // 3, column % 3] += sign * STEP
            start = time.perf_counter()
            forces.append(moving.get_forces().ravel())
            seconds.append(time.perf_counter() - start)
        found.append((forces[0] - forces[1]) / (2 * STEP))
    return Timed(np.stack(found, axis=1), float(np.min(seconds)) * 6 * len(atoms))


ANOTHER_VERSION = """
import sys, time
from ase.io import read
from e3md import E3Calculator
model, structure, dtype = sys.argv[1:]
calculator, atoms = E3Calculator(model, dtype=dtype), read(structure)
calculator.get_hessian(atoms[:2])
start = time.perf_counter()
calculator.get_hessian(atoms)
print(time.perf_counter() - start)
"""


def seconds_before(folder: Path, model: Path, atoms: Atoms, dtype: str) -> float:
    """Seconds of a Hessian by the version of e3md in a folder."""
    with tempfile.TemporaryDirectory() as scratch:
        structure = Path(scratch) / "structure.json"
        atoms.write(structure)
        command = [sys.executable, "-c", ANOTHER_VERSION, str(model), str(structure), dtype]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def row(
    name: str, model: Path, atoms: Atoms, n_columns: int, dtype: str, old: Path | None
) -> list[str]:
    """Cells of the table for one model."""
    calculator = E3Calculator(model, dtype=dtype)
    which = np.linspace(0, 3 * len(atoms) - 1, n_columns).astype(int).tolist()
    calculator.get_hessian(atoms[:2])
    start = time.perf_counter()
    hessian = calculator.get_hessian(atoms)
    seconds = time.perf_counter() - start
    slow = through_references(model, atoms, which, getattr(torch, dtype))
    differences = by_differences(calculator, atoms, which)
    largest = [np.abs(hessian[:, which] - other.columns).max() for other in (slow, differences)]
    others = [slow.seconds, differences.seconds]
    if old:
        others.append(seconds_before(old, model, atoms, dtype))
    return [
        name, str(len(atoms)), f"{seconds:.2f}", *(f"{s:.1f} ({s / seconds:.1f})" for s in others),
        f"{largest[0]:.1e}", f"{largest[1]:.1e}", f"{np.abs(hessian).max():.1f}",
    ]  # fmt: skip


def main(
    atoms: Annotated[int, typer.Option(help="of silicon; Li-P-S: at most 83")] = 96,
    columns: Annotated[int, typer.Option(min=1, help="compared, and timed the other ways")] = 3,
    dtype: Annotated[str, typer.Option()] = "float64",
    before: Annotated[Path | None, typer.Option(help="folder of another version's e3md")] = None,
) -> None:
    """Print seconds per Hessian (in brackets: times ours), and largest differences in eV/Å²."""
    torch.manual_seed(1)
    console = Console(highlight=False, width=max(140, Console().width))
    ways = ["references", "differences", *(["before"] if before else [])]
    table = Table("model", "atoms", "s", *ways, "Δ references", "Δ differences", "largest entry")
    with tempfile.TemporaryDirectory() as folder:
        cases = [("shipped potential", MODEL_PATH, lips(atoms))]
        for name, config in RANDOM.items():
            path = Path(folder) / f"{len(cases)}.pt"
            cases.append((name, write_model(config, path), silicon(atoms)))
        for name, model, structure in cases:
            machine = describe(structure, E3Calculator(model, dtype=dtype))
            console.print(f"{name}: {machine}", soft_wrap=True)
            table.add_row(*row(name, model, structure, columns, dtype, before))
    console.print(f"{ops_in_use()}, {torch.get_num_threads()} thread(s)", soft_wrap=True)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
