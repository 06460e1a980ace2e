"""What is trained, on what, and how a peer's script is called."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from e3md.convert.extract import neutral_file
from e3md.data.dataset import Sample, build_samples, collate
from e3md.data.read import DataKeys, Frame, read_frames
from e3md.data.statistics import collect_statistics, reference_energies

HERE = Path(__file__).parent
PEERS = HERE.parent / "peers"  # scripts for environments of other programs
sys.path.append(str(PEERS))
CUTOFF = 5.0  # Å
FRAMES = 100  # an epoch


@dataclass(frozen=True)
class Case:
    """A model and the program it comes from."""

    program: str  # a folder of virtual environments has one of this name
    size: str  # as the program's script beside this file takes it
    modes: tuple[str, ...] = ("eager",)  # of training, in that program


CASES = {
    "mace_64x0e": Case("mace", "64x0e"),
    "mace_32x0e_32x1o": Case("mace", "32x0e+32x1o"),
    "nequip_32_l1": Case("nequip", "32,1", ("eager", "compile")),
    "nequip_32_l2": Case("nequip", "32,2", ("eager", "compile")),
}


@dataclass(frozen=True)
class System:
    """A data set and the frames of a step."""

    file: str  # below the data folder
    batch_size: int


SYSTEMS = {
    "lips": System("lips/train_100.xyz.xz", 2),
    "aspirin": System("rmd17/aspirin_train.xyz.xz", 5),
}


@dataclass(frozen=True)
class Setup:
    """All that both sides must have in common, written to SETUP.json."""

    frames: str  # extended XYZ
    batch_size: int
    steps: int  # of the loss curves
    size: str
    species: tuple[str, ...]
    e0s: tuple[float, ...]  # eV
    scale: float  # eV/Å, RMS force: of the model's energies and of the loss
    shift: float  # eV/atom
    avg_num_neighbors: float
    cutoff: float = CUTOFF  # Å
    extract: str = str(Path(neutral_file.__file__).parent)

    @classmethod
    def read(cls, path: Path) -> "Setup":
        return cls(**json.loads(path.read_text()))

    def batches(self, dtype: torch.dtype, n: int | None = None) -> list[Sample]:
        """The first n batches, or the whole epoch."""
        frames = read_frames([Path(self.frames)], DataKeys())
        frames = frames[: n * self.batch_size if n else None]
        samples = _samples(frames, tuple(self.species), self.cutoff, dtype)
        size = self.batch_size
        return [collate(samples[k : k + size]) for k in range(0, len(samples), size)]


def write_setup(case: Case, system: System, data: Path, steps: int, folder: Path) -> Path:
    """The first FRAMES frames and what they say about a model; returns the path of the setup."""
    path = folder / "frames.extxyz"
    write(path, [_labelled(f) for f in read_frames([data / system.file], DataKeys())[:FRAMES]])
    frames = read_frames([path], DataKeys())
    reference = reference_energies(frames, [])
    samples = _samples(frames, reference.species, CUTOFF, torch.float64)
    edges = [s.graph.edge_index.shape[1] for s in samples]
    found = collect_statistics(frames, reference, edges)
    setup = Setup(
        str(path.resolve()), system.batch_size, steps, case.size, found.species, found.e0s,
        found.scale, found.shift, found.avg_num_neighbors,
    )  # fmt: skip
    target = folder / "setup.json"
    target.write_text(json.dumps(asdict(setup), indent=1))
    return target


def _labelled(frame: Frame) -> Atoms:
    atoms = Atoms(
        frame.atoms.numbers, frame.atoms.positions, cell=frame.atoms.cell, pbc=frame.atoms.pbc
    )
    atoms.calc = SinglePointCalculator(atoms, energy=frame.energy, forces=frame.forces)
    return atoms


def _samples(
    frames: Sequence[Frame], species: tuple[str, ...], cutoff: float, dtype: torch.dtype
) -> list[Sample]:
    return build_samples(frames, species, cutoff, dtype, None, "graphs")


def command(case: Case, environments: Path, *arguments: str) -> list[str]:
    """Runs the script of a program in its environment."""
    python = environments / case.program / "bin" / "python"
    return [str(python), str(PEERS / f"training_{case.program}.py"), *arguments]


def environment() -> dict[str, str]:
    """Of a peer: one thread, none of our packages."""
    ours = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return {**ours, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
