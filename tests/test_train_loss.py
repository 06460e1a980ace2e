"""The loss is what docs/training.md says."""

import pytest
import torch

from conftest import random_statistics, random_structure, small_config
from e3md.data.dataset import Sample
from e3md.derivatives import Prediction, predict
from e3md.graph import AtomGraph, batch_graphs
from e3md.model import build_model
from e3md.neighbors import atoms_to_graph
from e3md.train.config import LossConfig
from e3md.train.loss import loss

NAN = float("nan")
ONES = torch.ones(2, 3, dtype=torch.float64)


def _batch(stress: torch.Tensor, volume: list[float]) -> tuple[Prediction, Sample]:
    """Two frames of 1 and 3 atoms; all labels are zero, so that predictions are the errors."""
    double = {"dtype": torch.float64}
    graph = AtomGraph(
        types=torch.zeros(4, dtype=torch.int64),
        edge_index=torch.zeros(2, 0, dtype=torch.int64),
        edge_vec=torch.zeros(0, 3),
        frame=torch.tensor([0, 1, 1, 1]),
        volume=torch.tensor(volume, **double),
    )
    sample = Sample(graph, torch.zeros(2, **double), torch.zeros(4, 3, **double), stress, ONES)
    prediction = Prediction(
        energy=torch.tensor([2.0, 3.0], **double),
        energies=torch.zeros(4, **double),
        forces=torch.full((4, 3), 0.5, **double),
        stress=torch.full((2, 3, 3), 0.1, **double),
    )
    prediction.stress[graph.volume.isnan()] = NAN  # as predict gives it
    prediction.stress.requires_grad_()
    return prediction, sample


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"energy": 1, "forces": 0, "stress": 0}, ((2 / 1) ** 2 + (3 / 3) ** 2) / 2),
        ({"energy": 0, "forces": 1, "stress": 0}, 0.5**2),
        ({"energy": 0, "forces": 0, "stress": 1}, (1.0**2 + 2.0**2) / 2),
        ({"energy": 2, "forces": 3, "stress": 4}, 2 * 2.5 + 3 * 0.25 + 4 * 2.5),
    ],
)
def test_terms_and_weights(weights: dict, expected: float) -> None:
    stress = torch.zeros(2, 3, 3, dtype=torch.float64)
    prediction, sample = _batch(stress, [10.0, 60.0])
    for scale in (1.0, 0.5):
        found = loss(prediction, sample, LossConfig(**weights), scale)
        assert found.item() == pytest.approx(expected / scale**2)


@pytest.mark.parametrize("why", ["no label", "not periodic"])
def test_unknown_stress_adds_neither_loss_nor_gradient(why: str) -> None:
    stress = torch.zeros(2, 3, 3, dtype=torch.float64)
    stress[0] = NAN if why == "no label" else 0.0
    prediction, sample = _batch(stress, [10.0 if why == "no label" else NAN, 60.0])
    only_stress = LossConfig(energy=0, forces=0, stress=1)
    found = loss(prediction, sample, only_stress, 1.0)
    assert found.item() == pytest.approx(2.0**2)
    found.backward()
    assert prediction.stress.grad[0].abs().sum() == 0
    assert prediction.stress.grad[1].abs().min() > 0


def test_a_batch_of_a_crystal_and_a_molecule_has_finite_gradients() -> None:
    """Through predict: neither the missing volume nor the missing label reaches the weights."""
    species = ("Li", "P", "S")
    structures = [random_structure(8, 1), random_structure(6, 2, pbc=False)]
    structures[1].cell = None
    graph = batch_graphs([atoms_to_graph(a, species, 4.0, torch.float64) for a in structures])
    model = build_model(small_config("nequip"), random_statistics(species), torch.float64)
    labels = torch.zeros(2, 3, 3, dtype=torch.float64)
    labels[1] = NAN
    energy, forces = torch.zeros(2).double(), torch.zeros(14, 3).double()
    prediction = predict(model, graph, create_graph=True)
    assert prediction.stress[0].isfinite().all()
    assert prediction.stress[1].isnan().all()
    loss(prediction, Sample(graph, energy, forces, labels, ONES), LossConfig(), 1.0).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(g.isfinite().all() for g in gradients)


def test_without_any_stress_the_loss_is_finite() -> None:
    prediction, sample = _batch(torch.full((2, 3, 3), NAN, dtype=torch.float64), [10.0, 60.0])
    assert loss(prediction, sample, LossConfig(energy=1, forces=1), 1.0).item() == 2.75


def test_huber_is_square_near_zero_and_linear_far_away() -> None:
    prediction, sample = _batch(torch.zeros(2, 3, 3, dtype=torch.float64), [10.0, 60.0])
    forces = {"energy": 0, "forces": 1, "stress": 0, "function": "huber"}
    near, far = (LossConfig(**forces, huber_delta=d) for d in (0.6, 0.1))
    assert loss(prediction, sample, near, 1.0).item() == pytest.approx(0.5**2)
    assert loss(prediction, sample, far, 1.0).item() == pytest.approx(2 * 0.1 * (0.5 - 0.05))


def test_weights_of_a_frame_multiply_its_terms() -> None:
    prediction, sample = _batch(torch.zeros(2, 3, 3, dtype=torch.float64), [10.0, 60.0])
    weights = torch.tensor([[2.0, 3.0, 4.0], [0.5, 0.0, 1.0]], dtype=torch.float64)
    found = loss(prediction, sample._replace(weights=weights), LossConfig(), 1.0)
    energy = (2.0 * 2.0**2 + 0.5 * 1.0**2) / 2
    forces = 3.0 * (3 * 0.5**2) / 12
    stress = (4.0 * 1.0**2 + 1.0 * 2.0**2) / 2
    assert found.item() == pytest.approx(4 * energy + forces + stress)


@pytest.mark.parametrize("label", ["energy", "forces"])
def test_what_has_no_label_adds_neither_loss_nor_gradient(label: str) -> None:
    prediction, sample = _batch(torch.full((2, 3, 3), NAN, dtype=torch.float64), [10.0, 60.0])
    values = getattr(sample, label).clone()
    values[1:3] = NAN
    predicted = getattr(prediction, label).requires_grad_()
    alone = LossConfig(**{"energy": 0, "forces": 0, "stress": 0, label: 1})
    found = loss(prediction, sample._replace(**{label: values}), alone, 1.0)
    assert found.item() == pytest.approx(2.0**2 if label == "energy" else 0.5**2)
    found.backward()
    assert predicted.grad[1:3].abs().sum() == 0
    assert predicted.grad[0].abs().min() > 0
