"""What a step costs: time and memory."""

import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from ase import Atoms

from e3md import bench
from e3md.calculator import E3Calculator, NotFinished
from e3md.check.result import Bounds, CheckResult
from e3md.check.subject import Subject

SPEED = Bounds(warn=1000.0, fail=np.inf)  # µs/atom/step
MEMORY = Bounds(warn=1000.0, fail=np.inf)  # kB/atom
N_ATOMS = 1000  # of the larger system whose memory is measured, at least


def speed(subject: Subject) -> CheckResult:
    """The fastest way that `e3md bench` finds to run the structure."""
    found = bench.measure(subject.model, subject.atoms, None)
    best = min(found, key=lambda speed: speed.seconds)
    how = f"{best.engine}, {best.ranks} rank(s), {best.threads} thread(s)"
    figure = f"µs/atom/step, {best.ns_per_day():.3g} ns/day at 1 fs for the structure ({how})"
    advice = "Use fewer channels, a smaller l_max or cutoff, and export without --exact"
    return SPEED.result("speed", 1e6 * best.seconds / len(subject.atoms), figure, advice)


def memory(subject: Subject) -> CheckResult:
    """Growth of a fresh process' peak memory with the number of atoms."""
    periodic = subject.atoms.pbc.all()
    atoms = subject.atoms if periodic else bench.default_structure(subject.elements(), 100)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        value = pool.submit(kilobytes_per_atom, subject.model, atoms).result()
    room = _free_kilobytes() / max(value, 0.1)  # a tiny system may fit in what loading left free
    figure = f"kB/atom: about {room / 1e6:.2g} million atoms fill this machine's free memory"
    return MEMORY.result("memory", value, figure, "Use fewer channels, or spread over more nodes")


def kilobytes_per_atom(model: Path, atoms: Atoms) -> float:
    """Peak memory of a larger system less that of a smaller one; to be run in a process of its own."""
    warnings.simplefilter("ignore", NotFinished)  # another check says it
    calculator = E3Calculator(model)
    small = grown(atoms, N_ATOMS // 4)
    large = grown(small, max(N_ATOMS, 2 * len(small)))
    peaks = []
    for system in (small, large):
        calculator.get_forces(system)
        peaks.append(_status_kilobytes("/proc/self/status", "VmHWM"))
    return (peaks[1] - peaks[0]) / (len(large) - len(small))


def grown(atoms: Atoms, n_atoms: int) -> Atoms:
    """The periodic structure, repeated along its shortest vector until it has so many atoms."""
    while len(atoms) < n_atoms:
        repeat = [1, 1, 1]
        repeat[int(np.argmin(atoms.cell.lengths()))] = 2
        atoms = atoms.repeat(repeat)
    return atoms


def _free_kilobytes() -> int:
    return _status_kilobytes("/proc/meminfo", "MemAvailable")


def _status_kilobytes(path: str, key: str) -> int:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])
