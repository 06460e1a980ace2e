"""edge_conv: equal to its reference and to e3nn, differentiable, the same everywhere."""

import io
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from e3nn import o3
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from conftest import of_kernels
from e3md import ops

Product = tuple[int, int, int, int]  # mul, l1, l2, l3


class Case(NamedTuple):
    """Arguments of edge_conv."""

    h: Tensor
    sh: Tensor
    weights: Tensor
    edge_index: Tensor
    paths: Tensor
    cg_index: Tensor
    cg_value: Tensor
    n_local: int
    dim_out: int

    @property
    def graph(self) -> tuple[Tensor, ...]:
        return self.edge_index, self.paths, self.cg_index, self.cg_value


def edge_conv_entry_by_entry(
    h: Tensor,
    sh: Tensor,
    weights: Tensor,
    edge_index: Tensor,
    paths: Tensor,
    cg_index: Tensor,
    cg_value: Tensor,
    n_local: int,
    dim_out: int,
) -> Tensor:
    """One Clebsch-Gordan entry at a time: slow, and easy to believe."""
    neighbor = h.index_select(0, edge_index[1])
    out = torch.zeros(n_local, dim_out, dtype=h.dtype, device=h.device)
    for row in paths.reshape(-1, 9).tolist():
        i0, i_stride, y0, o0, o_stride, w0, mul, begin, end = row
        w = weights[:, w0 : w0 + mul]
        for n in range(begin, end):
            m1, m2, m3 = cg_index[n].tolist()
            start = i0 + m1 * i_stride
            product = w * neighbor[:, start : start + mul] * sh[:, y0 + m2, None]
            message = float(cg_value[n]) * product
            columns = torch.arange(mul, device=h.device) + o0 + m3 * o_stride
            summed = torch.zeros(n_local, mul, dtype=h.dtype, device=h.device)
            out = out.index_add(1, columns, summed.index_add(0, edge_index[0], message))
    return out


