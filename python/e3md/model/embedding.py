"""From an edge vector and a species to the first numbers a network sees."""

import torch
from torch import Tensor, nn

from e3md.graph import Edges
from e3md.model.harmonics import SphericalHarmonics


class EdgeEmbedding(nn.Module):
    """Distance basis and spherical harmonics of every edge.

    `radial(r, pair)` gives the basis, (n_edges, n_basis); pair = t_i · n_species + t_j, for bases
    that differ between pairs of species.
    """

    def __init__(self, radial: nn.Module, l_max: int, n_species: int, solid: bool = False) -> None:
        """solid: harmonics of the edge vector, r^l Y_l(r̂), not of its direction."""
        super().__init__()
        self.solid = solid
        self.radial = radial
        self.harmonics = SphericalHarmonics(l_max)
        self.n_species = n_species

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor) -> Edges:
        """types: (n_nodes,), edge_index: (2, n_edges), edge_vec: (n_edges, 3) Å."""
        r = torch.linalg.vector_norm(edge_vec, dim=1)
        pair = types[edge_index[0]] * self.n_species + types[edge_index[1]]
        direction = edge_vec if self.solid else edge_vec / r[:, None]
        radial, sh = self.radial(r, pair), self.harmonics(direction)
        return Edges(types, edge_index, edge_vec, radial, sh)


class SpeciesEmbedding(nn.Module):
    """A learned row of scalars per species."""

    def __init__(self, n_species: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_species, channels, dtype=torch.float64))

    def forward(self, types: Tensor) -> Tensor:
        """types: (n,) int64 -> (n, channels)."""
        return self.weight.index_select(0, types)
