"""MACE's product basis: equivariant polynomials of one atom's features, channel by channel.

B_i[LM, c] = Σ_ν Σ_η W^ν_{z_i, η c} Σ_{m1..mν} U^{LM}_{η, m1..mν} Π_k A_i[m_k, c]
(Batatia et al., arXiv:2206.07697, eq. 10)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations
from typing import Any, NamedTuple

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md import ops
from e3md.model.alike import check_alike
from e3md.model.couplings import coupling_tensors
from e3md.model.layout import Layout
from e3md.model.plan import Plan, Value


@dataclass(frozen=True)
class Couplings:
    """Of products of ν factors with all outputs: a row for each (output irrep, η, M)."""

    factors: Tensor  # (ν, n_monomials) int64: the components of A that each monomial multiplies
    values: Tensor  # (n_rows, n_monomials) float64
    outputs: list[int]  # the target's irreps that such products reach
    shapes: list[tuple[int, int]]  # (n_η, 2L+1) of each
    out_rows: list[int]  # component of the result that each row adds to
    weight_rows: list[int]  # weight that each row is multiplied by

    @property
    def n_weights(self) -> int:
        return sum(n_eta for n_eta, _ in self.shapes)


class ProductTerm(NamedTuple):
    """out[row] += Π_k A[components_k] · Σ value · W[weight] over `entries`."""

    row: int
    components: tuple[int, ...]  # increasing, at most three
    entries: tuple[tuple[int, float], ...]  # weight, value


@dataclass(frozen=True)
class ProductProgram:
    """All orders as one polynomial: equal terms are formed once."""

    terms: tuple[ProductTerm, ...]  # in order of rows, then components

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """As the op takes them: terms, entries and values of `ops.symmetric_contraction`."""
        rows = [(t.row, *t.components, *[-1] * (3 - len(t.components))) for t in self.terms]
        entries = [(n, weight) for n, t in enumerate(self.terms) for weight, _ in t.entries]
        values = [value for t in self.terms for _, value in t.entries]
        return torch.tensor(rows), torch.tensor(entries), torch.tensor(values, dtype=torch.float64)


class SymmetricContraction(nn.Module):
    """Products of up to `correlation` features, contracted to each output irrep.

    All orders are one polynomial with a sparse table of terms: `ops.symmetric_contraction`.
    """

    terms: Tensor
    entries: Tensor
    product_value: Tensor

    def __init__(
        self, irreps_in: Irreps | str, irreps_out: Irreps | str, correlation: int, n_species: int
    ) -> None:
        super().__init__()
        source, target = Layout(irreps_in), Layout(irreps_out)
        self.irreps_in, self.irreps_out = str(source.irreps), str(target.irreps)
        self.correlation = correlation
        orders = self.couplings()
        self.channels = source.blocks[0].channels
        self.dim_lm, self.n_rows = source.dim // self.channels, target.dim // self.channels
        self.program = product_program(orders)
        terms, entries, values = self.program.tensors()
        self.register_buffer("terms", terms, persistent=False)
        self.register_buffer("entries", entries, persistent=False)
        self.register_buffer("product_value", values, persistent=False)
        self.orders: Any = nn.ModuleList(
            OrderWeights(order.shapes, n_species, self.channels) for order in orders
        )

    def couplings(self) -> list[Couplings]:
        """What the weights of each order multiply."""
        return product_couplings(self.irreps_in, self.irreps_out, self.correlation)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Only weights are learned; files and checkpoints of 0.1.0 hold tables beside them."""
        for name in [n for n in state if n.startswith(prefix) and not n.endswith(".weight")]:
            del state[name]
        super()._load_from_state_dict(state, prefix, *rest)

    def forward(self, a: Tensor, types: Tensor) -> Tensor:
        """a: (n, dim_in), types: (n,) int64 -> (n, dim_out)."""
        weights: list[Tensor] = []
        for order in self.orders:
            weights.append(order.weight)
        return self.contract(a, types, weights)

    def steps(self, plan: Plan, x: Value) -> Value:
        return self.product_steps(plan, x, [[order.weight] for order in self.orders])

    def product_steps(self, plan: Plan, x: Value, weights: list[list[Tensor]]) -> Value:
        """With the weights of each order, of several members."""
        tables = [self.terms, self.entries, self.product_value]
        return plan.product(x, weights, tables, self.n_rows, self.channels)

    def contract(self, a: Tensor, types: Tensor, weights: list[Tensor]) -> Tensor:
        """As forward, with other weights than those of this module."""
        tables = [self.terms, self.entries, self.product_value]
        a = a.view(a.shape[0], self.dim_lm, self.channels)
        return ops.symmetric_contraction(a, types, weights, tables, self.n_rows).flatten(1)

    @staticmethod
    def stacked(members: Sequence["SymmetricContraction"]) -> "StackedContraction":
        check_alike(members)
        return StackedContraction(members)


