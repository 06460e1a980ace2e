"""From an edge vector and a species to the first numbers a network sees."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from e3md.graph import Edges
from e3md.model.alike import check_alike
from e3md.model.harmonics import SphericalHarmonics
from e3md.model.path_table import PathTable
from e3md.model.plan import Plan, Value
from e3md.model.splines import FIRST_KNOT, LAST_KNOT, SplineConvolution, derivative, grid_of


class EdgeEmbedding(nn.Module):
    """Distance basis and spherical harmonics of every edge, or those of them that somebody reads.

    `radial(r, pair)` gives the basis, (n_edges, n_basis); pair = t_i · n_species + t_j. A basis with
    the attribute `of_pairs` differs between pairs of species.
    """

    pairs: Tensor

    def __init__(
        self, radial: nn.Module, cutoff: float, l_max: int, n_species: int, solid: bool = False
    ) -> None:
        """solid: harmonics of the edge vector, r^l Y_l(r̂), not of its direction."""
        super().__init__()
        self.solid = solid
        self.first_knot, self.last_knot = FIRST_KNOT, cutoff * LAST_KNOT
        self.radial = radial
        self.harmonics = SphericalHarmonics(l_max)
        self.n_species = n_species
        self.of_pairs = hasattr(radial, "of_pairs")
        n_pairs = n_species**2 if self.of_pairs else 1
        self.register_buffer("pairs", torch.arange(n_pairs), persistent=False)  # with an own basis
        self.gives_radial = self.gives_harmonics = True

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor) -> Edges:
        """types: (n_nodes,), edge_index: (2, n_edges), edge_vec: (n_edges, 3) Å."""
        radial = sh = edge_vec.new_empty(0, 0)
        if self.gives_radial or self.gives_harmonics:
            r = torch.linalg.vector_norm(edge_vec, dim=1)
            if self.gives_radial:
                pair = types[edge_index[0]] * self.n_species + types[edge_index[1]]
                radial = self.radial(r, pair)
            if self.gives_harmonics:
                sh = self.harmonics(edge_vec if self.solid else edge_vec / r[:, None])
        return Edges(types, edge_index, edge_vec, radial, sh)

    def give_only(self, radial: bool) -> None:
        """From now on no harmonics, and the basis only if asked for: convolutions read knots."""
        self.gives_radial, self.gives_harmonics = radial, False

    def knots(self, first: float, n: int) -> Tensor:
        """n equidistant distances up to the cutoff, (n,) float64 Å, that `jets` can differentiate."""
        r = torch.linspace(first, self.last_knot, n, dtype=torch.float64, device=self.pairs.device)
        return r.requires_grad_()

    def jets(self, r: Tensor) -> Tensor:
        """The basis at knots, with derivatives per spacing: f, h f′, h² f″.

        r: (n_knots,), as `knots` makes them -> (3, n_tables · n_knots, n_basis).
        """
        spacing = grid_of(r)[1]
        tables: list[Tensor] = []
        for n in range(self.pairs.shape[0]):
            f = self.radial(r, self.pairs[n].expand(r.shape[0]))
            slope = derivative(f, r)
            curvature = derivative(slope, r)
            jets = torch.stack([f, spacing * slope, spacing * spacing * curvature])
            tables.append(jets.detach())
        return torch.cat(tables, dim=1)

    def splines(self, table: PathTable, by_neighbor: bool = False) -> SplineConvolution:
        """A convolution with these harmonics; by_neighbor: weights of a neighbor's species at least."""
        n, neighbor = self.n_species, torch.arange(self.n_species)
        of_pair = torch.zeros(n, n, dtype=torch.int64)
        if self.of_pairs:
            of_pair = torch.arange(n**2).view(n, n)
        elif by_neighbor:
            of_pair = neighbor.expand(n, n).contiguous()
        return SplineConvolution(table, self.solid, self.harmonics.terms(), of_pair)

    @staticmethod
    def stacked(members: Sequence["EdgeEmbedding"]) -> "EdgeEmbedding":
        check_alike(members)
        stacked = copy.deepcopy(members[0])
        stacked.radial = StackedBasis([member.radial for member in members])
        return stacked


class StackedBasis(nn.Module):
    """The bases of all members, side by side."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, r: Tensor, pair: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for member in self.members:
            parts.append(member(r, pair))
        return torch.cat(parts, dim=1)


class SpeciesEmbedding(nn.Module):
    """A learned row of scalars per species."""

    def __init__(self, n_species: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_species, channels, dtype=torch.float64))

    def forward(self, types: Tensor) -> Tensor:
        """types: (n,) int64 -> (n, channels)."""
        return self.weight.index_select(0, types)

    def steps(self, plan: Plan) -> Value:
        return plan.constant(self.weight)

    @staticmethod
    def stacked(members: Sequence["SpeciesEmbedding"]) -> "StackedEmbedding":
        check_alike(members, sizes_only=True)
        return StackedEmbedding(members)


class StackedEmbedding(nn.Module):
    """The species' rows of all members."""

    def __init__(self, members: Sequence[SpeciesEmbedding]) -> None:
        super().__init__()
        self.members: Any = nn.ModuleList(members)

    def forward(self, types: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for member in self.members:
            parts.append(member(types))
        return torch.cat(parts, dim=1)

    def steps(self, plan: Plan) -> Value:
        return plan.side_by_side([member.steps(plan) for member in self.members])
