"""What a device without kernels runs gives the numbers of the kernels, to any derivative."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from committees import write_committee
from conftest import random_structure
from e3md import E3Calculator, ops
from e3md._core import ops_in_use, ops_without_kernel
from e3md.derivatives import predict
from e3md.graph import AtomGraph
from e3md.model import ModelConfig
from e3md.ops import references
from laws import CONFIGS, build, learning, tabulated, to_graph

Numbers = dict[str, Tensor]


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


def derivatives(model: torch.nn.Module, graph: AtomGraph) -> Numbers:
    """Energies, and first and second derivatives to edge vectors."""
    edge_vec = graph.edge_vec.clone().requires_grad_()
    energies = model(graph.types, graph.edge_index, edge_vec, graph.n_atoms)
    (slope,) = torch.autograd.grad(energies.sum(), edge_vec, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sin().sum(), edge_vec)
    return {"energies": energies.detach(), "slopes": slope.detach(), "bends": bend}


def training_step(config: ModelConfig, graph: AtomGraph) -> Numbers:
    """Forces of the form that trains, and gradients of a loss on them."""
    model = learning(build(config), config)
    learned = [p for p in model.parameters() if p.requires_grad]
    prediction = predict(model, graph, create_graph=True)
    loss = prediction.forces.square().mean() + prediction.energy.square().mean()
    slopes = torch.autograd.grad(loss, learned, allow_unused=True)
    flat = torch.cat([g.flatten() for g in slopes if g is not None])
    return {"forces": prediction.forces.detach(), "gradients": flat}


def assert_same(kernels: Numbers, slow: Numbers) -> None:
    assert kernels.keys() == slow.keys()
    for name, expected in kernels.items():
        scale = float(expected.abs().max()) if expected.numel() else 1.0
        tight = 1e-10 if name in ("bends", "gradients") else 1e-12
        torch.testing.assert_close(slow[name], expected, rtol=0, atol=tight * scale, msg=name)


@pytest.mark.parametrize("form", ["exact", "tabulated"])
def test_models(config: ModelConfig, form: str) -> None:
    model = build(config).requires_grad_(False)
    if form == "tabulated":
        model = tabulated(model, 48)
    for n_atoms in (0, 1, 12):
        graph = to_graph(random_structure(12, seed=3)[:n_atoms], config)
        expected = derivatives(model, graph)
        with references():
            found = derivatives(model, graph)
        assert_same(expected, found)


def test_training(config: ModelConfig) -> None:
    graph = to_graph(random_structure(12, seed=3), config)
    expected = training_step(config, graph)
    with references():
        found = training_step(config, graph)
    assert_same(expected, found)


def test_gradients_of_kernels_are_differentiated_by_references(config: ModelConfig) -> None:
    """As on a device that has kernels for first derivatives only."""
    graph = to_graph(random_structure(12, seed=3), config)
    model = tabulated(build(config).requires_grad_(False), 48)
    bends = []
    for on in (False, True):
        edge_vec = graph.edge_vec.clone().requires_grad_()
        energies = model(graph.types, graph.edge_index, edge_vec, graph.n_atoms)
        (slope,) = torch.autograd.grad(energies.sum(), edge_vec, create_graph=True)
        with references(on):
            (bend,) = torch.autograd.grad(slope.sin().sum(), edge_vec)
        assert not bend.requires_grad
        bends.append(bend)
    assert_same({"bends": bends[0]}, {"bends": bends[1]})


def test_they_run(config: ModelConfig) -> None:
    """Autograd records torch's operations, none of this package."""
    model = build(config).requires_grad_(False)
    graph = to_graph(random_structure(4, seed=3), config)
    edge_vec = graph.edge_vec.clone().requires_grad_()
    with references():
        energies = model(graph.types, graph.edge_index, edge_vec, graph.n_atoms)
    seen, ahead = set(), [energies.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            ahead += [function for function, _ in node.next_functions]
    ours = {node.name() for node in seen if "e3md" in node.name()}
    assert not {name for name in ours if "Exchange" not in name}, ours


@pytest.mark.parametrize("arch", ["nequip", "mace", "schnet"])
def test_committees(arch: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Members side by side, each with a gradient of its own."""
    committee, _ = write_committee(tmp_path_factory.mktemp(arch), arch)
    atoms = random_structure(14, seed=3)
    results = []
    for on in (False, True):
        with references(on):
            calculator = E3Calculator(committee)
            calculator.calculate(atoms, ["energy", "stress"])
        results.append(calculator.results)
    for key, expected in results[0].items():
        np.testing.assert_allclose(results[1][key], expected, rtol=1e-10, atol=1e-11, err_msg=key)


def test_without_autograd_a_device_without_kernels_has_them() -> None:
    """Registered for every backend; the CPU's kernels are its own."""
    assert ops_without_kernel("cpu") == []
    assert "edge_conv" in ops_without_kernel("cuda")
    for name in ("edge_conv", "edge_conv_radial", "symmetric_contraction", "irreps_linear",
                 "activation_jets"):  # fmt: skip
        assert torch._C._dispatch_has_kernel_for_dispatch_key(
            f"e3md::{name}", "CompositeExplicitAutograd"
        )


def test_logs_say_which_run() -> None:
    assert ops_in_use() in {f"kernels ({level})" for level in ("baseline", "avx2", "avx512")}
    with references():
        assert "references in torch operations" in ops_in_use()


@pytest.mark.parametrize(("wish", "runs"), [("1", "references"), ("missing", "kernels")])
def test_the_environment_says_which_run(wish: str, runs: str) -> None:
    """missing: references stand in for kernels that a device lacks, and for no others."""
    command = [sys.executable, "-c", "from e3md import _core; print(_core.ops_in_use())"]
    environment = {**os.environ, "E3MD_REFERENCE": wish}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.startswith(runs)


def test_errors_are_those_of_the_kernels() -> None:
    x = torch.randn(3, 2, dtype=torch.float64)
    weights = [torch.randn(3, 2, 4, dtype=torch.float64)]
    types = torch.tensor([2, 0, 3])
    with references(), pytest.raises(RuntimeError, match="atom 2 has type 3, expected 0 to 2"):
        ops.irreps_linear(x, weights, [1.0], [0, 1, 0], 4, False, types)
