"""What a model learned from: the range of its training frames, for its file."""

from collections.abc import Sequence

import numpy as np
import torch
from ase.units import kB
from pydantic import BaseModel, ConfigDict

from e3md.data.dataset import Sample
from e3md.data.read import Frame

_KEYS = ("temperature", "temp", "t_k", "temperature_k")  # of comment lines, in small letters
_HOTTEST = 1e5  # K; what is beyond is another quantity

Range = tuple[float, float]  # lowest and highest


class Domain(BaseModel):
    """Of the training frames; None or empty where it is not recorded."""

    model_config = ConfigDict(frozen=True)
    stress_learned: bool | None = None  # whether labels of stress or virial had a part in the loss
    periodic: bool | None = None  # whether any frame is periodic in three directions
    temperature_range: Range | None = None  # K, of velocities or temperatures in the frames
    composition_range: dict[str, Range] = {}  # fraction of the atoms, by element
    shortest_distances: dict[str, float] = {}  # Å, by pair, as in Li-S; within the cutoff


def training_domain(
    frames: Sequence[Frame], samples: Sequence[Sample], species: tuple[str, ...], stress: bool
) -> Domain:
    """Of the training frames, without isolated atoms.

    stress: whether stress has a weight in the loss.
    """
    return Domain(
        stress_learned=stress and any(frame.stress is not None for frame in frames),
        periodic=any(bool(frame.atoms.pbc.all()) for frame in frames),
        temperature_range=_temperatures(frames),
        composition_range=_compositions(frames, species),
        shortest_distances=shortest_distances(samples, species),
    )


def shortest_distances(samples: Sequence[Sample], species: tuple[str, ...]) -> dict[str, float]:
    """Of the two closest atoms of each pair of elements, Å; none of pairs that are never near."""
    n = len(species)
    shortest = torch.full((n * n,), torch.inf, dtype=torch.float64)
    for sample in samples:
        i, j = sample.graph.types[sample.graph.edge_index]
        distances = torch.linalg.vector_norm(sample.graph.edge_vec, dim=1).double()
        shortest.scatter_reduce_(
            0, torch.minimum(i, j) * n + torch.maximum(i, j), distances, "amin"
        )
    return {
        f"{species[k // n]}-{species[k % n]}": round(float(shortest[k]), 4)
        for k in shortest.isfinite().nonzero().flatten().tolist()
    }


def _compositions(frames: Sequence[Frame], species: tuple[str, ...]) -> dict[str, Range]:
    shares = {symbol: [(f.atoms.symbols == symbol).mean() for f in frames] for symbol in species}
    return {s: (round(float(min(x)), 4), round(float(max(x)), 4)) for s, x in shares.items()}


def _temperatures(frames: Sequence[Frame]) -> Range | None:
    known = [t for t in map(_temperature, frames) if t is not None]
    return (round(min(known), 1), round(max(known), 1)) if known else None


def _temperature(frame: Frame) -> float | None:
    """K: what the comment line says, else that of the velocities; None where there is neither."""
    atoms = frame.atoms
    for key, value in atoms.info.items():
        if str(key).lower() in _KEYS and isinstance(value, int | float | np.number):
            kelvin = float(value)
            if 0 < kelvin < _HOTTEST:
                return kelvin
    kinetic = atoms.get_kinetic_energy() if atoms.has("momenta") else 0.0
    freedom = 3 * (len(atoms) - 1)
    found = 2 * kinetic / (freedom * kB) if freedom else 0.0
    return found if 0 < found < _HOTTEST else None
