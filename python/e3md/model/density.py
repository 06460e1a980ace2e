"""How dense the neighborhood of an atom is: what messages of MACE may be divided by."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from e3md.graph import Edges
from e3md.model.alike import check_alike
from e3md.model.embedding import EdgeEmbedding
from e3md.model.path_table import GROUP, Path, PathTable, Term
from e3md.model.plan import Plan, Value
from e3md.model.splines import KnownBasis, SplineConvolution
from e3md.model.stacking import stack

ONES = PathTable((Path(0, 0, 0, 0, 1, 0, 1, (Term(0, 0, 0, 1.0),)),), 0, GROUP, 1)  # times R(r)


class Density(nn.Module):
    """1 + Σ_j tanh(ρ(r_ij)²), ρ from a network of the distance, asked for every edge or at knots."""

    def __init__(self, network: nn.Module, splines: SplineConvolution) -> None:
        """network: from the radial basis to one ρ, or to that of each member of a committee."""
        super().__init__()
        self.network: Any = network
        self.splines = splines
        self.group = GROUP

    @staticmethod
    def single(network: nn.Module, embedding: EdgeEmbedding) -> "Density":
        """Of one model."""
        return Density(network, embedding.splines(ONES))

    def forward(self, edges: Edges, n_local: int) -> Tensor:
        """Of each local atom, (n_local, 1), or (n_local, n_members)."""
        if self.splines.knots.shape[0] > 0:
            ones = edges.edge_vec.new_empty(edges.types.shape[0], 0)
            return 1.0 + self.splines(ones, edges, self.splines.knots, n_local)
        rho = self.network(edges.radial)
        sums = torch.zeros(n_local, rho.shape[1], dtype=rho.dtype, device=rho.device)
        return 1.0 + sums.index_add(0, edges.edge_index[0], torch.tanh(rho.square()))

    def divide_steps(self, plan: Plan, x: Value) -> Value:
        """x of each member divided by its density."""
        inverse = plan.activate(self.splines.steps(plan, None), "inverse")
        y, width = plan.new("local", x.width), x.width // inverse.width
        for k in range(inverse.width):
            own = x.columns(k * width, width)
            plan.multiply(own, inverse.columns(k, 1), into=y.columns(k * width, width))
        return y

    def tabulate(self, basis: KnownBasis) -> None:
        """Keep knots of tanh(ρ²)."""
        tables: list[Tensor] = []
        for jets in basis.jets.unbind(1):
            terms = tanh_of_square(self.network.jets(jets))
            columns = torch.nn.functional.pad(terms.unsqueeze(3), (0, self.group - 1))
            tables.append(columns.flatten(2))
        self.splines.keep(basis.grid, tables, basis.of_pair)

    @staticmethod
    def stacked(members: Sequence["Density"]) -> "Density":
        check_alike(members)
        check_alike([member.splines for member in members])
        table = members[0].splines.table.side_by_side(len(members))
        network = stack([member.network for member in members])
        return Density(network, members[0].splines.with_table(table))


def tanh_of_square(rho: Tensor) -> Tensor:
    """tanh(ρ²), with two derivatives carried along: (3, n, width)."""
    square = rho[0].square()
    slope, bend = 2.0 * rho[0] * rho[1], 2.0 * (rho[1].square() + rho[0] * rho[2])
    t = torch.tanh(square)
    rise = 1.0 - t.square()
    return torch.stack([t, rise * slope, rise * (bend - 2.0 * t * slope.square())])
