"""What a step costs: time and memory."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from e3md import bench
from e3md.check.result import Bounds, CheckResult
from e3md.check.subject import Subject
from e3md.memory import kilobytes_per_atom, status_kilobytes

SPEED = Bounds(warn=1000.0, fail=np.inf)  # µs/atom/step
MEMORY = Bounds(warn=1000.0, fail=np.inf)  # kB/atom


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


def _free_kilobytes() -> int:
    return status_kilobytes("/proc/meminfo", "MemAvailable")