def make_case(
    products: list[Product],
    n_local: int = 5,
    n_nodes: int = 7,
    n_edges: int = 20,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Case:
    """Random arguments; each product has inputs, outputs and weights of its own."""
    generator = torch.Generator().manual_seed(seed)
    rows, index, values = [], [], []
    at_in = at_out = at_weight = at_cg = 0
    l_max = max((l2 for _, _, l2, _ in products), default=0)
    for mul, l1, l2, l3 in products:
        w3j = o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
        nonzero = torch.nonzero(w3j.abs() > 1e-12)
        n = len(nonzero)
        rows.append([at_in, mul, l2 * l2, at_out, mul, at_weight, mul, at_cg, at_cg + n])
        index.append(nonzero)
        values.append(w3j[tuple(nonzero.T)] * math.sqrt(2 * l3 + 1))
        at_in += mul * (2 * l1 + 1)
        at_out += mul * (2 * l3 + 1)
        at_weight += mul
        at_cg += n
    # The last two local nodes receive nothing.
    receiver = torch.randint(0, max(n_local - 2, 1), (n_edges,), generator=generator).sort().values
    neighbor = torch.randint(0, max(n_nodes, 1), (n_edges,), generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)

    return Case(
        normal(n_nodes, at_in),
        normal(n_edges, (l_max + 1) ** 2),
        normal(n_edges, at_weight),
        torch.stack([receiver, neighbor]),
        torch.tensor(rows, dtype=torch.int64).reshape(-1, 9),
        torch.cat(index) if index else torch.zeros(0, 3, dtype=torch.int64),
        torch.cat(values) if values else torch.zeros(0, dtype=torch.float64),
        n_local,
        at_out,
    )


NEQUIP = [(32, 0, 0, 0), (32, 0, 1, 1), (32, 1, 0, 1), (32, 1, 1, 0), (32, 1, 1, 1), (32, 1, 1, 2)]
MACE = [(64, 0, degree, degree) for degree in range(4)]
HIGH = [(16, 2, 2, 2), (16, 3, 3, 3), (8, 2, 3, 1), (8, 3, 1, 2), (4, 4, 1, 4), (4, 1, 3, 4)]
ODD = [(1, 0, 0, 0), (3, 1, 1, 1), (5, 2, 1, 1), (17, 1, 2, 1), (37, 0, 2, 2), (0, 1, 1, 0)]
SMALL = [(2, 0, 1, 1), (1, 1, 1, 1), (2, 1, 0, 1), (1, 2, 1, 1)]
PRODUCTS = {"nequip": NEQUIP, "mace": MACE, "high": HIGH, "odd": ODD}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PRODUCTS)
def test_equals_reference_with_all_gradients(name: str, dtype: torch.dtype) -> None:
    case = make_case(PRODUCTS[name], n_edges=83, dtype=dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    results = []
    for function in (ops.edge_conv, edge_conv_entry_by_entry):
        inputs = [t.clone().requires_grad_() for t in case[:3]]
        out = function(*inputs, *case[3:])
        cotangent = torch.linspace(-1, 1, out.numel(), dtype=dtype).reshape(out.shape)
        results.append([out, *torch.autograd.grad(out, inputs, cotangent)])
    for ours, reference in zip(*results, strict=True):
        assert ours.dtype == dtype
        scale = max(reference.abs().max().item(), 1.0)
        assert (ours - reference).abs().max().item() <= tolerance * scale


@pytest.fixture
def float64_default() -> Iterator[None]:
    """e3nn rounds its Clebsch-Gordan coefficients to the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("l_max", [1, 2, 3])
def test_equals_e3nn_tensor_product(l_max: int, float64_default: None) -> None:
    mul, n_edges = 6, 40
    products = [
        (mul, l1, l2, l3)
        for l1 in range(l_max + 1)
        for l2 in range(l_max + 1)
        for l3 in range(abs(l1 - l2), min(l1 + l2, l_max) + 1)
    ]
    case = make_case(products, n_edges=n_edges)
    irreps_in = o3.Irreps([(mul, (l1, 1)) for _, l1, _, _ in products])
    irreps_out = o3.Irreps([(mul, (l3, 1)) for _, _, _, l3 in products])
    irreps_sh = o3.Irreps([(1, (degree, 1)) for degree in range(l_max + 1)])
    instructions = [(n, l2, n, "uvu", True) for n, (_, _, l2, _) in enumerate(products)]
    reference = o3.TensorProduct(
        irreps_in, irreps_sh, irreps_out, instructions, shared_weights=False,
        internal_weights=False, path_normalization="none", irrep_normalization="component",
    )  # fmt: skip
    gathered = _channels_first(case.h[case.edge_index[1]], irreps_in)
    messages = reference(gathered, case.sh, case.weights)
    expected = torch.zeros(case.n_local, messages.shape[1], dtype=torch.float64)
    expected = expected.index_add(0, case.edge_index[0], messages)
    ours = _channels_first(ops.edge_conv(*case), irreps_out)
    assert (ours - expected).abs().max() < 1e-12


def _channels_first(rows: Tensor, irreps: o3.Irreps) -> Tensor:
    """Our [m, channel] within each irrep to e3nn's [channel, m]."""
    parts = rows.split([mul * ir.dim for mul, ir in irreps], dim=1)
    swapped = [
        part.reshape(-1, ir.dim, mul).transpose(1, 2).reshape(len(part), mul * ir.dim)
        for part, (mul, ir) in zip(parts, irreps, strict=True)
    ]
    return torch.cat(swapped, dim=1)


def _functions(case: Case) -> dict[str, tuple]:
    """The three ops as functions of their differentiable arguments."""
    n_nodes, dim_in = case.h.shape
    g = torch.randn(case.n_local, case.dim_out, dtype=torch.float64)
    lib = torch.ops.e3md
    h, sh, weights = case[:3]

    def yw(g, h, sh, weights):
        return lib.edge_conv_yw(g, h, sh, weights, *case.graph, True, True)

    return {
        "edge_conv": (lambda *x: lib.edge_conv(*x, *case[3:]), (h, sh, weights)),
        "edge_conv_h": (
            lambda *x: lib.edge_conv_h(*x, *case.graph, n_nodes, dim_in),
            (g, sh, weights),
        ),
        "edge_conv_yw": (yw, (g, h, sh, weights)),
    }


@pytest.mark.parametrize("name", ["edge_conv", "edge_conv_h", "edge_conv_yw"])
def test_first_and_second_derivatives(name: str) -> None:
    function, inputs = _functions(make_case(SMALL, 4, 4, 5))[name]
    inputs = tuple(t.clone().requires_grad_() for t in inputs)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("only", range(4))
def test_derivatives_to_a_single_argument(only: int) -> None:
    function, inputs = _functions(make_case(SMALL, 4, 4, 5))["edge_conv_yw"]
    inputs = tuple(t.clone().requires_grad_(n == only) for n, t in enumerate(inputs))
    for part in range(2):
        if part + 2 != only:  # dT/dY does not depend on Y, nor dT/dW on W
            assert torch.autograd.gradcheck(lambda *x, part=part: function(*x)[part], inputs)


def test_third_derivatives_equal_those_of_the_reference() -> None:
    case = make_case(SMALL, 3, 3, 6)
    results = []
    for function in (ops.edge_conv, edge_conv_entry_by_entry):
        inputs = [t.clone().requires_grad_() for t in case[:3]]
        value = function(*inputs, *case[3:]).pow(3).sum()
        for _ in range(3):
            gradients = torch.autograd.grad(value, inputs, create_graph=True)
            value = sum(g.pow(2).sum() for g in gradients)
        results.append(gradients)
    for ours, reference in zip(*results, strict=True):
        assert reference.any()
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("n_local", "n_nodes", "n_edges", "products"),
    [(0, 0, 0, SMALL), (1, 1, 0, SMALL), (0, 3, 0, SMALL), (4, 4, 6, []), (4, 4, 6, ODD[-1:])],
)
def test_empty(n_local: int, n_nodes: int, n_edges: int, products: list[Product]) -> None:
    case = make_case(products, n_local, n_nodes, n_edges)
    inputs = tuple(t.clone().requires_grad_() for t in case[:3])
    out = ops.edge_conv(*inputs, *case[3:])
    assert out.shape == (n_local, case.dim_out)
    gradients = torch.autograd.grad(out.sum(), inputs, create_graph=True)
    assert all(g.shape == t.shape and not g.any() for g, t in zip(gradients, inputs, strict=True))


