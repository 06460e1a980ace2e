"""The demo: check, run, measure, draw."""

import importlib.util
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import read
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from e3md.analysis import Trajectory
from e3md.demo.pictures import PARTED, draw_dynamics, draw_rdf, parted_after
from e3md.lammps import how_to_install
from e3md.lammps.runner import LammpsCase
from e3md.lammps.runner import run_lammps as evaluate_in_lammps
from e3md.md.simulate import LAMMPS_TRAJECTORY, MDResult, Protocol, run_ase, run_lammps
from e3md.structures import bare

SOURCE = (
    "The potential was trained on ab initio MD of Li6.75P3S11 by S. Batzner et al., "
    "Nat. Commun. 13, 2453 (2022), Materials Cloud 2022.45 (CC-BY-4.0)."
)
LAMMPS_RANKS = 2
ASE_TRAJECTORY = "nvt_ase.traj"
SEED = 7
_BUDGET = 60.0  # s for the MD of one engine


def run_demo(
    output: str | Path,
    protocol: Protocol | None = None,
    model: Path | None = None,
    structure: Path | None = None,
) -> dict[str, MDResult]:
    """Check that ASE and LAMMPS agree, run MD in both, print speed and drift, draw g(r) and MSD.

    Args:
        output: folder for all files, made if absent.
        protocol: of the MD; by default as many steps as a minute in ASE allows.
        model: model file, the shipped one by default.
        structure: starting structure, the shipped one by default.

    Returns:
        Engine name → its run; LAMMPS is missing where it is not installed.
    """
    from e3md.calculator import E3Calculator

    folder = Path(__file__).parent
    shipped = folder / "lips.extxyz"
    model, structure = model or folder / "lips.pt", structure or shipped
    for path in (model, structure):
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: this installation has no demo potential")
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    console = Console()
    calculator = E3Calculator(str(model))
    protocol = protocol or _protocol(_read(structure), calculator)
    atoms = _with_velocities(_read(structure), protocol.temperature)
    with_lammps = importlib.util.find_spec("lammps") is not None
    console.print(
        f"{atoms.get_chemical_formula()}, {protocol.nvt_steps} steps of NVT", style="bold"
    )
    if with_lammps:
        _check(atoms, calculator, model.resolve(), output, console)
    else:
        line = f"ASE only: LAMMPS is not installed. {how_to_install()}"
        console.print(line, markup=False, soft_wrap=True)
    runs = _molecular_dynamics(atoms, calculator, model.resolve(), protocol, output, with_lammps)
    _draw(runs, protocol, output, with_reference=structure == shipped)
    _print_summary(runs, protocol, output, console)
    return runs


def _read(structure: Path) -> Atoms:
    atoms = read(structure)
    assert isinstance(atoms, Atoms)
    return bare(atoms)  # LAMMPS would not know of constraints


def _protocol(atoms: Atoms, calculator: Calculator) -> Protocol:
    """As many NVT steps as fit the time budget on this machine."""
    atoms.calc = calculator
    atoms.get_forces()
    start = time.perf_counter()
    for _ in range(5):
        atoms.rattle(0.001)
        atoms.get_forces()
    per_step = (time.perf_counter() - start) / 5
    steps = int(_BUDGET / per_step) - Protocol.nve_steps
    return replace(Protocol(), nvt_steps=int(np.clip(steps // 100 * 100, 200, 5000)))


def _with_velocities(atoms: Atoms, temperature: float) -> Atoms:
    thermalize_momenta(
        atoms, temperature_K=temperature, rng=np.random.default_rng(SEED), exact_temperature=True
    )
    Stationary(atoms)
    return atoms


def _species(atoms: Atoms) -> list[str]:
    return sorted(set(atoms.get_chemical_symbols()))


def _check(
    atoms: Atoms, calculator: Calculator, model: Path, output: Path, console: Console
) -> None:
    copy = atoms.copy()
    copy.calc = calculator
    energy, forces = copy.get_potential_energy(), copy.get_forces()
    table = Table("LAMMPS against ASE", "|ΔE| (eV)", "largest |ΔF| (eV/Å)")
    for n_ranks in (1, LAMMPS_RANKS):
        other = evaluate_in_lammps([LammpsCase(atoms, model)], n_ranks, output / "check")[0]
        difference = float(np.abs(other.forces - forces).max())
        table.add_row(
            f"{n_ranks} rank(s)", f"{abs(other.energy - energy):.1e}", f"{difference:.1e}"
        )
        if difference > 1e-3:  # far above float32 rounding
            raise RuntimeError(f"LAMMPS on {n_ranks} ranks and ASE differ by {difference:g} eV/Å")
    console.print(table)


def _molecular_dynamics(
    atoms: Atoms,
    calculator: Calculator,
    model: Path,
    protocol: Protocol,
    output: Path,
    with_lammps: bool,
) -> dict[str, MDResult]:
    runs = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        total = protocol.nvt_steps + protocol.nve_steps
        task = progress.add_task("MD in ASE", total=total)
        runs["ASE"] = run_ase(
            atoms,
            calculator,
            protocol,
            lambda done: progress.update(task, completed=done),
            output / ASE_TRAJECTORY,
        )
        if with_lammps:
            name = f"LAMMPS, {LAMMPS_RANKS} ranks"
            task = progress.add_task(f"MD in {name}", total=None)
            runs[name] = run_lammps(atoms, model, _species(atoms), protocol, output, LAMMPS_RANKS)
            progress.update(task, total=1, completed=1)
    return runs


def _draw(
    runs: dict[str, MDResult], protocol: Protocol, output: Path, with_reference: bool
) -> None:
    trajectories = {name: run.trajectory for name, run in runs.items()}
    formula = Atoms(runs["ASE"].trajectory.species).get_chemical_formula()
    title = f"{formula}, NVT at {protocol.temperature:g} K, {_length(protocol):g} ps"
    draw_rdf(trajectories, with_reference, title, output / "rdf.png")
    draw_dynamics(trajectories, title, output / "msd.png")


def _length(protocol: Protocol) -> float:
    """ps, of the NVT part."""
    return protocol.nvt_steps * protocol.timestep * 1e-3


def _print_summary(
    runs: dict[str, MDResult], protocol: Protocol, output: Path, console: Console
) -> None:
    title = (
        f"NVT at {protocol.temperature:g} K, {_length(protocol):g} ps by {protocol.timestep:g} fs; "
        "NVE for the drift"
    )
    table = Table("engine", "ns/day", "drift of the conserved energy (eV/atom/ps)", title=title)
    for name, run in runs.items():
        table.add_row(name, f"{run.ns_per_day:.3f}", f"{run.drift:+.1e}")
    console.print(table)
    summary = {n: {"ns_per_day": r.ns_per_day, "drift": r.drift} for n, r in runs.items()}
    (output / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    if len(runs) > 1:
        console.print(_said_of_paths(*(run.trajectory for run in runs.values())), highlight=False)
    kept = ", ".join([ASE_TRAJECTORY, LAMMPS_TRAJECTORY][: len(runs)])
    console.print(f"rdf.png, msd.png, {kept}, inputs and logs: {output}", highlight=False)
    console.print(SOURCE, highlight=False)


def _said_of_paths(first: Trajectory, second: Trajectory) -> str:
    after = parted_after(first, second)
    if after is None:
        return f"the two paths stay one: nowhere {PARTED:g} Å apart (rms)"
    return (
        f"the two paths are one for {after:.2g} ps, until rounding has grown to {PARTED:g} Å; from "
        "then on they are two samples of the same physics, and single values differ"
    )
