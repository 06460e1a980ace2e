"""Second derivatives to edge vectors by the loops, against the references and differences."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from e3md import ops
from e3md.model.symmetric_contraction import SymmetricContraction
from test_ops_reference import references
from test_ops_tables import RADIAL, radial_arguments

# layers whose convolutions differ in kind: (configuration, layer)
LAYERS = {
    "scalars": ("nequip-l0", 1),
    "l ≤ 2, both parities": ("nequip-l2-both", 1),
    "l ≤ 3": ("nequip-l3-zbl", 1),
    "l ≤ 4": ("nequip-l4", 1),
    "unequal channels": ("mace-mixed", 1),
    "ones": ("mace-1o", 0),
    "solid": ("so3net", 1),
    "solid, l ≤ 3": ("so3net-l3-gated", 1),
    "filters": ("schnet-bessel", 1),
}


class Case(NamedTuple):
    """A convolution as a function of h and edge_vec, what it is differentiated to, and tangents."""

    function: Callable[[Tensor, Tensor], Tensor]
    h: Tensor
    edge_vec: Tensor
    g: Tensor
    h_dot: Tensor
    edge_dot: Tensor


def case(name: str, dtype: torch.dtype = torch.float64) -> Case:
    torch.manual_seed(5)
    arguments, solid = radial_arguments(*LAYERS[name])
    tables = [arguments[table] for table in RADIAL]
    tables[0] = tables[0].to(dtype)
    fixed = (arguments["types"], arguments["edge_index"], tables, solid)
    n_local, dim_out = arguments["n_local"], arguments["dim_out"]

    def function(h: Tensor, edge_vec: Tensor) -> Tensor:
        return ops.edge_conv_radial(h, edge_vec, *fixed, n_local, dim_out)

    h, edge_vec = (arguments[x].to(dtype).requires_grad_() for x in ("h", "edge_vec"))
    shapes = ((n_local, dim_out), h.shape, edge_vec.shape)
    g, h_dot, edge_dot = (torch.randn(s, dtype=torch.float64).to(dtype) for s in shapes)
    return Case(function, h, edge_vec, g.requires_grad_(), h_dot, edge_dot)


def second(case: Case, tangents: str, needs_h: bool = True) -> list[Tensor]:
    """Derivatives of the tangents' sum to g, edge_vec and, if needed, h.

    tangents: "both", or "h" or "edges" alone.
    """
    needs_h = needs_h and case.h.shape[1] > 0
    h = case.h if needs_h else case.h.detach()
    out = case.function(h, case.edge_vec)
    inner = [case.edge_vec, h] if needs_h else [case.edge_vec]
    first = torch.autograd.grad(out, inner, case.g, create_graph=True)
    dots = [case.edge_dot, case.h_dot]
    chosen = [k for k in range(len(inner)) if tangents in ("both", ("edges", "h")[k])]
    outer = [case.g, case.edge_vec, *([h] if needs_h else [])]
    return list(
        torch.autograd.grad(
            [first[k] for k in chosen], outer, [dots[k] for k in chosen],
            allow_unused=True, materialize_grads=True, retain_graph=True,
        )
    )  # fmt: skip


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float) -> None:
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        scale = float(b.abs().max()) if b.numel() else 1.0
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * max(scale, 1e-3))


@pytest.mark.parametrize("tangents", ["both", "h", "edges"])
@pytest.mark.parametrize("name", LAYERS)
def test_loops_are_the_reference(name: str, tangents: str) -> None:
    one = case(name)
    if tangents == "h" and one.h.shape[1] == 0:
        pytest.skip("ones have no tangents")
    found = second(one, tangents)
    with references():
        expected = second(one, tangents)
    assert_close(found, expected, 1e-12)
    assert all(x.abs().max() > 0 for x in found if x.numel() and tangents == "both")


@pytest.mark.parametrize("name", LAYERS)
def test_features_that_need_no_gradient(name: str) -> None:
    one = case(name)
    found = second(one, "edges", needs_h=False)
    with references():
        expected = second(one, "edges", needs_h=False)
    assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_single_precision(name: str) -> None:
    found = second(case(name, torch.float32), "both")
    expected = second(case(name), "both")
    assert_close([x.double() for x in found], expected, 2e-4)


@pytest.mark.parametrize("name", ["l ≤ 2, both parities", "ones", "solid"])
def test_second_derivatives_are_differences_of_first_ones(name: str) -> None:
    one, step = case(name), 1e-5
    moved = []
    for sign in (-1, 1):
        vec = (one.edge_vec + sign * step * one.edge_dot).detach().requires_grad_()
        h = (one.h + sign * step * one.h_dot).detach().requires_grad_()
        moved.append(torch.autograd.grad(one.function(h, vec), vec, one.g)[0])
    to_vec = second(one, "both")[1]
    assert_close([to_vec], [(moved[1] - moved[0]) / (2 * step)], 1e-7)


def third(function: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Derivatives of a sum of squares of second derivatives."""
    first = torch.autograd.grad(function(*inputs).square().sum(), inputs, create_graph=True)
    bends = torch.autograd.grad(sum(x.sin().sum() for x in first), inputs, create_graph=True)
    return list(torch.autograd.grad(sum(x.square().sum() for x in bends), inputs))


@pytest.mark.parametrize("name", ["l ≤ 2, both parities", "solid", "scalars"])
def test_third_derivatives(name: str) -> None:
    one = case(name)
    found = third(one.function, [one.h, one.edge_vec])
    with references():
        expected = third(one.function, [one.h, one.edge_vec])
    assert_close(found, expected, 1e-10)


@pytest.mark.parametrize("correlation", [1, 2, 3])
def test_products_of_fixed_weights_to_third_order(correlation: int) -> None:
    layer = SymmetricContraction("5x0e+5x1o+5x2e", "5x0e+5x1o", correlation, 3)
    layer.requires_grad_(False)
    types = torch.tensor([0, 2, 2, 0, 2, 2, 2])
    a = torch.randn(7, 45, dtype=torch.float64, requires_grad=True)

    def function(a: Tensor) -> Tensor:
        return layer(a, types)

    found = third(function, [a])
    with references():
        expected = third(function, [a])
    assert_close(found, expected, 1e-11)


def test_several_gradients_are_differentiated_as_one() -> None:
    """Edges given once for each path, as committees give them once for each member."""
    name = "l ≤ 2, both parities"
    one, n_paths = case(name), len(radial_arguments(*LAYERS[name])[0]["paths"])
    several = one.edge_vec.detach().expand(n_paths, -1, -1).clone().requires_grad_()

    def bend(edges: Tensor) -> Tensor:
        out = one.function(one.h, edges)
        (first,) = torch.autograd.grad(out, edges, one.g, create_graph=True)
        return torch.autograd.grad(first, edges, one.edge_dot.expand_as(first))[0]

    torch.testing.assert_close(bend(several).sum(0), bend(one.edge_vec))
