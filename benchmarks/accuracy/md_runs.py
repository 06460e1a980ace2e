"""Molecular dynamics with a trained model, in LAMMPS, beside an ab initio curve.

A run is made of segments, each one start of `lmp` from the restart file of the one before: a killed
run loses at most the segment it was in.
"""

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict
from rich.progress import track

from e3md.analysis import RadialDistribution, Trajectory, read_trajectory
from e3md.data.read import file_sha256
from e3md.files import write_text
from e3md.lammps.inputs import potential, structure
from e3md.lammps.runner import run_input
from e3md.lammps.structure import write_data

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"


@dataclass(frozen=True)
class Plan:
    """NVT with a Nosé–Hoover chain; the first part is equilibration."""

    temperature: float  # K
    length: float  # ps, after equilibration
    timestep: float = 1.0  # fs
    equilibration: float = 5.0  # ps
    damping: float = 100.0  # fs
    interval: int = 50  # steps between frames
    segment: float = 5.0  # ps
    seed: int = 1
    ranks: int = 1

    def segments(self) -> list[int]:
        """The last step of each segment."""
        total = round((self.equilibration + self.length) * 1000 / self.timestep)
        step = max(self.interval, round(self.segment * 1000 / self.timestep))
        return [min(end, total) for end in range(step, total + step, step)]


class MDRecord(BaseModel):
    """What a run gave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    model_sha256: str
    temperature: float  # K, of the thermostat
    mean_temperature: float  # K
    length: float  # ps, without equilibration
    hours: float
    energy_drift: float  # meV/atom: mean potential energy of the last fifth less the first
    closest: dict[str, tuple[float, float]]  # pair → Å, smallest distance here and ab initio
    rdf_deviation: dict[str, float]  # pair → Σ|g − g_ab initio| / Σ g_ab initio
    diffusion: dict[str, tuple[float, float]] = {}  # element → D and its error, cm²/s
    remark: str = ""

    def sentence(self) -> str:
        """For the docs."""
        pairs = ", ".join(f"{p} {100 * d:.1f} %" for p, d in self.rdf_deviation.items())
        closest = ", ".join(
            f"{p} {here:.2f} ({ref:.2f})" for p, (here, ref) in self.closest.items()
        )
        diffusion = "".join(
            f" D({e}) = {d:.2e} ± {err:.1e} cm²/s." for e, (d, err) in self.diffusion.items()
        )
        return (
            f"**{self.title}**: {self.length:g} ps of NVT at {self.temperature:g} K (mean "
            f"{self.mean_temperature:.0f} K) in {self.hours:.2f} h. Potential energy, last fifth less "
            f"first: {self.energy_drift:+.2f} meV/atom. Shortest distances (ab initio), Å: {closest}. "
            f"∫|g − g_ab initio| over ∫ g_ab initio: {pairs}.{diffusion} {self.remark}"
        ).strip()


def read_md_records(folder: Path) -> dict[str, MDRecord]:
    """Name → record."""
    return {
        path.stem: MDRecord.model_validate_json(path.read_text())
        for path in sorted(folder.glob("*.json"))
    }


def simulate(atoms: Atoms, model: Path, plan: Plan, folder: Path) -> Trajectory:
    """Run all segments that are not there yet; the trajectory after equilibration.

    Raises:
        ValueError: if the folder holds a run of another model or plan.
        RuntimeError: with the end of LAMMPS' output, if it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    same = replace(plan, length=0.0, ranks=1)  # these two may change between sessions
    _claim(folder, f"{same}\nmodel {file_sha256(model)}\n")
    species = sorted(set(atoms.get_chemical_symbols()))
    write_data(folder / "start.data", atoms, species)
    previous = None
    for end in track(plan.segments(), f"{atoms.get_chemical_formula()} at {plan.temperature:g} K"):
        if not (folder / f"{end}.restart").is_file():
            text = _input(model.resolve(), species, plan, previous, end)
            run_input(text, plan.ranks, folder, str(end))
            (folder / f"{end}.unfinished").rename(folder / f"{end}.restart")
        previous = end
    return _trajectory(folder, plan)


def _claim(folder: Path, identity: str) -> None:
    path = folder / "plan.txt"
    if path.is_file() and path.read_text() != identity:
        raise ValueError(f"{folder}: holds a run of another model or plan; name another folder")
    write_text(path, identity)


