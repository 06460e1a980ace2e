"""e3md's step, as `e3md train` takes it."""

import importlib
from collections.abc import Mapping
from typing import NamedTuple
from unittest.mock import patch

import torch
from cases import Setup
from steps import ENERGY_WEIGHT
from torch import Tensor, nn

from e3md.convert.neutral import Neutral, load_weights
from e3md.convert.sources import SOURCES
from e3md.data.dataset import Sample
from e3md.derivatives import predict
from e3md.model.architecture import Architecture, Reach
from e3md.train.config import LossConfig
from e3md.train.loss import loss
from e3md.train.prepare import shortest_distance


class Converted(NamedTuple):
    """A model and its weights as functions of those of its program."""

    model: Architecture
    weights: Mapping[str, Tensor]


def convert(neutral: Neutral) -> Converted:
    """As `e3md convert` does, but with the graph from the program's weights to the model's kept."""
    source, kept = SOURCES[neutral.source], {}

    def load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
        kept.update(weights)
        load_weights(model, weights)

    with patch.object(
        importlib.import_module(f"e3md.convert.{source.builder}"), "load_weights", load
    ):
        return Converted(source.build(neutral).model, kept)


def learn(model: Architecture, setup: Setup, batches: list[Sample]) -> None:
    """Evaluate it from now on as `e3md train` does."""
    model.learn(Reach(shortest_distance({"train": batches}) or 1.0, setup.cutoff))


def backward(model: nn.Module, batch: Sample, scale: float) -> float:
    """The loss, and its gradient in the parameters of the model."""
    prediction = predict(model, batch.graph, create_graph=True)
    value = loss(prediction, batch, LossConfig(energy=ENERGY_WEIGHT, stress=0.0), scale)
    value.backward(inputs=[p for p in model.parameters() if p.requires_grad])
    return value.item()


def pull_back(neutral: Neutral, setup: Setup, batch: Sample, exact: bool) -> tuple[float, dict]:
    """The loss at a program's weights and its gradient in these, by name.

    exact: with the radial networks asked for every edge, not as training evaluates the model.
    """
    model, weights = convert(neutral)
    if not exact:
        learn(model, setup, [batch])
    value = backward(model, batch, setup.scale)
    slopes = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    moved = [n for n in slopes if n in weights and weights[n].requires_grad]
    trained = {name: w for name, w in neutral.weights.items() if w.requires_grad}
    gradients = torch.autograd.grad(
        [weights[n] for n in moved], list(trained.values()), [slopes[n] for n in moved],
        allow_unused=True,
    )  # fmt: skip
    return value, {n: g for n, g in zip(trained, gradients, strict=True) if g is not None}
