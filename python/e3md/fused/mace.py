"""What MACE's first layer allows: its features are species, so linear maps go into the tables.

A_i[l m, d] = Σ_j Y_lm(r̂_ij) Σ_c W_l[c, d] R_lc(r_ij) u_c(z_j): the sum over c is a function of the
distance and of the neighbor's species.
"""

import torch
from torch import Tensor, nn

from e3md.fused.radial import GROUP
from e3md.model.embedding import SpeciesEmbedding
from e3md.model.layout import Layout
from e3md.model.mace import MACELayer


class MergedColumns(nn.Module):
    """Σ_c W_l[c, d] R_lc(r) u_c(z) for every l and d, in groups of columns: (n, n_columns)."""

    def __init__(self, basis: nn.Module, layer: MACELayer, embedding: SpeciesEmbedding) -> None:
        super().__init__()
        self.basis = basis
        self.network = layer.radial_network
        self.embedding = embedding
        self.up = layer.linear_up
        self.norm = layer.norm
        self.n_species = embedding.weight.shape[0]
        self.weights = nn.ParameterList(block.weight for block in layer.linear_a.blocks)
        self.scale = layer.linear_a.scales[0]
        self.offsets = [row[5] for row in layer.convolution.paths.tolist()]

    def forward(self, r: Tensor, pair: Tensor) -> Tensor:
        """r: (n,) Å; pair: (n,) receiver · n_species + neighbor."""
        radial = self.network(self.basis(r, pair))
        species = self.embedding(torch.remainder(pair, self.n_species))
        up = self.up(species) * self.norm
        columns: list[Tensor] = []
        for n, weight in enumerate(self.weights):
            mixed = radial.narrow(1, self.offsets[n], weight.shape[0]) * up
            merged = mixed @ (weight * self.scale)
            columns.append(torch.nn.functional.pad(merged, (0, -merged.shape[1] % 16)))
        return torch.cat(columns, dim=1)


class NoFeatures(nn.Module):
    """In place of a linear map that the tables contain."""

    def forward(self, h: Tensor) -> Tensor:
        return h.narrow(1, 0, 0)


def merged_paths(layer: MACELayer) -> Tensor:
    """Paths of the first layer from the table's columns to A: one for each l."""
    target = Layout(layer.irreps_a)
    rows, column = [], 0
    for row, block in zip(layer.convolution.paths.tolist(), target.blocks, strict=True):
        rows.append([
            0, 0, row[2], block.offset, block.channels,
            column, block.channels, row[7], row[8],
        ])  # fmt: skip
        column += -(-block.channels // GROUP) * GROUP
    return torch.tensor(rows)