def _input(model: Path, species: list[str], plan: Plan, previous: int | None, end: int) -> str:
    damping, timestep = plan.damping * 1e-3, plan.timestep * 1e-3
    names = " ".join(species)
    if previous is None:
        start, velocities = (
            structure("start.data"),
            (f"velocity all create {plan.temperature} {plan.seed} mom yes rot no dist gaussian"),
        )
    else:
        start, velocities = f"read_restart {previous}.restart", ""
    return f"""{start}
{potential(model, species)}
{velocities}
timestep {timestep}
thermo 1000
fix integrate all nvt temp {plan.temperature} {plan.temperature} {damping}
fix note all print {plan.interval} "$(step) $(temp) $(pe)" file {end}.thermo screen no title "# K eV"
dump frames all custom {plan.interval} {end}.lammpstrj id type element xu yu zu
dump_modify frames sort id element {names} units yes time yes
run {end} upto
write_restart {end}.unfinished
"""


def _trajectory(folder: Path, plan: Plan) -> Trajectory:
    """All segments in one, without the frame that two share, and without equilibration."""
    parts = [read_trajectory(folder / f"{end}.lammpstrj") for end in plan.segments()]
    later = [part.select(1) for part in parts[1:] if part.n_frames > 1]
    first = parts[0]
    joined = Trajectory(
        first.species,
        *(np.concatenate([getattr(p, key) for p in (first, *later)]) for key in ("positions", "cells")),
        first.pbc,
        np.concatenate([p.time for p in (first, *later)]),
    )  # fmt: skip
    return joined.select(int(np.searchsorted(joined.time, plan.equilibration - 1e-9)))


def thermodynamics(folder: Path, plan: Plan, n_atoms: int) -> tuple[float, float]:
    """Mean temperature (K) and drift of the potential energy (meV/atom), after equilibration."""
    tables = [np.loadtxt(folder / f"{end}.thermo", ndmin=2) for end in plan.segments()]
    rows = np.concatenate(tables)
    rows = rows[rows[:, 0] * plan.timestep * 1e-3 >= plan.equilibration]
    fifth = max(1, len(rows) // 5)
    drift = rows[-fifth:, 2].mean() - rows[:fifth, 2].mean()
    return float(rows[:, 1].mean()), float(1e3 * drift / n_atoms)


def hours(folder: Path, plan: Plan) -> float:
    """Time in LAMMPS' loops."""
    newest = [
        max(folder.glob(f"{end}_*.log"), key=lambda path: path.stat().st_mtime)
        for end in plan.segments()
    ]
    logs = [path.read_text() for path in newest]
    return sum(float(s) for log in logs for s in re.findall(r"Loop time of (\S+) on", log)) / 3600


def read_reference(path: Path) -> RadialDistribution:
    """A file rdf_*.csv of the data: r at the centers of equal bins, then one column per pair."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    frames = re.search(r"# frames (\d+)", path.read_text())
    rows = list(csv.DictReader(lines))
    columns = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
    r, total = columns.pop("r"), columns.pop("total")
    partial = {(a, b): columns[f"{a}-{b}"] for a, b in (key.split("-") for key in columns)}
    return RadialDistribution(r, total, partial, {}, int(frames[1]) if frames else 0)


def bins(reference: RadialDistribution) -> tuple[float, int]:
    """r_max and n_bins of radial_distribution that give the bins of the reference."""
    width = float(reference.r[1] - reference.r[0])
    return float(reference.r[-1] + width / 2), len(reference.r)


def deviations(found: RadialDistribution, reference: RadialDistribution) -> dict[str, float]:
    """Pair → Σ|g − g_ref| / Σ g_ref."""
    return {
        "–".join(pair): float(np.abs(found.partial[pair] - g).sum() / g.sum())
        for pair, g in reference.partial.items()
    }


def closest_pairs(
    found: RadialDistribution, reference: RadialDistribution
) -> dict[str, tuple[float, float]]:
    """Pair → Å here and in the reference, to the width of a bin."""

    def first(curves: RadialDistribution, pair: tuple[str, str]) -> float:
        return float(curves.r[np.flatnonzero(curves.partial[pair])[0]])

    return {
        "–".join(pair): (first(found, pair), first(reference, pair)) for pair in reference.partial
    }


def describe_run(
    title: str,
    model: Path,
    plan: Plan,
    folder: Path,
    n_atoms: int,
    found: RadialDistribution,
    reference: RadialDistribution,
) -> MDRecord:
    """The record of a finished run, without diffusion."""
    mean_temperature, drift = thermodynamics(folder, plan, n_atoms)
    return MDRecord(
        title=title,
        model_sha256=file_sha256(model),
        temperature=plan.temperature,
        mean_temperature=mean_temperature,
        length=plan.length,
        hours=hours(folder, plan),
        energy_drift=drift,
        closest=closest_pairs(found, reference),
        rdf_deviation=deviations(found, reference),
    )


def write_md_record(record: MDRecord, path: Path) -> None:
    """Write results/md/NAME.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, record.model_dump_json(indent=1) + "\n")
