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


def loss(
    prediction: Prediction,
    sample: Sample,
    weights: LossConfig,
    scale: float,
    counts: Tensor | None = None,
) -> Tensor:
    """Σ_k w_k ⟨f(Δ_k / scale)⟩, with Δ in eV per atom, eV/Å, and eV per atom (stress · V/N).

    f(x) is x², or Huber's function, which is x² up to huber_delta and linear beyond.

    Args:
        scale: RMS force of the training data, eV/Å, so that 1 is the loss of predicting nothing.
        counts: (3,) what the sums are divided by in place of `count_terms`; with its mean over
            several processes, the mean of their losses is the loss of their joint batch.
    """
    counts = count_terms(sample) if counts is None else counts
    return combine(penalties(prediction, sample, weights, scale), counts, weights)


def combine(sums: Tensor, counts: Tensor, weights: LossConfig) -> Tensor:
    """The loss from `penalties` and `count_terms`, of one batch or added up over several."""
    factors = sums.new_tensor([weights.energy, weights.forces, weights.stress])
    return (factors * sums / counts.where(counts > 0, 1.0)).sum()


def count_terms(sample: Sample) -> Tensor:
    """(3,) float64: energies, force components, and components of known stress."""
    sizes = [sample.energy.numel(), sample.forces.numel(), 9 * int(_known_stress(sample).sum())]
    return torch.tensor(sizes, dtype=torch.float64, device=sample.energy.device)


def penalties(prediction: Prediction, sample: Sample, weights: LossConfig, scale: float) -> Tensor:
    """(3,) float64: Σ f(Δ / scale) of energies, forces and stress."""
    n_atoms = atoms_per_frame(sample)
    energy = (prediction.energy - sample.energy) / n_atoms
    forces = prediction.forces - sample.forces
    known = _known_stress(sample)
    stress = sample.stress[known]
    if len(stress):
        # selected first: a NaN times zero would still poison the gradient
        stress = prediction.stress[known] - stress
    virial = stress * (sample.graph.volume[known] / n_atoms[known])[:, None, None]
    return torch.stack([_penalty(x / scale, weights) for x in (energy, forces, virial)])


def _known_stress(sample: Sample) -> Tensor:
    """(n_frames,) bool: labelled, and of a cell that is periodic in all directions."""
    return ~(sample.stress.flatten(1).isnan().any(dim=1) | sample.graph.volume.isnan())


def _penalty(x: Tensor, weights: LossConfig) -> Tensor:
    if weights.function == "mse":
        return x.square().sum()
    zeros = torch.zeros_like(x)
    return 2 * huber_loss(x, zeros, delta=weights.huber_delta, reduction="sum")
