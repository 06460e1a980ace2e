"""How many threads help: never more than cores that are free to us, or than the work is worth."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

ATOMS_PER_THREAD = 100  # with fewer, threads wait for each other longer than they compute
_TOPOLOGY = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_default = torch.get_num_threads()  # what nobody asked for: torch's, or ours since `settle`
_exact: list[int] = []  # of `exactly`, the innermost last


@cache
def physical_cores() -> int:
    """Cores that this process may use: those of its affinity, each once, within a container's share."""
    cpus = os.sched_getaffinity(0)
    cores = {_core(cpu) for cpu in cpus}
    return max(1, min(len(cores), _share(len(cpus))))


def _core(cpu: int) -> tuple[str, str]:
    """Package and core of a logical CPU; itself where the system does not tell."""
    try:
        folder = _TOPOLOGY / f"cpu{cpu}" / "topology"
        package, core = (folder / name for name in ("physical_package_id", "core_id"))
        return package.read_text().strip(), core.read_text().strip()
    except OSError:
        return "", str(cpu)


def _share(most: int) -> int:
    """CPUs that a container's quota comes to."""
    try:
        quota, period = _QUOTA.read_text().split()
        return most if quota == "max" else int(quota) // int(period)
    except (OSError, ValueError):
        return most


def useful_threads(n_atoms: int) -> int:
    """For so many atoms at a time; what the user set is taken as it is."""
    if chosen_by_user():
        return torch.get_num_threads()
    return min(physical_cores(), max(1, n_atoms // ATOMS_PER_THREAD))


def chosen_by_user() -> bool:
    """By OMP_NUM_THREADS, torch.set_num_threads, or `exactly`."""
    return bool(_exact or os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads() != _default)


def settle(threads: int) -> None:
    """So many threads from now on, where the user set none: other sizes may still have others."""
    global _default
    torch.set_num_threads(threads)
    _default = threads


@contextmanager
def exactly(threads: int) -> Iterator[None]:
    """In the block, so many threads whatever the size."""
    _exact.append(threads)
    try:
        with _threads(threads):
            yield
    finally:
        _exact.pop()


@contextmanager
def suited_to(n_atoms: int) -> Iterator[None]:
    """In the block, as many threads as help for so many atoms."""
    with _threads(useful_threads(n_atoms)):
        yield


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
