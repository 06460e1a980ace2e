"""Memory that a model takes per atom; small, as the process that measures it imports this alone."""

import warnings
from pathlib import Path

import numpy as np
from ase import Atoms

from e3md.calculator import E3Calculator, NotFinished

N_ATOMS = 1000  # of the larger system, at least


def kilobytes_per_atom(model: Path, atoms: Atoms) -> float:
    """Peak memory of a larger system less that of a smaller one; to be run in a process of its own."""
    warnings.simplefilter("ignore", NotFinished)  # another check says it
    calculator = E3Calculator(model)
    small = grown(atoms, N_ATOMS // 4)
    large = grown(small, max(N_ATOMS, 2 * len(small)))
    peaks = []
    for system in (small, large):
        calculator.get_forces(system)
        peaks.append(status_kilobytes("/proc/self/status", "VmHWM"))
    return (peaks[1] - peaks[0]) / (len(large) - len(small))


def grown(atoms: Atoms, n_atoms: int) -> Atoms:
    """The periodic structure, repeated along its shortest vector until it has so many atoms."""
    while len(atoms) < n_atoms:
        repeat = [1, 1, 1]
        repeat[int(np.argmin(atoms.cell.lengths()))] = 2
        atoms = atoms.repeat(repeat)
    return atoms


def status_kilobytes(path: str, key: str) -> int:
    """A line of a file of /proc, such as "VmHWM:  1234 kB"."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])
