"""The training loss: errors of energy per atom, forces and virial per atom."""

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from e3md.data.dataset import Sample
from e3md.derivatives import Prediction
from e3md.train.config import LossConfig


def atoms_per_frame(sample: Sample) -> Tensor:
    """(n_frames,) float64."""
    return torch.bincount(sample.graph.frame, minlength=sample.graph.n_frames).double()


def loss(prediction: Prediction, sample: Sample, weights: LossConfig, scale: float) -> Tensor:
    """Σ_k w_k ⟨f(Δ_k / scale)⟩, with Δ in eV per atom, eV/Å, and eV per atom (stress · V/N).

    f(x) is x², or Huber's function, which is x² up to huber_delta and linear beyond.

    Args:
        scale: RMS force of the training data, eV/Å, so that 1 is the loss of predicting nothing.
    """
    n_atoms = atoms_per_frame(sample)
    energy = (prediction.energy - sample.energy) / n_atoms
    total = weights.energy * _mean_penalty(energy / scale, weights)
    total = total + weights.forces * _mean_penalty(
        (prediction.forces - sample.forces) / scale, weights
    )
    known = ~(sample.stress.isnan() | prediction.stress.isnan()).flatten(1).any(dim=1)
    if known.any():
        # selected first: a NaN times zero would still poison the gradient
        stress = prediction.stress[known] - sample.stress[known]
        virial = stress * (sample.graph.volume[known] / n_atoms[known])[:, None, None]
        total = total + weights.stress * _mean_penalty(virial / scale, weights)
    return total


def _mean_penalty(x: Tensor, weights: LossConfig) -> Tensor:
    if weights.function == "mse":
        return x.square().mean()
    return 2 * huber_loss(x, torch.zeros_like(x), delta=weights.huber_delta)
