"""Kernels of symmetric_contraction for GPUs: emulated on the host, against the CPU's op; compiled."""

from dataclasses import dataclass

import nvrtc
import pytest
import torch
from e3nn import o3
from torch import Tensor

from e3md.model.symmetric_contraction import SymmetricContraction
from gpu.machine import Machine, succeeded
from gpu.test_compiles import LEVELS

LIMITS = {torch.float64: 1e-12, torch.float32: 1e-5}


@dataclass(frozen=True)
class Product:
    """A product basis and numbers for it; species in no order, one of them absent."""

    a: Tensor
    types: Tensor
    weights: list[Tensor]
    tables: list[Tensor]
    g: Tensor

    def to(self, dtype: torch.dtype) -> "Product":
        a, g = self.a.to(dtype), self.g.to(dtype)
        return Product(a, self.types, [w.to(dtype) for w in self.weights], self.tables, g)

    def by_op(self) -> tuple[Tensor, Tensor]:
        a, n_rows = self.a.clone().requires_grad_(), self.g.shape[1]
        op = torch.ops.e3md.symmetric_contraction
        out = op(a, self.types, self.weights, self.tables, n_rows)
        return out.detach(), torch.autograd.grad(out, a, self.g)[0]


def product(irreps_in: str, irreps_out: str, correlation: int) -> Product:
    torch.manual_seed(0)
    layer = SymmetricContraction(o3.Irreps(irreps_in), o3.Irreps(irreps_out), correlation, 4)
    types = torch.tensor([0, 3, 1, 1, 0, 1, 1, 1, 0, 3, 1])
    weights = [order.weight.detach() for order in layer.orders]
    a = torch.randn(len(types), layer.dim_lm, layer.channels, dtype=torch.float64)
    g = torch.randn(len(types), layer.n_rows, layer.channels, dtype=torch.float64)
    return Product(a, types, weights, [layer.terms, layer.entries, layer.product_value], g)


CASES = {
    "scalars of l ≤ 3": ("32x0e+32x1o+32x2e+32x3o", "32x0e", 3),
    "vectors of l ≤ 2": ("40x0e+40x1o+40x2e", "40x0e+40x1o", 3),
    "pairs": ("5x0e+5x1o", "5x0e+5x1o", 2),
}


@pytest.mark.parametrize("name", ["vectors of l ≤ 2", "pairs"])
def test_equals_the_op(name: str, machine: Machine) -> None:
    exact = product(*CASES[name])
    calls = []
    for dtype in LIMITS:
        p = exact.to(dtype)
        arguments = (p.a, p.types, p.weights, p.tables)
        calls.append(("symmetric_contraction", (*arguments, p.g.shape[1])))
        calls.append(("symmetric_contraction_grad", (p.g, *arguments)))
    machine.give(calls)
    assert succeeded(machine.start())
    found, expected = machine.results(), exact.by_op()
    for limit, *pair in zip(LIMITS.values(), found[::2], found[1::2], strict=True):
        for a, b in zip(pair, expected, strict=True):
            assert float((a.double() - b).abs().max() / b.abs().max()) < limit


def test_a_type_without_weights_stops_the_kernel(machine: Machine) -> None:
    p = product(*CASES["pairs"])
    machine.give([("symmetric_contraction", (p.a, p.types + 1, p.weights, p.tables, p.g.shape[1]))])
    assert "CUDA driver, forward: a planted failure (719)" in machine.start().communicate()[1]


@pytest.mark.skipif(not nvrtc.found(), reason="needs pip's nvidia-cuda-nvrtc")
@pytest.mark.parametrize("name", CASES)
def test_no_spills(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    p = product(*CASES[name]).to(torch.float32)
    text = torch.ops.e3md_gpu.symmetric_contraction_text(p.a, p.weights, p.tables, p.g.shape[1])
    lines = []
    for level in LEVELS if "scalars" in name else ("sm_90",):
        for kernel, used in sorted(nvrtc.compiled(text, level).usage.items()):
            lines.append(f"{name:16} {kernel:8} {level:6} {used.registers:4} registers")
            assert used.spilled == 0, f"{kernel} for {level}"
    with capsys.disabled():
        print("\n" + "\n".join(lines))
