"""The training loss: errors of energy per atom, forces and virial per atom."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from e3md.data.dataset import Sample
from e3md.derivatives import Prediction
from e3md.quantities import ENERGY, FORCES, STRESS
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
    """Σ_k w_k ⟨v f(Δ_k / scale)⟩, with Δ in eV per atom, eV/Å, and eV per atom (stress · V/N).

    f(x) is x², or Huber's function, which is x² up to huber_delta and linear beyond; v the weight of
    the frame. The mean is over the labels that are there, whatever their weight.

    Args:
        scale: RMS force of the training data, eV/Å, so that 1 is the loss of predicting nothing.
        counts: (3,) what the sums are divided by in place of `count_terms`; with its mean over
            several processes, the mean of their losses is the loss of their joint batch.
    """
    counts = count_terms(sample) if counts is None else counts
    return combine(penalties(prediction, sample, weights, scale), counts, weights)


def combine(sums: Tensor, counts: Tensor, weights: LossConfig) -> Tensor:
    """The loss from `penalties` and `count_terms`, of one batch or added up over several."""
    factors = sums.new_tensor([getattr(weights, name) for name in TERMS])
    return (factors * sums / counts.where(counts > 0, 1.0)).sum()


def count_terms(sample: Sample) -> Tensor:
    """(n_terms,) float64: labelled components of each quantity."""
    return torch.stack([term.labelled(sample) for term in TERMS.values()]).double()


def errors_of_labels(prediction: Prediction, sample: Sample) -> tuple[Tensor, Tensor]:
    """Errors of the energy per atom, (n_frames,) eV, and of forces, (n_atoms, 3) eV/Å; 0 without label."""
    energy = (prediction.energy - sample.energy) / atoms_per_frame(sample)
    forces = prediction.forces - sample.forces
    return energy.where(sample.energy.isfinite(), 0.0), forces.where(sample.forces.isfinite(), 0.0)


def error_sums(prediction: Prediction, sample: Sample) -> Tensor:
    """(4,) float64: Σ|ΔE/N|, Σ|ΔF|, Σ(ΔE/N)², Σ(ΔF)² over the labels that are there, eV and eV/Å."""
    errors = errors_of_labels(prediction, sample)
    return torch.stack([f(e).sum() for f in (torch.abs, torch.square) for e in errors]).double()


def error_means(sums: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """MAE and RMSE from `error_sums` and the (2,) numbers of energies and force components."""
    mean = sums.view(2, 2) / counts.clamp(min=1)
    (energy_mae, forces_mae), (energy_rmse, forces_rmse) = mean[0], mean[1].sqrt()
    return {
        "energy_mae": energy_mae,
        "energy_rmse": energy_rmse,
        "forces_mae": forces_mae,
        "forces_rmse": forces_rmse,
    }


def penalties(prediction: Prediction, sample: Sample, weights: LossConfig, scale: float) -> Tensor:
    """(n_terms,) float64: Σ v f(Δ / scale) of each quantity."""
    found = [term.errors(prediction, sample) for term in TERMS.values()]
    return torch.stack([(v * _penalty(x / scale, weights)).sum() for x, v in found])


def _energies(prediction: Prediction, sample: Sample) -> tuple[Tensor, Tensor]:
    return errors_of_labels(prediction, sample)[0], sample.weights[:, 0]


def _forces(prediction: Prediction, sample: Sample) -> tuple[Tensor, Tensor]:
    of_atoms = sample.weights[:, 1].index_select(0, sample.graph.frame)
    return errors_of_labels(prediction, sample)[1], of_atoms[:, None]


def _virials(prediction: Prediction, sample: Sample) -> tuple[Tensor, Tensor]:
    known = _known_stress(sample)
    stress = sample.stress[known]
    if len(stress):
        # selected first: a NaN times zero would still poison the gradient
        stress = prediction.stress[known] - stress
    per_atom = sample.graph.volume[known] / atoms_per_frame(sample)[known]
    return stress * per_atom[:, None, None], sample.weights[known, 2][:, None, None]


def _known_stress(sample: Sample) -> Tensor:
    """(n_frames,) bool: labelled, and of a cell that has a volume."""
    return ~(sample.stress.flatten(1).isnan().any(dim=1) | sample.graph.volume.isnan())


def _penalty(x: Tensor, weights: LossConfig) -> Tensor:
    if weights.function == "mse":
        return x.square()
    return 2 * huber_loss(x, torch.zeros_like(x), delta=weights.huber_delta, reduction="none")


class Term(NamedTuple):
    """What a quantity adds to the loss."""

    labelled: Callable[[Sample], Tensor]  # () number of components
    errors: Callable[[Prediction, Sample], tuple[Tensor, Tensor]]  # eV or eV/Å, and their weights


TERMS = {
    ENERGY.name: Term(lambda sample: sample.energy.isfinite().sum(), _energies),
    FORCES.name: Term(lambda sample: sample.forces.isfinite().sum(), _forces),
    STRESS.name: Term(lambda sample: 9 * _known_stress(sample).sum(), _virials),
}
