"""SO(3) products whose paths share weights and add up: those of SO3net.

Features and harmonics of natural parity, degrees 0 to l_max, the same channels for each. Products
l1 ⊗ l2 -> l3 carry Clebsch-Gordan coefficients with the Condon-Shortley phase, which matters here:
paths that share a weight cannot change sign one by one.
"""

import math

import torch
from e3nn import o3
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md import ops
from e3md.graph import Edges
from e3md.model.layout import Block, Layout, harmonics_irreps


def clebsch_gordan(l1: int, l2: int, l3: int) -> Tensor:
    """Coefficients of Y_l1 ⊗ Y_l2 -> Y_l3, (2 l1+1, 2 l2+1, 2 l3+1) float64, l1 + l2 + l3 even.

    e3nn's real basis has a factor (-i)^l that leaves its phase: i^(l1+l2-l3) in the product.
    """
    phase = (-1) ** ((l1 + l2 - l3) // 2)
    tensor = o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
    return tensor * (phase * math.sqrt(2 * l3 + 1))


def _paths(l_in: int, l_max: int, l_out: int) -> list[tuple[int, int, int]]:
    """Degrees (l1, l2, l3) of products that keep natural parity."""
    return [
        (l1, l2, l3)
        for l1 in range(l_in + 1)
        for l2 in range(l_max + 1)
        for l3 in range(abs(l1 - l2), min(l1 + l2, l_out) + 1, 2)
    ]


def _blocks(l_max: int, channels: int) -> tuple[Block, ...]:
    """Where each degree lies in a row of features."""
    return Layout(Irreps([(channels, irrep) for _, irrep in harmonics_irreps(l_max)])).blocks


class TiedConvolution(nn.Module):
    """m_i[l3 m3, c] = Σ_j Σ_{l1 m1, l2 m2} C^{l3 m3}_{l1 m1, l2 m2} h_j[l1 m1, c] W_{l2 c} Y_{l2 m2}.

    (Schütt et al., J. Chem. Phys. 158, 144801 (2023), SchNetPack 2.0.) The weights of an edge are
    (l_max + 1)·channels numbers.
    """

    paths: Tensor
    cg_index: Tensor
    cg_value: Tensor

    def __init__(self, l_in: int, l_max: int, channels: int) -> None:
        """l_in: largest degree of the features; l_max: of the harmonics and the messages."""
        super().__init__()
        source, target = _blocks(l_in, channels), _blocks(l_max, channels)
        self.dim_in, self.dim_out = ((n + 1) ** 2 * channels for n in (l_in, l_max))
        rows: list[list[int]] = []
        indices, values, n_values = [], [], 0
        for l1, l2, l3 in _paths(l_in, l_max, l_max):
            tensor = clebsch_gordan(l1, l2, l3)
            index = torch.nonzero(tensor.abs() > 1e-12)
            indices.append(index)
            values.append(tensor[tuple(index.T)])
            rows.append([
                source[l1].offset, channels, l2**2, target[l3].offset, channels,
                l2 * channels, channels, n_values, n_values + len(index),
            ])  # fmt: skip
            n_values += len(index)
        self.register_buffer("paths", torch.tensor(rows))
        self.register_buffer("cg_index", torch.cat(indices))
        self.register_buffer("cg_value", torch.cat(values))

    def forward(self, h: Tensor, edges: Edges, weights: Tensor, n_local: int) -> Tensor:
        """Convolve.

        Args:
            h: (n_nodes, dim_in) features of the neighbors.
            edges: the graph.
            weights: (n_edges, (l_max+1)·channels).
            n_local: number of receiving atoms.

        Returns:
            (n_local, (l_max+1)²·channels).
        """
        return ops.edge_conv(
            h, edges.sh, weights, edges.edge_index,
            self.paths, self.cg_index, self.cg_value, n_local, self.dim_out,
        )  # fmt: skip


class ChannelProduct(nn.Module):
    """y[l3 m3, c] = Σ_{l1 m1, l2 m2} C^{l3 m3}_{l1 m1, l2 m2} a[l1 m1, c] b[l2 m2, c]."""

    factors: Tensor
    couplings: Tensor

    def __init__(self, l_max: int, l_out: int) -> None:
        super().__init__()
        dense = torch.zeros((l_out + 1) ** 2, (l_max + 1) ** 2, (l_max + 1) ** 2).double()
        for l1, l2, l3 in _paths(l_max, l_max, l_out):
            block = dense[l3**2 : (l3 + 1) ** 2, l1**2 : (l1 + 1) ** 2, l2**2 : (l2 + 1) ** 2]
            block += clebsch_gordan(l1, l2, l3).movedim(2, 0)
        factors = torch.nonzero(dense.abs().amax(0) > 1e-12).T.contiguous()
        self.register_buffer("factors", factors)
        self.register_buffer("couplings", dense[:, factors[0], factors[1]])

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """a, b: (n, (l_max+1)², channels) -> (n, (l_out+1)², channels)."""
        products = a.index_select(1, self.factors[0]) * b.index_select(1, self.factors[1])
        return torch.matmul(self.couplings.to(a.dtype), products)
