"""Cutoff functions u(r): 1 at short range, 0 from the cutoff on."""

import math

import torch
from torch import Tensor, nn


class PolynomialEnvelope(nn.Module):
    """Smooth cutoff u(r) with u, u', u'' zero at the cutoff (Gasteiger et al., arXiv:2003.03123, eq. 8)."""

    def __init__(self, cutoff: float, power: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.power = power
        self.a = (power + 1.0) * (power + 2.0) / 2.0
        self.b = power * (power + 2.0)
        self.c = power * (power + 1.0) / 2.0

    def forward(self, r: Tensor) -> Tensor:
        """r: (n_edges,) Å -> (n_edges,)."""
        x = r / self.cutoff
        u = 1.0 - x.pow(self.power) * (self.a - x * (self.b - self.c * x))
        return u * (x < 1.0)


class XPLOREnvelope(nn.Module):
    """1 up to `on`, then (r_c² − r²)²(r_c² + 2r² − 3r_on²)/(r_c² − r_on²)³; u and u' zero at r_c.

    The XPLOR smoothing of HOOMD-blue. Its second derivative jumps at both ends; `breaks` are those
    before the cutoff.
    """

    def __init__(self, cutoff: float, on: float) -> None:
        super().__init__()
        self.square, self.width = cutoff**2, cutoff**2 - on**2  # Å²
        self.cutoff = cutoff
        self.on = on
        self.breaks = [on]

    def forward(self, r: Tensor) -> Tensor:
        """r: (n_edges,) Å -> (n_edges,)."""
        x = ((self.square - r * r) / self.width).clamp(0.0, 1.0)
        return x * x * (3.0 - 2.0 * x)


class CosineCutoff(nn.Module):
    """u(r) = (1 + cos(πr/r_c))/2: its second derivative jumps at the cutoff."""

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff

    def forward(self, r: Tensor) -> Tensor:
        """r: (n_edges,) Å -> (n_edges,)."""
        return 0.5 * (torch.cos(r * (math.pi / self.cutoff)) + 1.0) * (r < self.cutoff)


class MollifierCutoff(nn.Module):
    """u(r) = exp(1 - 1/(1 - (r/r_c)²)), smooth to any order."""

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.smallest = 1e-3  # of 1 - (r/r_c)², where exp(-1000) is zero in any precision

    def forward(self, r: Tensor) -> Tensor:
        """r: (n_edges,) Å -> (n_edges,)."""
        left = (1.0 - (r / self.cutoff).square()).clamp(min=self.smallest)
        return torch.exp(1.0 - 1.0 / left)
