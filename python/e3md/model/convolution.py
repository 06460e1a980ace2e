"""The edge convolution all architectures share: neighbors' features times Y(r̂) times R(r), summed.

m_i[p, m3, c] = Σ_j R_pc(r_ij) Σ_{m1 m2} C^{l3 m3}_{l1 m1, l2 m2} h_j[l1 m1, c] Y_{l2 m2}(r̂_ij)
"""

import math

import torch
from e3nn import o3
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md import ops
from e3md.graph import Edges
from e3md.model.layout import Block, Layout


class EdgeConvolution(nn.Module):
    """Channelwise ('uvu') tensor product of h_j and Y_ij with given per-edge weights.

    Every path l1 ⊗ l2 -> l3 whose result is among `irreps_keep` gets weights of its own. Paths to
    the same irrep lie side by side as further channels. C is e3nn's Wigner 3j times sqrt(2 l3 + 1).
    """

    paths: Tensor
    cg_index: Tensor
    cg_value: Tensor

    def __init__(
        self, irreps_in: Irreps | str, harmonics: Irreps, irreps_keep: Irreps | str
    ) -> None:
        super().__init__()
        kept = {irrep for _, irrep in Irreps(irreps_keep)}
        source = Layout(irreps_in)
        found = [
            (block, sh_irrep, irrep)
            for block in source.blocks
            for _, sh_irrep in harmonics
            for irrep in block.irrep * sh_irrep
            if irrep in kept
        ]
        target = Layout(Irreps([(block.channels, irrep) for block, _, irrep in found]))
        self.irreps_out = target.irreps
        self.dim_in, self.dim_out = source.dim, target.dim
        self.n_weights = sum(block.channels for block, _, _ in found)
        paths, cg_index, cg_value = _tables(found, target)
        self.register_buffer("paths", paths)
        self.register_buffer("cg_index", cg_index)
        self.register_buffer("cg_value", cg_value)

    def forward(self, h: Tensor, edges: Edges, weights: Tensor, n_local: int) -> Tensor:
        """Convolve.

        Args:
            h: (n_nodes, dim_in) features of the neighbors.
            edges: the graph.
            weights: (n_edges, n_weights) radial weights.
            n_local: number of receiving atoms.

        Returns:
            (n_local, dim_out).
        """
        return ops.edge_conv(
            h, edges.sh, weights, edges.edge_index,
            self.paths, self.cg_index, self.cg_value, n_local, self.dim_out,
        )  # fmt: skip


def reachable(irreps_in: Irreps | str, harmonics: Irreps, wanted: Irreps) -> Irreps:
    """Those of the wanted irreps that some product of a feature and a harmonic transforms as."""
    found = {
        irrep
        for _, feature in Irreps(irreps_in)
        for _, harmonic in harmonics
        for irrep in feature * harmonic
    }
    return Irreps([(mul, irrep) for mul, irrep in wanted if irrep in found])


def _tables(
    found: list[tuple[Block, o3.Irrep, o3.Irrep]], target: Layout
) -> tuple[Tensor, Tensor, Tensor]:
    """The op's description of all paths; columns as in cpp/ops/edge_conv.cpp."""
    paths: list[list[int]] = []
    indices, values = [], []
    filled = {block.irrep: 0 for block in target.blocks}
    weight_offset = cg_begin = 0
    for source, sh_irrep, irrep in found:
        block = target.find(irrep)
        assert block is not None
        tensor = o3.wigner_3j(source.irrep.l, sh_irrep.l, irrep.l, dtype=torch.float64)
        index = torch.nonzero(tensor.abs() > 1e-12)
        indices.append(index)
        values.append(tensor[tuple(index.T)] * math.sqrt(irrep.dim))
        paths.append([
            source.offset, source.channels, sh_irrep.l**2,
            block.offset + filled[irrep], block.channels,
            weight_offset, source.channels, cg_begin, cg_begin + len(index),
        ])  # fmt: skip
        filled[irrep] += source.channels
        weight_offset += source.channels
        cg_begin += len(index)
    return torch.tensor(paths), torch.cat(indices), torch.cat(values)
