"""Times an ASE calculator: the same few lines in every environment (numpy and ASE only)."""

import json
import sys
import time

import numpy as np
from ase.io import read


def time_calculator(make_calculator, structure, threads, steps, instructions=None):
    """Print one line of JSON: seconds of a step and of the first, peak memory, and numbers to compare.

    Every step moves the atoms a little, as molecular dynamics does. `instructions` tells which
    instruction set is computed with, once the calculator has computed; without it that is torch's.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)  # for others OMP_NUM_THREADS says so
    atoms = read(structure)
    atoms.calc = make_calculator()
    start = time.perf_counter()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    first = time.perf_counter() - start
    rng = np.random.default_rng(1)
    seconds = []
    for _ in range(steps + 2):
        atoms.positions += rng.normal(scale=0.001, size=atoms.positions.shape)
        start = time.perf_counter()
        atoms.get_forces()
        atoms.get_stress()
        seconds.append(time.perf_counter() - start)
    print(
        json.dumps(
            {
                "seconds": float(np.median(seconds[2:])),
                "first_seconds": first,
                "peak_mb": _peak_mb(),
                "energy": float(energy),
                "forces_norm": float(np.sqrt(np.sum(forces**2))),
                "instructions": (instructions or _of_torch)(),
            }
        )
    )


def _of_torch():
    import torch

    return f"torch with {torch.backends.cpu.get_cpu_capability()}"


def _peak_mb():
    """Largest resident memory of this process (ru_maxrss would count the parent's before exec)."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
