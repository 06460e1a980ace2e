"""The fused ops of inference against plain torch: values, first and second derivatives."""

import os
import subprocess
import sys
import timeit
from pathlib import Path

import pytest
import torch
from ase.build import bulk
from e3nn import o3
from torch import Tensor

from conftest import of_kernels, random_structure
from e3md import ops
from e3md.model import ModelConfig, NequIPConfig
from e3md.model.build import set_dtype
from e3md.model.linear import Linear
from e3md.model.symmetric_contraction import SymmetricContraction
from laws import CONFIGS, build, learning, tabulated, to_graph
from test_training_form import force_loss

CLOSE = {"atol": 1e-11, "rtol": 1e-11}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


def edge_gradient(model: torch.nn.Module, graph, create_graph: bool) -> tuple[Tensor, Tensor]:
    vec = graph.edge_vec.clone().requires_grad_()
    energy = model(graph.types, graph.edge_index, vec, graph.n_atoms).sum()
    return vec, torch.autograd.grad(energy, vec, create_graph=create_graph)[0]


def test_a_tabulated_model_is_the_model(config: ModelConfig) -> None:
    graph = to_graph(random_structure(12, seed=3), config)
    exact, fast = build(config), tabulated(build(config), 768)
    arguments = (graph.types, graph.edge_index, graph.edge_vec, graph.n_atoms)
    torch.testing.assert_close(fast(*arguments), exact(*arguments), atol=1e-9, rtol=0)
    (_, expected), (_, found) = (edge_gradient(m, graph, False) for m in (exact, fast))
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=1e-8)


def test_once_and_twice_differentiable_gradients_agree(config: ModelConfig) -> None:
    """With create_graph the backward pass goes through other code."""
    graph = to_graph(random_structure(12, seed=3), config)
    fast = tabulated(build(config), 64)
    (_, quick), (_, slow) = (edge_gradient(fast, graph, c) for c in (False, True))
    torch.testing.assert_close(quick, slow.detach(), **CLOSE)


def test_second_derivatives_are_those_of_the_model(config: ModelConfig) -> None:
    graph = to_graph(random_structure(6, seed=4), config)
    direction = torch.randn(graph.edge_vec.shape, dtype=torch.float64)
    rows = []
    for model in (build(config), tabulated(build(config), 768)):
        vec, g = edge_gradient(model, graph, True)
        rows.append(torch.autograd.grad(g, vec, direction)[0])
    torch.testing.assert_close(rows[1], rows[0], atol=1e-5, rtol=1e-5)


def test_the_error_of_the_tables_falls_with_the_fifth_power(config: ModelConfig) -> None:
    graph = to_graph(random_structure(12, seed=3), config)
    _, exact = edge_gradient(build(config), graph, False)
    errors = [
        float((edge_gradient(tabulated(build(config), n), graph, False)[1] - exact).abs().max())
        for n in (40, 80, 160)
    ]
    assert errors[1] < errors[0] / 8
    assert errors[2] < errors[1] / 8


def sum_of_orders(layer: SymmetricContraction, a: Tensor, types: Tensor) -> Tensor:
    """A contraction order by order, monomial by monomial."""
    a = a.view(len(a), layer.dim_lm, layer.channels)
    out = a.new_zeros(len(a), layer.n_rows, layer.channels)
    for order, weights in zip(layer.couplings(), layer.orders, strict=True):
        products = torch.stack([a[:, i] for i in order.factors]).prod(0)
        rows = (order.values @ products) * weights.weight[types][:, order.weight_rows]
        out = out.index_add(1, torch.tensor(order.out_rows), rows)
    return out.flatten(1)


@pytest.mark.parametrize("channels", [1, 7, 16, 33])
@pytest.mark.parametrize("correlation", [1, 2, 3])
def test_contraction_is_the_sum_of_its_orders(channels: int, correlation: int) -> None:
    irreps = [f"{channels}x{ir}" for ir in ("0e", "1o", "2e")]
    source, target = "+".join(irreps), "+".join(irreps[:2])
    layer = SymmetricContraction(o3.Irreps(source), o3.Irreps(target), correlation, 3)
    layer.requires_grad_(False)
    types = torch.tensor([0, 2, 2, 0, 2, 2, 2])  # no atom of species 1
    a = torch.randn(7, 9 * channels, dtype=torch.float64, requires_grad=True)
    outs = [layer(a, types), sum_of_orders(layer, a, types)]
    torch.testing.assert_close(*outs, **CLOSE)
    u = torch.randn(7, 4 * channels, dtype=torch.float64)
    grads = [torch.autograd.grad((out * u).sum(), a)[0] for out in outs]
    torch.testing.assert_close(*grads, **CLOSE)
    if channels == 1:
        assert torch.autograd.gradgradcheck(lambda a: layer(a, types), a)


def test_linear_is_linear() -> None:
    layer = Linear("3x0e+4x1o+2x2e", "5x0e+2x0o+6x1o").requires_grad_(False)
    x = torch.randn(4, 25, dtype=torch.float64, requires_grad=True)
    nothing, scalars, vectors = layer.blocks
    expected = [
        torch.zeros(4, 2, dtype=torch.float64),
        x[:, :3] @ scalars.weight / 3**0.5,
        (x[:, 3:15].view(4, 3, 4) @ vectors.weight / 2).flatten(1),
    ]
    assert not list(nothing.parameters())
    outs = [layer(x), torch.cat(expected, dim=1)]
    torch.testing.assert_close(*outs, **CLOSE)
    u = torch.randn(4, 25, dtype=torch.float64)
    grads = [torch.autograd.grad((out * u).sum(), x)[0] for out in outs]
    torch.testing.assert_close(*grads, **CLOSE)
    assert torch.autograd.gradgradcheck(layer, x)