def test_isolated_receivers_get_zero() -> None:
    case = make_case(ODD)
    assert not ops.edge_conv(*case)[-2:].any()


def _everything(case: Case) -> list[Tensor]:
    g = torch.linspace(-1, 1, case.n_local * case.dim_out, dtype=case.h.dtype)
    g = g.reshape(case.n_local, case.dim_out)
    h, sh, weights = case[:3]
    to_h = torch.ops.e3md.edge_conv_h(g, sh, weights, *case.graph, *h.shape)
    to_yw = torch.ops.e3md.edge_conv_yw(g, h, sh, weights, *case.graph, True, True)
    return [ops.edge_conv(*case), to_h, *to_yw]


@of_kernels
def test_bitwise_the_same_for_any_number_of_threads() -> None:
    case = make_case(HIGH, n_local=60, n_nodes=70, n_edges=700, dtype=torch.float32)
    before = torch.get_num_threads()
    results = []
    try:
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            results.append(_everything(case))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("level", ["baseline", "avx2"])
def test_instruction_sets_agree(level: str) -> None:
    """With the widest that this CPU has, which runs here."""
    script = (
        "import sys, io, torch, test_ops_edge_conv as t\n"
        "results = [x for p in t.PRODUCTS.values() for d in (torch.float32, torch.float64)\n"
        "           for x in t._everything(t.make_case(p, n_edges=83, dtype=d))]\n"
        "torch.save(results, sys.argv[1])\n"
    )
    result = _run(script, "/dev/stdout", E3MD_ISA=level)
    if b"does not have these instructions" in result.stderr:
        pytest.skip(f"this CPU lacks {level}")
    assert result.returncode == 0, result.stderr.decode()
    theirs = torch.load(io.BytesIO(result.stdout), weights_only=True)
    ours = [
        x
        for p in PRODUCTS.values()
        for d in (torch.float32, torch.float64)
        for x in _everything(make_case(p, n_edges=83, dtype=d))
    ]
    for a, b in zip(ours, theirs, strict=True):
        tolerance = 1e-5 if a.dtype == torch.float32 else 1e-13
        assert (a - b).abs().max() <= tolerance * max(a.abs().max().item(), 1.0)


