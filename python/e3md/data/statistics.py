"""What a training set fixes in a model before training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Statistics:
    """Reference energies and scales of a training set."""

    species: tuple[str, ...]  # chemical symbols; the index is the model's type
    e0s: tuple[float, ...]  # eV, energy of an isolated atom of each species
    scale: float  # eV, multiplies the network's atomic energy
    shift: float  # eV, added to every atomic energy beside E0
    avg_num_neighbors: float  # mean number of edges per receiving atom
