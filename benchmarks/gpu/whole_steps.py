"""Whole steps in ASE on a GPU with the references in torch operations, beside the kernels of one CPU core.

    python benchmarks/gpu/whole_steps.py [--device cuda] [--atoms 64 500 4000]

Energies, forces and stresses of both in float64, their largest difference, and milliseconds of a step
in float32 with positions that moved, neighbors and copies to the device included. Without a GPU, --device
cpu does the same with the references forced.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from first_look import MODELS, SPECIES, STATISTICS

from e3md import E3Calculator
from e3md.bench import default_structure, machine
from e3md.export import save_model
from e3md.model import build_model
from e3md.model_file import TrainingRecord
from e3md.neighbors import neighbor_list
from e3md.ops import references

LIMIT = 1e-9  # of the largest energy, force or stress
STEPS = 6


def write(name: str, folder: Path) -> Path:
    torch.manual_seed(0)
    path, config = folder / f"{len(list(folder.iterdir()))}.pt", MODELS[name]
    save_model(
        build_model(config, STATISTICS, torch.float64), config, STATISTICS, TrainingRecord(), path
    )
    return path


def results(atoms: Atoms, calculator: E3Calculator) -> list[np.ndarray]:
    atoms = atoms.copy()
    atoms.calc = calculator
    return [np.array(atoms.get_potential_energy()), atoms.get_forces(), atoms.get_stress()]


def milliseconds(atoms: Atoms, calculator: E3Calculator) -> tuple[float, float]:
    """Of the first step, and the median of those after the second."""
    atoms, rng, spent = atoms.copy(), np.random.default_rng(0), []
    atoms.calc = calculator
    for _ in range(STEPS):
        atoms.positions += rng.normal(scale=0.001, size=atoms.positions.shape)
        begin = time.perf_counter()
        atoms.get_forces()
        spent.append(time.perf_counter() - begin)
    return 1e3 * spent[0], 1e3 * float(np.median(spent[2:]))


def compare(path: Path, device: str, n_atoms: int) -> tuple[float, str]:
    """The largest relative difference, and the rest of a line."""
    atoms = default_structure(list(SPECIES), n_atoms)
    expected = results(atoms, E3Calculator(path, dtype="float64"))
    _, on_host = milliseconds(atoms, E3Calculator(path, dtype="float32"))
    with references():
        found = results(atoms, E3Calculator(path, device=device, dtype="float64"))
        first, on_device = milliseconds(atoms, E3Calculator(path, device=device, dtype="float32"))
    error = max(
        float(abs(a - b).max() / abs(b).max()) for a, b in zip(found, expected, strict=True)
    )
    cutoff = E3Calculator(path).cutoff
    edges = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)[0]
    return error, (
        f"{len(atoms):6} atoms, {len(edges) / len(atoms):.0f} neighbors each: {error:.0e} of the largest; "
        f"{on_device:9.2f} ms ({1e3 * on_device / len(atoms):8.2f} µs/atom, first step {first:.0f} ms), "
        f"plan on one core {on_host:9.2f} ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--atoms", type=int, nargs="+", default=[64, 500, 4000])
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.cuda.get_device_name() if args.device.startswith("cuda") else "references forced"
    print(f"{machine()}; {args.device}: {device}; errors in float64, times in float32")
    right = True
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            path = write(name, Path(folder))
            for n_atoms in args.atoms:
                error, line = compare(path, args.device, n_atoms)
                right = right and error < LIMIT
                print(f"{name:18} {line}{'' if error < LIMIT else '   WRONG'}", flush=True)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