@of_kernels
def test_unknown_instruction_set_is_named() -> None:
    script = "import test_ops_edge_conv as t; t.ops.edge_conv(*t.make_case(t.SMALL))"
    assert b"E3MD_ISA=sse9 is unknown" in _run(script, E3MD_ISA="sse9").stderr


def _run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        check=False,
    )


class Module(torch.nn.Module):
    """The smallest scripted user of the op."""

    def forward(
        self, h: Tensor, sh: Tensor, weights: Tensor, edge_index: Tensor, paths: Tensor,
        cg_index: Tensor, cg_value: Tensor, n_local: int, dim_out: int,
    ) -> Tensor:  # fmt: skip
        return ops.edge_conv(
            h, sh, weights, edge_index, paths, cg_index, cg_value, n_local, dim_out
        )


def test_script_save_load_and_differentiate() -> None:
    case = make_case(ODD)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Module()), buffer)
    buffer.seek(0)
    loaded = torch.jit.load(buffer)
    h = case.h.clone().requires_grad_()
    out = loaded(h, *case[1:])
    assert torch.equal(out, ops.edge_conv(*case))
    (gradient,) = torch.autograd.grad(out.pow(2).sum(), h, create_graph=True)
    assert gradient.requires_grad


def test_shapes_without_data() -> None:
    case = make_case(ODD)
    meta = ops.edge_conv(*(t.to("meta") for t in case[:7]), *case[7:])
    assert meta.shape == (case.n_local, case.dim_out)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        inputs = [mode.from_tensor(t).requires_grad_() for t in case[:3]]
        graph = [mode.from_tensor(t) for t in case.graph]
        out = ops.edge_conv(*inputs, *graph, case.n_local, case.dim_out)
        gradients = torch.autograd.grad(out.sum(), inputs)
    assert [g.shape for g in gradients] == [t.shape for t in case[:3]]


def test_strided_inputs() -> None:
    case = make_case(ODD)
    strided = [t.t().contiguous().t() for t in case[:4]]
    assert torch.equal(ops.edge_conv(*strided, *case[4:]), ops.edge_conv(*case))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c._replace(edge_index=c.edge_index.flip(1)), "sorted by receiver, but edge"),
        (lambda c: c._replace(n_local=1), "expected less than n_local = 1"),
        (lambda c: c._replace(edge_index=c.edge_index + torch.tensor([[0], [9]])), "has neighbor"),
        (lambda c: c._replace(sh=c.sh.float()), "must have one dtype"),
        (lambda c: c._replace(h=c.h.long()), "must be float32 or float64"),
        (lambda c: c._replace(edge_index=c.edge_index.int()), "edge_index must be int64"),
        (lambda c: c._replace(weights=c.weights[:-1]), "one row per edge"),
        (lambda c: c._replace(h=c.h[:, :-1].clone()), "of h, which has"),
        (lambda c: c._replace(weights=c.weights[:, :-1].clone()), "of weights, which has"),
        (lambda c: c._replace(dim_out=c.dim_out - 1), "of the output, which has"),
        (lambda c: c._replace(cg_value=c.cg_value.float()), "cg_value must be float64"),
    ],
)
def test_bad_arguments_are_named(change, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        ops.edge_conv(*change(make_case(SMALL)))
