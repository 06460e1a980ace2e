"""What decides on a configuration: the size and kind of the data, and the machine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from e3md.data.molecules import count_molecules
from e3md.data.read import DataError, Frame
from e3md.data.statistics import find_species
from e3md.neighbors import neighbor_list
from e3md.threads import useful_threads
from e3md.train.device import prefers_cuda

STEP_ATOMS = 200  # of a training step, about
CUTOFF = 5.0  # Å, at which neighbors are counted
MEASURED = 100  # frames whose neighbors are counted
LOOKED_AT = 10  # frames whose molecules are counted


@dataclass(frozen=True)
class Facts:
    """Of the training frames without isolated atoms, and of this machine."""

    species: tuple[str, ...]
    n_frames: int
    n_atoms: tuple[int, float, int]  # per frame: smallest, mean, largest
    n_periodic: int  # frames periodic in any direction
    n_stress: int  # frames with stress
    neighbors: float  # mean per atom within CUTOFF
    edges: tuple[int, float, int]  # per frame within CUTOFF: smallest, mean, largest
    molecules: float  # mean per frame; 0 where atoms are bonded without end, as in crystals
    threads: int
    cuda: bool

    def __str__(self) -> str:
        low, _, high = self.n_atoms
        sizes = f"{low} atoms" if low == high else f"{low} to {high} atoms"
        kind = {0: "not periodic", self.n_frames: "periodic"}.get(
            self.n_periodic, f"{self.n_periodic} of them periodic"
        )
        if self.n_periodic and self.molecules:
            kind += f", {self.molecules:.0f} molecule(s) in each"
        return (
            f"{self.n_frames} frames of {sizes} ({' '.join(self.species)}), {kind}, "
            f"{self.n_stress} with stress, {self.neighbors:.0f} neighbors per atom within "
            f"{CUTOFF:g} Å"
        )


def collect_facts(frames: Sequence[Frame]) -> Facts:
    """Count; neighbors in some of the frames, evenly spread.

    Raises:
        DataError: if all frames are isolated atoms.
    """
    frames = [frame for frame in frames if not frame.isolated]
    if not frames:
        raise DataError("only isolated atoms, nothing to learn forces from")
    chosen = np.unique(np.linspace(0, len(frames) - 1, MEASURED).round().astype(int))
    edges = [_count_edges(frames[k]) for k in chosen]
    atoms = [len(frame.atoms) for frame in frames]
    return Facts(
        species=find_species(frames),
        n_frames=len(frames),
        n_atoms=(min(atoms), float(np.mean(atoms)), max(atoms)),
        n_periodic=sum(bool(frame.atoms.pbc.any()) for frame in frames),
        n_stress=sum(frame.stress is not None for frame in frames),
        neighbors=sum(edges) / sum(atoms[k] for k in chosen),
        edges=(min(edges), float(np.mean(edges)), max(edges)),
        molecules=_molecules(frames),
        threads=useful_threads(max(STEP_ATOMS, round(float(np.mean(atoms))))),
        cuda=prefers_cuda(),
    )


def _count_edges(frame: Frame) -> int:
    atoms = frame.atoms
    return len(neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, CUTOFF)[0])


def _molecules(frames: Sequence[Frame]) -> float:
    """Mean over some frames, evenly spread; 0 if one of them has bonds without end."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, LOOKED_AT).round().astype(int))
    counts = [count_molecules(frames[k].atoms) for k in chosen]
    return float(np.mean(counts)) if all(counts) else 0.0
