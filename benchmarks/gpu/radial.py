"""One edge convolution with tables, as the CPU's op takes it and as kernels of a GPU do."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from e3nn import o3
from torch import Tensor

from e3md import ops
from e3md.model.convolution import channelwise
from e3md.model.harmonics import SphericalHarmonics
from e3md.model.path_table import PathTable

INTEGERS = (
    "n_local",
    "n_nodes",
    "n_edges",
    "n_types",
    "dim_in",
    "dim_out",
    "n_rows",
    "row",
    "doubled",
)
POINTERS = ("h", "edge_vec", "table", "g", "out", "grad_vec", "grad_h",
            "begin", "receiver", "sender", "types", "table_of_pair")  # fmt: skip
THREADS = 128  # of a block
NO_KNOT = 2**63 - 1


class Problem32(ctypes.Structure):
    """RadialProblem<float> of cpp/gpu/radial_problem.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in POINTERS),
        *((name, ctypes.c_longlong) for name in INTEGERS),
        ("first", ctypes.c_float), ("inverse_spacing", ctypes.c_float),
    ]  # fmt: skip


class Problem64(ctypes.Structure):
    """RadialProblem<double>."""

    _fields_ = [
        *Problem32._fields_[:-2],
        ("first", ctypes.c_double), ("inverse_spacing", ctypes.c_double),
    ]  # fmt: skip


@dataclass(frozen=True)
class Graph:
    """Receivers, ghosts beside them, and edges sorted by receiver."""

    types: Tensor  # (n_nodes,) int64
    edge_index: Tensor  # (2, n_edges) int64
    edge_vec: Tensor  # (n_edges, 3) Å
    n_local: int


@dataclass(frozen=True)
class Convolution:
    """The argument `tables` of the op, and what goes with it."""

    tables: list[Tensor]
    solid: bool
    dim_in: int  # 0: features are ones
    dim_out: int
    n_gradients: int = 1


@dataclass(frozen=True)
class Results:
    """What forward and backward make."""

    out: Tensor  # (n_local, dim_out)
    grad_h: Tensor  # (n_nodes, dim_in)
    grad_vec: Tensor  # (n_gradients, n_edges, 3)

    def worst(self, other: "Results") -> float:
        """The largest difference to the other's numbers, each relative to its largest."""
        pairs = (
            (self.out, other.out),
            (self.grad_h, other.grad_h),
            (self.grad_vec, other.grad_vec),
        )
        return max(
            float((a.double().cpu() - b.double().cpu()).abs().max() / b.double().abs().max())
            for a, b in pairs
            if b.numel()
        )


