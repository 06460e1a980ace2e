"""From an edge vector and a species to the first numbers a network sees."""

import copy
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from e3md.graph import Edges
from e3md.model.alike import check_alike
from e3md.model.harmonics import SphericalHarmonics
from e3md.model.path_table import PathTable
from e3md.model.plan import Plan, Value
from e3md.model.splines import (
    FIRST_KNOT,
    LAST_KNOT,
    Knots,
    KnownBasis,
    SplineConvolution,
    derivative,
    make_knots,
)


class EdgeEmbedding(nn.Module):
    """Distance basis and spherical harmonics of every edge, or those of them that somebody reads.

    `radial(r, pair)` gives the basis, (n_edges, n_basis); pair = t_i · n_species + t_j. A basis with
    the attribute `of_pairs` differs between pairs of species: its `functions()` are (n_pairs,) int64,
    equal where the functions are. `breaks` of a basis are distances where second derivatives jump.
    """

    of_pairs: Final[bool]
    pairs: Tensor  # of species in use
    breaks: list[float]

    def __init__(
        self, radial: nn.Module, cutoff: float, l_max: int, n_species: int, solid: bool = False
    ) -> None:
        """solid: harmonics of the edge vector, r^l Y_l(r̂), not of its direction."""
        super().__init__()
        self.solid = solid
        self.first_knot, self.last_knot = FIRST_KNOT, cutoff * LAST_KNOT
        self.radial: Any = radial
        self.harmonics = SphericalHarmonics(l_max)
        self.n_species = n_species
        self.of_pairs = hasattr(radial, "of_pairs")
        self.breaks: list[float] = getattr(radial, "breaks", [])
        self.register_buffer("pairs", torch.arange(n_species**2), persistent=False)
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

    def use(self, types: Tensor) -> None:
        """Only pairs of these species are known at knots from now on; types: (n,) int64."""
        species = torch._unique2(types)[0]
        self.pairs = (species[:, None] * self.n_species + species).flatten()

    def knots(self, first: float, n: int) -> Knots:
        """About n knots from `first` to the cutoff."""
        return make_knots(first, self.last_knot, n, self.breaks, self.pairs.device)

    def known(self, knots: Knots) -> KnownBasis:
        """The basis at knots, for the pairs of species in use."""
        function = torch.zeros_like(self.pairs)
        if self.of_pairs:
            function = self.radial.functions().index_select(0, self.pairs)
        found, number, _ = torch._unique2(function, sorted=True, return_inverse=True)
        n, n_functions = self.n_species, found.shape[0]
        none = self.pairs.new_zeros(n * n) + n_functions
        of_pair = none.scatter(0, self.pairs, number).view(n, n)
        examples = torch.zeros_like(found).scatter(0, number, self.pairs)
        return KnownBasis(knots.grid, self._jets(knots, examples), of_pair)

    def _jets(self, knots: Knots, pairs: Tensor) -> Tensor:
        """The basis of each pair, (3, n_pairs, n_rows, n_basis): f, h f′, h² f″, h the spacing."""
        r, spacing = knots.r.detach().requires_grad_(), knots.grid[1]
        functions: list[Tensor] = []
        for pair in pairs.unbind():
            f = self.radial(r, pair.expand(r.shape[0]))
            slope = derivative(f, r)
            curvature = derivative(slope, r)
            jets = torch.stack([f, spacing * slope, spacing * spacing * curvature])
            functions.append(jets.detach())
        return torch.stack(functions, dim=1)

    def splines(self, table: PathTable) -> SplineConvolution:
        """A convolution with these harmonics."""
        of_pair = torch.zeros(self.n_species, self.n_species, dtype=torch.int64)
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
        self.members: Any = nn.ModuleList(members)

    def forward(self, r: Tensor, pair: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for member in self.members:
            parts.append(member(r, pair))
        return torch.cat(parts, dim=1)

    def functions(self) -> Tensor:
        """Of pairs: equal where every member's are."""
        found = torch.zeros(1, dtype=torch.int64)
        for n, member in enumerate(self.members):
            own = member.functions()
            both = own if n == 0 else found * own.shape[0] + own
            found = torch._unique2(both, sorted=True, return_inverse=True)[1]
        return found


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
