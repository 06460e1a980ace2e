"""The same short molecular dynamics in ASE and in LAMMPS."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.io import write
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet

from e3md.analysis import Trajectory, read_trajectory
from e3md.analysis.periodic import FloatArray
from e3md.analysis.reading import from_atoms
from e3md.lammps.inputs import potential, structure
from e3md.lammps.runner import run_input
from e3md.lammps.structure import write_data

LAMMPS_TRAJECTORY = "nvt.lammpstrj"


@dataclass(frozen=True)
class Protocol:
    """NVT (Nosé-Hoover chain), then NVE from its last frame."""

    temperature: float = 520.0  # K, of the ab initio MD that the potential was trained on
    timestep: float = 1.0  # fs
    damping: float = 100.0  # fs, of the thermostat
    nvt_steps: int = 2000
    nve_steps: int = 500
    interval: int = 10  # steps between frames and between energies


@dataclass(frozen=True)
class MDResult:
    """What one engine did."""

    trajectory: Trajectory  # of the NVT part
    ns_per_day: float  # of the NVT part
    drift: float  # eV/atom/ps, slope of the total energy in the NVE part


def energy_drift(time_ps: FloatArray, energy: FloatArray, n_atoms: int) -> float:
    """Slope of the total energy, eV/atom/ps; energy: (n,) eV at time_ps (n,) ps."""
    return float(np.polyfit(time_ps, energy / n_atoms, 1)[0])


def run_ase(
    atoms: Atoms,
    calculator: Calculator,
    protocol: Protocol,
    progress: Callable[[int], None],
    path: Path | None = None,
) -> MDResult:
    """MD with ASE. `progress` is told the number of steps done; atoms stay as they are.

    path: of the NVT part, as ASE's .traj with the times of its frames; None: not kept.
    """
    atoms = atoms.copy()
    atoms.calc = calculator
    atoms.get_potential_energy()  # warm-up, not timed
    step = protocol.timestep * units.fs
    nvt = NoseHooverChainNVT(
        atoms, step, temperature_K=protocol.temperature, tdamp=protocol.damping * units.fs
    )
    frames: list[Atoms] = []
    nvt.attach(lambda: frames.append(atoms.copy()), interval=protocol.interval)
    nvt.attach(lambda: progress(nvt.nsteps), interval=protocol.interval)
    start = time.perf_counter()
    nvt.run(protocol.nvt_steps)
    elapsed = time.perf_counter() - start
    nve = VelocityVerlet(atoms, step)
    energies: list[float] = []
    nve.attach(lambda: energies.append(atoms.get_total_energy()), interval=protocol.interval)
    nve.attach(lambda: progress(protocol.nvt_steps + nve.nsteps), interval=protocol.interval)
    nve.run(protocol.nve_steps)
    frame_fs = protocol.interval * protocol.timestep
    if path:
        for number, frame in enumerate(frames):
            frame.info["time_ps"] = number * frame_fs * 1e-3
        write(path, frames)
    times = np.arange(len(energies)) * frame_fs * 1e-3
    return MDResult(
        from_atoms(frames, "ASE run", frame_fs),
        protocol.nvt_steps * protocol.timestep * 1e-6 / elapsed * 86400,
        energy_drift(times, np.array(energies), len(atoms)),
    )


def run_lammps(
    atoms: Atoms,
    model: Path,
    species: list[str],
    protocol: Protocol,
    folder: Path,
    n_ranks: int,
    settings: str = "",
) -> MDResult:
    """MD with LAMMPS, in `folder`, from the same positions and velocities.

    settings: of pair_style e3nn, such as "dtype float64".
    """
    write_data(folder / "start.data", atoms, species, velocities=True)
    p = protocol
    begin = structure("start.data") + potential(model, species, settings)
    text = f"""{begin}
timestep        {p.timestep * 1e-3}
thermo          {p.interval}
thermo_style    custom step temp etotal
thermo_modify   format float %.15g
dump            1 all custom {p.interval} {LAMMPS_TRAJECTORY} id type element xu yu zu
dump_modify     1 sort id element {" ".join(species)} units yes time yes format float %.10g
fix             1 all nvt temp {p.temperature} {p.temperature} {p.damping * 1e-3}
run             {p.nvt_steps}
unfix           1
undump          1
fix             1 all nve
run             {p.nve_steps}
"""
    log = run_input(text, n_ranks, folder, "md")
    loops = re.findall(r"Loop time of (\S+) on", log)
    nve = log[log.rindex("Step ") :].splitlines()[1:]
    rows = [line.split() for line in nve[: p.nve_steps // p.interval + 1]]
    table = np.array(rows, dtype=float)
    time_ps = (table[:, 0] - table[0, 0]) * p.timestep * 1e-3
    return MDResult(
        read_trajectory(folder / LAMMPS_TRAJECTORY),
        p.nvt_steps * p.timestep * 1e-6 / float(loops[0]) * 86400,
        energy_drift(time_ps, table[:, 2], len(atoms)),
    )
