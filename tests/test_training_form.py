"""The form of a model that training evaluates: energies, forces and gradients are the model's."""

import pytest
import torch

from conftest import of_kernels, random_structure
from e3md.derivatives import predict
from e3md.graph import AtomGraph, batch_graphs
from e3md.model import ModelConfig, architecture
from e3md.model.dense import Dense
from e3md.model.filters import FilterNetwork
from e3md.model.radial import MLP
from laws import CONFIGS, build, learning, to_graph

DEFAULT_SPACING = architecture.SPACING


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


@pytest.fixture(autouse=True)
def _fine_knots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architecture, "SPACING", 0.005)


def batch(config: ModelConfig) -> AtomGraph:
    return batch_graphs([to_graph(random_structure(n, seed=n), config) for n in (9, 7)])


def force_loss(model: torch.nn.Module, graph: AtomGraph) -> torch.Tensor:
    torch.manual_seed(0)
    prediction = predict(model, graph, create_graph=True)
    wanted = torch.randn(prediction.forces.shape, dtype=torch.float64)
    return (prediction.forces - wanted).square().mean() + prediction.energy.square().mean()


def test_predictions_are_the_models(config: ModelConfig) -> None:
    model, graph = build(config), batch(config)
    fast = learning(model, config)
    expected, found = predict(model, graph), predict(fast, graph)
    torch.testing.assert_close(found.energies, expected.energies, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.forces, expected.forces, atol=1e-7, rtol=1e-7)


def test_the_default_spacing_keeps_forces(
    config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "SPACING", DEFAULT_SPACING)
    model, graph = build(config), batch(config)
    expected = predict(model, graph).forces
    found = predict(learning(model, config), graph).forces
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_gradients_of_a_force_loss_are_the_models(config: ModelConfig) -> None:
    model, graph = build(config), batch(config)
    fast = learning(model, config)
    exact, found = (
        torch.autograd.grad(
            force_loss(m, graph), [p for p in m.parameters() if p.requires_grad], allow_unused=True
        )
        for m in (model, fast)
    )
    largest = max(g.abs().max() for g in exact if g is not None)
    for (name, _), a, b in zip(model.named_parameters(), exact, found, strict=False):
        assert (a is None) == (b is None), name
        if a is not None:
            torch.testing.assert_close(b, a, atol=1e-6 * largest, rtol=1e-5, msg=name)


def test_gradients_do_not_depend_on_threads(config: ModelConfig) -> None:
    model, graph = build(config), batch(config)
    fast = learning(model, config)
    parameters = [p for p in fast.parameters() if p.requires_grad]
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(torch.autograd.grad(force_loss(fast, graph), parameters, allow_unused=True))
    torch.set_num_threads(1)
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@of_kernels
def test_more_than_training_needs_is_refused(config: ModelConfig) -> None:
    model, graph = build(config), batch(config)
    fast = learning(model, config)
    with pytest.raises(RuntimeError, match="inputs=parameters"):
        force_loss(fast, graph).backward()


@pytest.mark.parametrize(
    "network",
    [
        MLP([5, 7, 3]),
        Dense([5, 7, 7, 3], "silu"),
        FilterNetwork([4, 7, 3], "shifted_softplus"),
    ],
    ids=["mlp", "dense", "filter"],
)
def test_jets_are_derivatives(network: torch.nn.Module) -> None:
    def inputs(t: torch.Tensor) -> torch.Tensor:
        return torch.sin(t[:, None] * torch.arange(1, 6, dtype=torch.float64))

    def jet(f, t: torch.Tensor) -> torch.Tensor:
        one = torch.ones_like(t)

        def slope(t: torch.Tensor) -> torch.Tensor:
            return torch.func.jvp(f, (t,), (one,))[1]

        return torch.stack([f(t), slope(t), torch.func.jvp(slope, (t,), (one,))[1]])

    t = torch.linspace(0.1, 2.0, 11, dtype=torch.float64)
    found = network.jets(jet(inputs, t))
    torch.testing.assert_close(found, jet(lambda t: network(inputs(t)), t))
