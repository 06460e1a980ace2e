"""The training loss: squared errors of energy per atom, forces and virial per atom."""

import torch
from torch import Tensor

from e3md.data.dataset import Sample
from e3md.derivatives import Prediction
from e3md.train.config import LossConfig


def atoms_per_frame(sample: Sample) -> Tensor:
    """(n_frames,) float64."""
    return torch.bincount(sample.graph.frame, minlength=sample.graph.n_frames).double()


def loss(prediction: Prediction, sample: Sample, weights: LossConfig, scale: float) -> Tensor:
    """Σ_k w_k ⟨Δ_k²⟩ / scale², with Δ in eV per atom, eV/Å, and eV per atom (stress · V/N).

    Args:
        scale: RMS force of the training data, eV/Å, so that 1 is the loss of predicting nothing.
    """
    n_atoms = atoms_per_frame(sample)
    energy = ((prediction.energy - sample.energy) / n_atoms).square().mean()
    forces = (prediction.forces - sample.forces).square().mean()
    total = weights.energy * energy + weights.forces * forces
    virial = (prediction.stress - sample.stress) * (sample.graph.volume / n_atoms)[:, None, None]
    known = ~(sample.stress.isnan() | prediction.stress.isnan())
    if known.any():
        # masked before squaring: a NaN times zero would still poison the gradient
        total = total + weights.stress * virial[known].square().mean()
    return total / scale**2
