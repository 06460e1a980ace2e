"""A run of ASE's dynamics: a trajectory with times, a progress bar."""

from pathlib import Path

from ase import Atoms, units
from ase.io import Trajectory
from ase.md.md import MolecularDynamics
from rich.progress import Progress, TimeRemainingColumn


def run(dynamics: MolecularDynamics, n_steps: int, interval: int, path: Path | None) -> None:
    """Run n_steps; write every interval-th frame with its time to path, if given."""
    atoms: Atoms = dynamics.atoms
    frames = Trajectory(path, "w", atoms) if path else None

    def save() -> None:
        atoms.info["time_ps"] = dynamics.get_time() / (1000 * units.fs)
        if frames is not None:
            frames.write()

    with Progress(*Progress.get_default_columns()[:-1], TimeRemainingColumn()) as progress:
        task = progress.add_task(path.stem if path else "equilibration", total=n_steps)
        dynamics.attach(save, interval=interval)
        dynamics.attach(lambda: progress.update(task, completed=dynamics.nsteps), interval=interval)
        dynamics.run(n_steps)
    if frames is not None:
        frames.close()