def convolution(
    irreps: str, l_max: int, keep: str, *, ones: bool = False, solid: bool = False,
    n_types: int = 1, doubled: bool = False, members: int = 1, n_knots: int = 96, cutoff: float = 6.0,
) -> Convolution:  # fmt: skip
    """Every product of features and harmonics to irreps that are kept, with random tables."""
    table, _ = channelwise(irreps, o3.Irreps.spherical_harmonics(l_max), keep)
    padded: PathTable = table.padded()[0].side_by_side(members)
    generator = torch.Generator().manual_seed(1)
    shape = (n_types**2, n_knots, padded.n_weights // 16, 3, 16)
    grid = [0.05, (cutoff - 0.05) / (n_knots - 1 - doubled)]
    tables = [
        torch.randn(shape, dtype=torch.float64, generator=generator),
        torch.arange(n_types**2).view(n_types, n_types).flip(0).contiguous(),
        torch.tensor([*grid, n_knots // 2] if doubled else grid, dtype=torch.float64),
        *SphericalHarmonics(l_max).terms(),
        *padded.tensors(),
    ]
    return Convolution(tables, solid, 0 if ones else padded.dim_in, padded.dim_out, members)


@dataclass(frozen=True)
class Text:
    """Kernels specialised to a convolution."""

    source: str
    launches: list[list[int]]  # kernel, h, out, table, gradient, n_tiles of each
    fills: bool

    @staticmethod
    def of(c: Convolution, dtype: torch.dtype) -> "Text":
        source, launches, fills = torch.ops.e3md_gpu.edge_conv_radial_text(
            c.tables, c.solid, c.dim_in, c.dim_out, c.n_gradients, dtype == torch.float64
        )
        return Text(source, launches.tolist(), fills)


@dataclass(frozen=True)
class Case:
    """Numbers to convolve."""

    convolution: Convolution
    graph: Graph
    h: Tensor
    g: Tensor

    @staticmethod
    def random(c: Convolution, graph: Graph) -> "Case":
        generator = torch.Generator().manual_seed(2)
        h = torch.randn(len(graph.types), c.dim_in, dtype=torch.float64, generator=generator)
        g = torch.randn(graph.n_local, c.dim_out, dtype=torch.float64, generator=generator)
        return Case(c, graph, h, g)

    def to(self, device: str, dtype: torch.dtype) -> "Case":
        c, graph = self.convolution, self.graph
        values = c.tables[0].to(device, dtype)
        return Case(
            replace(c, tables=[values, *c.tables[1:]]),
            Graph(graph.types.to(device), graph.edge_index.to(device),
                  graph.edge_vec.to(device, dtype), graph.n_local),
            self.h.to(device, dtype), self.g.to(device, dtype),
        )  # fmt: skip

    def by_op(self) -> Results:
        """What the op makes where the case lies."""
        c, graph = self.convolution, self.graph
        h = self.h.clone().requires_grad_(c.dim_in > 0)
        vec = graph.edge_vec.expand(c.n_gradients, -1, -1) if c.n_gradients > 1 else graph.edge_vec
        vec = vec.clone().requires_grad_()
        out = ops.edge_conv_radial(
            h, vec, graph.types, graph.edge_index, c.tables, c.solid, graph.n_local, c.dim_out
        )
        inputs = [vec, h] if c.dim_in else [vec]
        grads = torch.autograd.grad(out, inputs, self.g)
        grad_h = grads[1] if c.dim_in else torch.zeros_like(self.h)
        return Results(out.detach(), grad_h, grads[0].view(c.n_gradients, -1, 3))


class Launcher:
    """Calls a text's kernels on tensors that lie where these run."""

    def __init__(self, case: Case, text: Text) -> None:
        self.case, self.text = case, text
        c, graph = case.convolution, case.graph
        starts = torch.arange(graph.n_local + 1, device=graph.types.device)
        receiver, sender = (row.contiguous() for row in graph.edge_index)
        self.begin = torch.searchsorted(receiver, starts)
        values, of_pair = c.tables[0], c.tables[1].to(graph.types.device)
        self.results = Results(
            torch.zeros_like(case.g), torch.zeros_like(case.h),
            case.h.new_zeros(c.n_gradients, len(sender), 3),
        )  # fmt: skip
        self.tensors = {
            "h": case.h, "edge_vec": graph.edge_vec, "table": values, "g": case.g,
            "out": self.results.out, "grad_vec": self.results.grad_vec,
            "grad_h": self.results.grad_h, "begin": self.begin, "receiver": receiver,
            "sender": sender, "types": graph.types, "table_of_pair": of_pair,
        }  # fmt: skip
        grid = c.tables[2].tolist()
        self.numbers = {
            "n_local": graph.n_local, "n_nodes": len(graph.types), "n_edges": len(sender),
            "n_types": len(of_pair), "dim_in": c.dim_in, "dim_out": c.dim_out,
            "n_rows": values.shape[1], "row": values[0, 0].numel(),
            "doubled": int(grid[2]) if len(grid) == 3 else NO_KNOT,
            "first": grid[0], "inverse_spacing": 1 / grid[1],
        }  # fmt: skip

    def problem(self, launch: list[int]) -> Problem32 | Problem64:
        """Of one launch: rows begin at its columns."""
        _, h, out, table, gradient, _ = launch
        size = self.case.h.element_size()
        begins = {"h": h, "grad_h": h, "out": out, "g": out, "table": table,
                  "grad_vec": gradient * self.numbers["n_edges"] * 3}  # fmt: skip
        kind = Problem64 if size == 8 else Problem32
        pointers = {
            name: tensor.data_ptr() + size * begins.get(name, 0)
            for name, tensor in self.tensors.items()
        }
        return kind(**pointers, **self.numbers)

    def run(self, direction: str, call: Callable[[str, Any, int, int], None]) -> None:
        """call: (name, problem, blocks along x and y)."""
        n_blocks = -(-self.numbers["n_local"] // (THREADS // 32))
        for launch in self.text.launches:
            call(f"{direction}_{launch[0]}", self.problem(launch), n_blocks, launch[5])
