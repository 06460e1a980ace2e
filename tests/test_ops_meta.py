"""Shapes and dtypes of whole models on torch's meta device, where tensors have no numbers."""

import pytest
import torch

from conftest import random_structure
from e3md.model import ModelConfig
from laws import CONFIGS, build, learning, tabulated, to_graph


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


@pytest.mark.parametrize("form", ["exact", "tabulated", "learning"])
def test_models(config: ModelConfig, form: str) -> None:
    """Forces; gradients of a loss on forces where a model can be trained, else second derivatives."""
    model = build(config)
    if form == "tabulated":
        model = tabulated(model, 16).requires_grad_(False)
    if form == "learning":
        model = learning(model, config)
    model, graph = model.to("meta"), to_graph(random_structure(9, seed=3), config)
    types, edge_index, edge_vec = (t.to("meta") for t in graph[:3])
    energies = model(types, edge_index, edge_vec.requires_grad_(), 9)
    assert (energies.shape, energies.dtype, energies.device.type) == ((9,), torch.float64, "meta")
    trained = form != "tabulated"
    (slope,) = torch.autograd.grad(energies.sum(), edge_vec, create_graph=True)
    assert slope.shape == edge_vec.shape
    if trained:
        learned = [p for p in model.parameters() if p.requires_grad]
        found = torch.autograd.grad(slope.sum(), learned, allow_unused=True)
        assert all(g is None or g.shape == p.shape for g, p in zip(found, learned, strict=True))
        assert sum(g is not None for g in found) > len(learned) / 2
    else:
        (bend,) = torch.autograd.grad(slope, edge_vec, torch.ones_like(slope))
        assert bend.shape == edge_vec.shape