def test_empty_inputs() -> None:
    layer = SymmetricContraction(o3.Irreps("4x0e+4x1o"), o3.Irreps("4x0e"), 3, 2)
    a = torch.zeros(0, 16, dtype=torch.float64, requires_grad=True)
    out = layer(a, torch.zeros(0, dtype=torch.int64))
    assert out.shape == (0, 4)
    assert torch.autograd.grad(out.sum(), a)[0].shape == a.shape


@pytest.mark.parametrize("by_species", [False, True], ids=["shared", "by species"])
@pytest.mark.parametrize("transposed", [False, True])
def test_linear_is_differentiable_in_its_weights(by_species: bool, transposed: bool) -> None:
    blocks, scales = [0, 1, 3, 2, 3, 0], [0.5, 2.0]  # 2x0e -> 4x0e at 3, 1x1o -> 1x1o at 0
    types = torch.tensor([1, 0, 1, 1]) if by_species else None
    lead = (3,) if by_species else ()  # no atom of the last species
    weights = [
        torch.randn(*lead, *shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 4), (1, 1))
    ]
    x = torch.randn(4, 7 if transposed else 5, dtype=torch.float64, requires_grad=True)

    def linear(x: Tensor, *weights: Tensor) -> Tensor:
        dim_out = 5 if transposed else 7
        return ops.irreps_linear(x, list(weights), scales, blocks, dim_out, transposed, types)

    assert torch.autograd.gradcheck(linear, (x, *weights))
    assert torch.autograd.gradgradcheck(linear, (x, *weights))


def test_linear_by_species_is_each_species_alone() -> None:
    weights = torch.randn(3, 2, 4, dtype=torch.float64)
    types, x = torch.tensor([2, 0, 2]), torch.randn(3, 2, dtype=torch.float64)
    found = ops.irreps_linear(x, [weights], [1.0], [0, 1, 0], 4, False, types)
    torch.testing.assert_close(found, torch.einsum("nc,ncd->nd", x, weights[types]), **CLOSE)
    with pytest.raises(RuntimeError, match="atom 0 has type 3, expected 0 to 2"):
        ops.irreps_linear(x, [weights], [1.0], [0, 1, 0], 4, False, types + 1)


def kernels_everywhere() -> list[tuple[str, Tensor]]:
    """Gradients of inference, of these and of training, of models that call every kernel."""
    found = []
    for name in ("nequip-l2-both", "nequip-l3-zbl", "mace-1o", "schnet", "so3net"):
        config = CONFIGS[name]
        for dtype in (torch.float32, torch.float64):
            fast = tabulated(build(config), 64)
            set_dtype(fast, dtype)
            graph = to_graph(random_structure(9, seed=8), config, dtype)
            found.append((f"{name} {dtype}", edge_gradient(fast, graph, False)[1]))
            vec, g = edge_gradient(fast, graph, True)
            (bend,) = torch.autograd.grad(g, vec, torch.ones_like(vec))
            found.append((f"{name} {dtype}, second derivatives", bend))
            model = learning(build(config, dtype), config)
            learned = [p for p in model.parameters() if p.requires_grad]
            loss = force_loss(model, graph)
            slopes = torch.autograd.grad(loss, learned, allow_unused=True)
            flat = torch.cat([g.flatten() for g in slopes if g is not None])
            found.append((f"{name} {dtype}, training", flat))
    return found


@pytest.mark.parametrize("level", ["baseline", "avx2"])
def test_instruction_sets_agree(level: str, tmp_path: Path) -> None:
    """With the widest that this CPU has, which runs here."""
    script = "import sys, torch, test_ops_inference as t; torch.save(t.kernels_everywhere(), sys.argv[1])"
    env = {**os.environ, "E3MD_ISA": level, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(tmp_path / "theirs")]
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    if run.returncode and "does not have these instructions" in run.stderr:
        pytest.skip(f"this CPU lacks {level}")
    assert run.returncode == 0, run.stderr
    theirs = torch.load(tmp_path / "theirs", weights_only=True)
    assert theirs
    for (what, x), (expected, y) in zip(kernels_everywhere(), theirs, strict=True):
        assert what == expected
        single, scale = "float32" in what, y.abs().max().clamp(min=1e-3)
        assert (x - y).abs().max() < (2e-5 if single else 1e-6) * scale, what


@of_kernels
def test_threads_do_not_slow_small_structures() -> None:
    """BLAS must not share the small products of a few hundred atoms among threads."""
    config = NequIPConfig(cutoff=5.0, channels=32, l_max=1)
    model, graph = tabulated(build(config), 768), to_graph(bulk("P", "sc", 2.3) * (6, 6, 6), config)
    before, seconds = torch.get_num_threads(), {}
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            seconds[n_threads] = min(
                timeit.repeat(lambda: edge_gradient(model, graph, False), number=1, repeat=8)
            )
    finally:
        torch.set_num_threads(before)
    assert seconds[2] < 6 * seconds[1]