class StackedContraction(nn.Module):
    """A contraction over as many species as there are pairs of a species and a member."""

    def __init__(self, members: Sequence[SymmetricContraction]) -> None:
        super().__init__()
        self.one = members[0]
        self.n_members = len(members)
        orders = zip(*([o.weight for o in member.orders] for member in members), strict=True)
        self.weights: Any = nn.ModuleList(nn.ParameterList(weights) for weights in orders)

    def forward(self, a: Tensor, types: Tensor) -> Tensor:
        """a: (n, n_members · dim_in), types: (n,) int64 -> (n, n_members · dim_out)."""
        member = torch.arange(self.n_members, device=types.device)
        kinds = (types[:, None] * self.n_members + member).flatten()
        weights: list[Tensor] = []
        for order in self.weights:
            weights.append(torch.stack([w for w in order], dim=1).flatten(0, 1))
        rows = a.reshape(a.shape[0] * self.n_members, a.shape[1] // self.n_members)
        found = self.one.contract(rows, kinds, weights)
        return found.view(a.shape[0], found.shape[1] * self.n_members)

    def steps(self, plan: Plan, x: Value) -> Value:
        return self.one.product_steps(plan, x, [list(order) for order in self.weights])


class OrderWeights(nn.Module):
    """W^ν, (n_species, n_η of all outputs, channels)."""

    def __init__(self, shapes: list[tuple[int, int]], n_species: int, channels: int) -> None:
        super().__init__()
        spread = torch.cat([torch.full((n,), 1 / math.sqrt(n)) for n, _ in shapes]).double()
        drawn = torch.randn(n_species, len(spread), channels, dtype=torch.float64)
        self.weight = nn.Parameter(drawn * spread[:, None])


def product_couplings(
    irreps_in: Irreps | str, irreps_out: Irreps | str, correlation: int
) -> list[Couplings]:
    """Of each order that reaches an output.

    Raises:
        ValueError: for unequal channels, and for an output that no product transforms as.
    """
    source, target = Layout(irreps_in), Layout(irreps_out)
    if len({b.channels for b in (*source.blocks, *target.blocks)}) != 1:
        raise ValueError(
            f"the product basis needs equal channels, got {source.irreps} -> {target.irreps}"
        )
    orders = [
        coupling_tensors(tuple(b.irrep for b in source.blocks), order)
        for order in range(1, correlation + 1)
    ]
    for block in target.blocks:
        if not any(block.irrep in tensors for tensors in orders):
            raise ValueError(
                f"no product of up to {correlation} features in {source.irreps} "
                f"transforms as {block.irrep}: leave it out of hidden_irreps"
            )
    found = [[tensors.get(b.irrep) for b in target.blocks] for tensors in orders]
    return [_couplings(t, target) for t in found if any(x is not None for x in t)]


def _couplings(tensors: list[Tensor | None], target: Layout) -> Couplings:
    present = [(t, b) for t, b in zip(tensors, target.blocks, strict=True) if t is not None]
    factors, values = _monomials(torch.cat([t.flatten(0, 1) for t, _ in present]))
    weight_rows: list[int] = []
    out_rows: list[int] = []
    n_weights = 0
    for tensor, block in present:
        first = block.offset // block.channels
        for eta in range(tensor.shape[0]):
            weight_rows += [n_weights + eta] * block.n_m
            out_rows += [first + m for m in range(block.n_m)]
        n_weights += tensor.shape[0]
    outputs = [n for n, t in enumerate(tensors) if t is not None]
    shapes = [(t.shape[0], b.n_m) for t, b in present]
    return Couplings(factors, values, outputs, shapes, out_rows, weight_rows)


def product_program(orders: list[Couplings]) -> ProductProgram:
    """Of all orders; their weights are numbered on from one to the next."""
    found: dict[tuple[int, tuple[int, ...]], list[tuple[int, float]]] = {}
    n_weights = 0
    for order in orders:
        for row, monomial in torch.nonzero(order.values.abs() > 1e-12).tolist():
            term = (order.out_rows[row], tuple(order.factors[:, monomial].tolist()))
            weight = n_weights + order.weight_rows[row]
            found.setdefault(term, []).append((weight, float(order.values[row, monomial])))
        n_weights += order.n_weights
    ordered = sorted(found, key=lambda term: (term[0], *term[1], *[-1] * (3 - len(term[1]))))
    return ProductProgram(tuple(ProductTerm(*term, tuple(found[term])) for term in ordered))


def _monomials(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Rewrite symmetric tensors (rows, dim, ..., dim) over the monomials they use.

    Returns:
        factors (order, n_monomials) int64: the components of A that each monomial multiplies;
        couplings (rows, n_monomials): coefficient of each monomial.
    """
    order = flat.ndim - 1
    factors, columns = [], []
    by_component = flat.movedim(0, -1)
    for index in combinations_with_replacement(range(flat.shape[1]), order):
        column = torch.stack([by_component[p] for p in set(permutations(index))]).sum(0)
        if column.abs().max() > 1e-10:
            factors.append(index)
            columns.append(column)
    return torch.tensor(factors).T.contiguous(), torch.stack(columns, dim=1)
