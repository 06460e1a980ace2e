"""A small labelled data set made on the spot: Lennard-Jones argon and krypton."""

from pathlib import Path

import ase.io
import numpy as np
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator


def labelled_frames(n_frames: int, seed: int = 0) -> list[Atoms]:
    """Rattled fcc cells of 8 atoms with energy, forces and stress."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n_frames):
        atoms = bulk("Ar", "fcc", a=5.3).repeat(2)
        atoms.numbers[rng.integers(0, 8, 3)] = 36
        atoms.set_cell(atoms.cell * rng.uniform(0.97, 1.03), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.12, (8, 3))
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.05, rc=5.0, smooth=True)
        labels = {k: atoms.calc.get_property(k, atoms) for k in ("energy", "forces", "stress")}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


def write_run(folder: Path, **training: object) -> Path:
    """Data files and a configuration of a short run; returns the configuration's path."""
    folder.mkdir(parents=True, exist_ok=True)
    ase.io.write(folder / "train.xyz", labelled_frames(8), format="extxyz")
    ase.io.write(folder / "test.xyz", labelled_frames(3, seed=1), format="extxyz")
    config = {
        "run_dir": "run",
        "data": {"train": ["train.xyz"], "valid_fraction": 0.25, "test": ["test.xyz"]},
        "model": {"n_layers": 2, "channels": 8, "radial_hidden": [16]},
        "training": {"max_epochs": 6, "warmup_steps": 2, "learning_rate": 0.01, **training},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
