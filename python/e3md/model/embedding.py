"""From an edge vector and a species to the first numbers a network sees."""

import torch
from torch import Tensor, nn

from e3md.model.harmonics import SphericalHarmonics
from e3md.model.radial import BesselBasis


class EdgeEmbedding(nn.Module):
    """Distance basis and spherical harmonics of every edge."""

    def __init__(self, cutoff: float, n_bessel: int, envelope_power: int, l_max: int) -> None:
        super().__init__()
        self.radial = BesselBasis(cutoff, n_bessel, envelope_power)
        self.harmonics = SphericalHarmonics(l_max)

    def forward(self, edge_vec: Tensor) -> tuple[Tensor, Tensor]:
        """edge_vec: (n_edges, 3) Å -> radial (n_edges, n_bessel), sh (n_edges, (l_max+1)²)."""
        r = torch.linalg.vector_norm(edge_vec, dim=1)
        return self.radial(r), self.harmonics(edge_vec / r[:, None])


class SpeciesEmbedding(nn.Module):
    """A learned row of scalars per species."""

    def __init__(self, n_species: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_species, channels, dtype=torch.float64))

    def forward(self, types: Tensor) -> Tensor:
        """types: (n,) int64 -> (n, channels)."""
        return self.weight.index_select(0, types)
