"""SO(3) products whose paths share weights and add up: those of SO3net.

Features and harmonics of natural parity, degrees 0 to l_max, the same channels for each. Products
l1 ⊗ l2 -> l3 carry Clebsch-Gordan coefficients with the Condon-Shortley phase, which matters here:
paths that share a weight cannot change sign one by one.
"""

import math

import torch
from e3nn import o3
from torch import Tensor, nn

from e3md.model.path_table import Path, PathTable, terms_of
from e3md.model.plan import Plan, Value


def clebsch_gordan(l1: int, l2: int, l3: int) -> Tensor:
    """Coefficients of Y_l1 ⊗ Y_l2 -> Y_l3, (2 l1+1, 2 l2+1, 2 l3+1) float64, l1 + l2 + l3 even.

    e3nn's real basis has a factor (-i)^l that leaves its phase: i^(l1+l2-l3) in the product.
    """
    phase = (-1) ** ((l1 + l2 - l3) // 2)
    tensor = o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
    return tensor * (phase * math.sqrt(2 * l3 + 1))


def _products(l_in: int, l_max: int, l_out: int) -> list[tuple[int, int, int]]:
    """Degrees (l1, l2, l3) of products that keep natural parity."""
    return [
        (l1, l2, l3)
        for l1 in range(l_in + 1)
        for l2 in range(l_max + 1)
        for l3 in range(abs(l1 - l2), min(l1 + l2, l_out) + 1, 2)
    ]


def tied(l_in: int, l_max: int, channels: int) -> PathTable:
    """m_i[l3 m3, c] = Σ_j Σ_{l1 m1, l2 m2} C^{l3 m3}_{l1 m1, l2 m2} h_j[l1 m1, c] W_{l2 c} Y_{l2 m2}.

    (Schütt et al., J. Chem. Phys. 158, 144801 (2023), SchNetPack 2.0.) The weights of an edge are
    (l_max + 1)·channels numbers.

    Args:
        l_in: largest degree of the features.
        l_max: of the harmonics and the messages.
        channels: of each degree.
    """
    paths = [
        Path(
            channels * l1**2, channels, l2**2, channels * l3**2, channels,
            l2 * channels, channels, terms_of(clebsch_gordan(l1, l2, l3)),
        )
        for l1, l2, l3 in _products(l_in, l_max, l_max)
    ]  # fmt: skip
    dim_in, dim_out = ((n + 1) ** 2 * channels for n in (l_in, l_max))
    return PathTable(tuple(paths), dim_in, (l_max + 1) * channels, dim_out)


class ChannelProduct(nn.Module):
    """y[l3 m3, c] = Σ_{l1 m1, l2 m2} C^{l3 m3}_{l1 m1, l2 m2} a[l1 m1, c] b[l2 m2, c]."""

    factors: Tensor
    couplings: Tensor

    def __init__(self, l_max: int, l_out: int) -> None:
        super().__init__()
        dense = torch.zeros((l_out + 1) ** 2, (l_max + 1) ** 2, (l_max + 1) ** 2).double()
        for l1, l2, l3 in _products(l_max, l_max, l_out):
            block = dense[l3**2 : (l3 + 1) ** 2, l1**2 : (l1 + 1) ** 2, l2**2 : (l2 + 1) ** 2]
            block += clebsch_gordan(l1, l2, l3).movedim(2, 0)
        factors = torch.nonzero(dense.abs().amax(0) > 1e-12).T.contiguous()
        self.register_buffer("factors", factors)
        self.register_buffer("couplings", dense[:, factors[0], factors[1]])

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """a, b: (n, (l_max+1)², channels) -> (n, (l_out+1)², channels)."""
        products = a.index_select(1, self.factors[0]) * b.index_select(1, self.factors[1])
        return torch.matmul(self.couplings.to(a.dtype), products)

    def steps(self, plan: Plan, a: Value, b: Value, channels: int, into: Value) -> Value:
        return plan.couple(a, b, self.factors, self.couplings, channels, into)
