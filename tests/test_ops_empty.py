"""Without edges, without atoms: every op and every model gives what sums over nothing give.

Memory that torch has not written reads as NaN here, so that what an op leaves out shows at once.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pytest
import torch
from e3nn import o3
from torch import Tensor, nn

from conftest import random_statistics, random_structure, small_config
from e3md import ops
from e3md.derivatives import predict
from e3md.graph import AtomGraph, batch_graphs
from e3md.model import ModelConfig, build_model
from e3md.model.committee import StackedCommittee
from e3md.model.symmetric_contraction import SymmetricContraction
from laws import CONFIGS, SPECIES, build, learning, tabulated, to_graph, with_knots
from test_ops_edge_conv import SMALL, _functions, make_case

SIZES = {"no edges": 3, "no atoms": 0}


@pytest.fixture(autouse=True)
def _unwritten_memory_is_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


@pytest.fixture(params=SIZES.values(), ids=SIZES.keys())
def n_atoms(request: pytest.FixtureRequest) -> int:
    return request.param


class Call(NamedTuple):
    """An op and what it is differentiated to."""

    function: Callable[..., Tensor | Sequence[Tensor]]
    inputs: list[Tensor]


def _leaf(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


def edge_conv(name: str, n: int) -> Call:
    function, inputs = _functions(make_case(SMALL, n, n, 0))[name]
    return Call(function, [x.requires_grad_() for x in inputs])


def edge_conv_radial(name: str, n: int) -> Call:
    """The second layer of a model, as inference, or with a table that learns."""
    layer = tabulated(build(CONFIGS[name]), 16).layers[1].convolution.splines
    graph = graph_of(n)
    fixed = [
        layer.table_of_pair, layer.grid, layer.harmonic_index, layer.harmonic_value,
        layer.paths, layer.cg_index, layer.cg_value,
    ]  # fmt: skip

    def function(h: Tensor, edge_vec: Tensor, *values: Tensor) -> Tensor:
        tables = [*(values or (layer.knots,)), *fixed]
        return ops.edge_conv_radial(
            h, edge_vec, graph.types, graph.edge_index, tables, layer.solid, n, layer.dim_out
        )

    return Call(function, [_leaf(n, layer.table.dim_in), _leaf(0, 3)])


def edge_conv_radial_of_ones(n: int) -> Call:
    """The first layer of MACE, whose features are in the tables."""
    model = tabulated(build(CONFIGS["mace-1o"]), 16)
    graph, layer = graph_of(n), model.layers[0].merged.splines

    def function(edge_vec: Tensor) -> Tensor:
        tables = [
            layer.knots, layer.table_of_pair, layer.grid, layer.harmonic_index, layer.harmonic_value,
            layer.paths, layer.cg_index, layer.cg_value,
        ]  # fmt: skip
        h = torch.zeros(n, 0, dtype=torch.float64)
        arguments = (graph.types, graph.edge_index, tables, layer.solid, n, layer.dim_out)
        return ops.edge_conv_radial(h, edge_vec, *arguments)

    return Call(function, [_leaf(0, 3)])


def contraction(frozen: bool) -> Call:
    layer = SymmetricContraction(o3.Irreps("4x0e+4x1o"), o3.Irreps("4x0e"), 3, 2)
    weights = [w.detach().clone().requires_grad_(not frozen) for w in layer.parameters()]
    types = torch.zeros(0, dtype=torch.int64)

    def function(a: Tensor, *weights: Tensor) -> Tensor:
        return layer.contract(a, types, list(weights or [w.detach() for w in layer.parameters()]))

    return Call(function, [_leaf(0, 16), *([] if frozen else weights)])


def linear(by_species: bool, transposed: bool) -> Call:
    types = torch.zeros(0, dtype=torch.int64) if by_species else None
    lead = (3,) if by_species else ()
    dim_in, dim_out = (6, 5) if transposed else (5, 6)

    def function(x: Tensor, *weights: Tensor) -> Tensor:
        blocks = [0, 1, 2, 2, 3, 0]
        return ops.irreps_linear(x, list(weights), [0.5, 2.0], blocks, dim_out, transposed, types)

    return Call(function, [_leaf(0, dim_in), _leaf(*lead, 2, 4), _leaf(*lead, 1, 1)])


CALLS: dict[str, Callable[[int], Call]] = {
    "edge_conv": lambda n: edge_conv("edge_conv", n),
    "edge_conv_h": lambda n: edge_conv("edge_conv_h", n),
    "edge_conv_yw": lambda n: edge_conv("edge_conv_yw", n),
    "edge_conv_radial": lambda n: edge_conv_radial("nequip-l2-both", n),
    "edge_conv_radial, solid": lambda n: edge_conv_radial("so3net", n),
    "edge_conv_radial of ones": edge_conv_radial_of_ones,
    "ghost_exchange": lambda n: Call(lambda h: ops.ghost_exchange(h, 0), [_leaf(0, 4)]),
    "symmetric_contraction": lambda n: contraction(frozen=True),
    "irreps_linear": lambda n: linear(False, False),
    "irreps_linear, transposed": lambda n: linear(False, True),
    "irreps_linear by species": lambda n: linear(True, False),
    "irreps_linear by species, transposed": lambda n: linear(True, True),
}


def is_zero(found: Tensor | None, like: Tensor) -> bool:
    return found is None or (found.shape == like.shape and not found.any())


@pytest.mark.parametrize("name", CALLS)
def test_values_and_two_derivatives_are_zero(name: str, n_atoms: int) -> None:
    function, inputs = CALLS[name](n_atoms)
    found = function(*inputs)
    outputs = [found] if isinstance(found, Tensor) else list(found)
    assert all(is_zero(out, out) for out in outputs)
    first = torch.autograd.grad(
        outputs, inputs, [torch.ones_like(out).requires_grad_() for out in outputs],
        create_graph=True, allow_unused=True,
    )  # fmt: skip
    assert all(is_zero(g, x) for g, x in zip(first, inputs, strict=True))
    differentiable = [g for g in first if g is not None and g.requires_grad]
    ones = [torch.ones_like(g) for g in differentiable]
    second = torch.autograd.grad(differentiable, inputs, ones, allow_unused=True)
    assert all(is_zero(g, x) for g, x in zip(second, inputs, strict=True))


@pytest.mark.parametrize("needs_h", [True, False])
def test_training_ops_of_edge_conv_radial(n_atoms: int, needs_h: bool) -> None:
    function, (h, edge_vec) = edge_conv_radial("nequip-l2-both", n_atoms)
    h.requires_grad_(needs_h)
    values = _leaf(1, 16, 20, 3, 16)
    out = function(h, edge_vec, values)
    g = torch.randn(out.shape, dtype=torch.float64).requires_grad_()
    inner = [edge_vec, h] if needs_h else [edge_vec]
    first = torch.autograd.grad(out, inner, g, create_graph=True)
    outer = [g, values, *([h] if needs_h else [])]
    second = torch.autograd.grad(first, outer, [torch.ones_like(f) for f in first])
    for found, like in zip((*first, *second), (*inner, *outer), strict=True):
        assert found.shape == like.shape
        assert is_zero(found, like)


def test_training_ops_of_symmetric_contraction() -> None:
    function, (a, *weights) = contraction(frozen=False)
    out = function(a, *weights)
    g = torch.randn(out.shape, dtype=torch.float64).requires_grad_()
    (to_a,) = torch.autograd.grad(out, a, g, create_graph=True)
    second = torch.autograd.grad(to_a, [g, a, *weights], torch.ones_like(to_a))
    for found, like in zip((to_a, *second), (a, g, a, *weights), strict=True):
        assert found.shape == like.shape
        assert is_zero(found, like)


@pytest.mark.parametrize("softplus", [True, False])
def test_activation_jets_of_nothing(softplus: bool) -> None:
    x = _leaf(3, 0, 5)
    out = ops.activation_jets(x, softplus)
    assert torch.autograd.grad(out.sum(), x)[0].shape == out.shape == x.shape


def test_linear_maps_without_columns_are_zero() -> None:
    nothing, x = torch.zeros(4, 0, dtype=torch.float64), _leaf(4, 2)
    weight = torch.zeros(0, 3, dtype=torch.float64)
    assert ops.irreps_linear(nothing, [], [], [], 0).shape == (4, 0)
    for rows, blocks in ((nothing, [0, 1, 0]), (x, [2, 1, 0])):
        found = ops.irreps_linear(rows, [weight], [1.0], blocks, 3)
        torch.testing.assert_close(found, torch.zeros(4, 3, dtype=torch.float64))


def test_columns_that_blocks_share_leave_others_zero() -> None:
    weights = [torch.ones(2, 2, dtype=torch.float64)] * 2
    x = torch.ones(1, 2, dtype=torch.float64)
    found = ops.irreps_linear(x, weights, [1.0, 1.0], [0, 1, 0, 0, 1, 1], 4)
    assert found.tolist()[0][3] == 0.0


# ---- models ----------------------------------------------------------------------------------


def graph_of(n_atoms: int) -> AtomGraph:
    """One frame without edges."""
    return AtomGraph(
        torch.arange(n_atoms) % len(SPECIES),
        torch.zeros(2, 0, dtype=torch.int64),
        torch.zeros(0, 3, dtype=torch.float64),
        torch.zeros(n_atoms, dtype=torch.int64),
        torch.tensor([100.0], dtype=torch.float64),
    )


def gradients(model: nn.Module, parameters: list[nn.Parameter], graph: AtomGraph) -> list[Tensor]:
    """Of a loss on energies, forces and stress; zeros where it does not depend on a parameter."""
    prediction = predict(model, graph, create_graph=True)
    value = prediction.energy.square().sum() + (prediction.forces - 1.0).square().sum()
    value = value + prediction.stress.nan_to_num().square().sum()
    found = torch.autograd.grad(value, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


@pytest.mark.parametrize("mixed", [False, True], ids=["alone", "beside a crystal"])
def test_gradients_of_training_are_the_models(
    config: ModelConfig, n_atoms: int, mixed: bool
) -> None:
    model, graph = build(config), graph_of(n_atoms)
    if mixed:
        crystal = to_graph(random_structure(7, seed=7), config)
        graph = batch_graphs([graph, crystal, graph])
    exact, found = (
        gradients(m, [p for p in m.parameters() if p.requires_grad], graph)
        for m in (model, learning(model, config))
    )
    largest = max(float(g.abs().max()) for g in exact)
    for (name, _), a, b in zip(model.named_parameters(), exact, found, strict=False):
        torch.testing.assert_close(b, a, atol=1e-4 * largest, rtol=0, msg=name)


def test_a_tabulated_model_is_the_model(config: ModelConfig, n_atoms: int) -> None:
    graph, exact = graph_of(n_atoms), build(config)
    fast = tabulated(exact, 16)
    for create_graph in (False, True):
        expected, found = (predict(m, graph, create_graph) for m in (exact, fast))
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(b, a)


@pytest.mark.parametrize("arch", ["nequip", "mace", "schnet"])
def test_members_side_by_side_are_the_members(arch: str, n_atoms: int) -> None:
    config, graph = small_config(arch), graph_of(n_atoms)
    models = [build_model(config, random_statistics(SPECIES), torch.float64) for _ in range(2)]
    committee = StackedCommittee([with_knots(model, 16) for model in models])
    committee.tabulate(True)
    edge_vec = graph.edge_vec.expand(2, -1, -1).clone().requires_grad_()
    found = committee.member_energies(graph.types, graph.edge_index, edge_vec, n_atoms)
    for k, model in enumerate(models):
        expected = model(graph.types, graph.edge_index, graph.edge_vec, n_atoms)
        torch.testing.assert_close(found[:, k], expected)
    assert torch.autograd.grad(found.sum(), edge_vec)[0].shape == (2, 0, 3)


@pytest.mark.parametrize("cutoff", [0.4, 1.0])
def test_a_cutoff_below_every_bond_can_be_trained_with(cutoff: float) -> None:
    config = small_config("nequip", cutoff=cutoff)
    model = build(config)
    fast = learning(model, config, 1.0)  # the distance given where no atoms are near
    expected, found = (predict(m, graph_of(2)).energies for m in (model, fast))
    torch.testing.assert_close(found, expected)
