"""Normalization of equivariant features."""

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md.model.layout import Layout
from e3md.model.plan import Plan, Value
from e3md.model.stacking import SideBySide


class RMSNorm(nn.Module):
    """x · w_c / sqrt(⟨x²⟩ + ε), the mean square taken over components, channels, then irreps.

    Equivariant layer norm without centering (Liao et al., EquiformerV2, arXiv:2306.12059).
    """

    channel: Tensor
    share: Tensor

    def __init__(self, irreps: Irreps | str) -> None:
        super().__init__()
        blocks = Layout(irreps).blocks
        first, channel, share = 0, [], []
        for block in blocks:
            channel.append(torch.arange(first, first + block.channels).repeat(block.n_m))
            share.append(torch.full((block.dim,), 1 / (len(blocks) * block.dim)).double())
            first += block.channels
        self.register_buffer("channel", torch.cat(channel))  # of each column
        self.register_buffer("share", torch.cat(share))  # of each column in the mean square
        self.weight = nn.Parameter(torch.ones(first, dtype=torch.float64))
        self.epsilon = 1e-12

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, dim) -> (n, dim)."""
        scale = torch.rsqrt(x.square() @ self.share + self.epsilon)
        return x * self.weight.index_select(0, self.channel) * scale[:, None]

    def steps(self, plan: Plan, x: Value) -> Value:
        return plan.normalize(x, self.weight, self.channel, self.share, self.epsilon)

    stacked = staticmethod(SideBySide)
