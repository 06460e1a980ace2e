"""Filters of continuous-filter convolutions: a network of the distance times a cutoff function.

W(r) = network(basis(r)) · u(r) (Schütt et al., arXiv:1706.08566, eq. 4). The network has biases, so
that only u makes W vanish at the cutoff; it travels with the basis, as one more column.
"""

import torch
from torch import Tensor, nn

from e3md.model.config import Activation, FilterConfig
from e3md.model.cutoffs import CosineCutoff, MollifierCutoff, PolynomialEnvelope
from e3md.model.dense import Dense
from e3md.model.radial import GaussianBasis, SineBasis
from e3md.model.stacking import SideBySide


class FilterBasis(nn.Module):
    """A radial basis, not enveloped, with the cutoff function as its last column."""

    def __init__(self, config: FilterConfig) -> None:
        super().__init__()
        self.basis: nn.Module
        self.envelope: nn.Module
        match config.basis:
            case "gaussian":
                self.basis = GaussianBasis(config.cutoff, config.n_basis)
            case "bessel":
                self.basis = SineBasis(config.cutoff, config.n_basis)
        match config.cutoff_function:
            case "polynomial":
                self.envelope = PolynomialEnvelope(config.cutoff, config.envelope_power)
            case "cosine":
                self.envelope = CosineCutoff(config.cutoff)
            case "mollifier":
                self.envelope = MollifierCutoff(config.cutoff)
        self.breaks: list[float] = getattr(self.envelope, "breaks", [])

    def forward(self, r: Tensor, pair: Tensor) -> Tensor:
        """r: (n_edges,) Å; pair: as in EdgeEmbedding, not used -> (n_edges, n_basis + 1)."""
        return torch.cat([self.basis(r), self.envelope(r)[:, None]], dim=1)


class FilterNetwork(nn.Module):
    """Dense layers on the basis of FilterBasis, times its last column."""

    def __init__(self, widths: list[int], activation: Activation) -> None:
        super().__init__()
        self.n_basis = widths[0]
        self.network = Dense(widths, activation)

    def forward(self, radial: Tensor) -> Tensor:
        """radial: (n_edges, n_basis + 1) -> (n_edges, widths[-1])."""
        basis, envelope = radial.narrow(1, 0, self.n_basis), radial.narrow(1, self.n_basis, 1)
        return self.network(basis) * envelope

    def jets(self, radial: Tensor) -> Tensor:
        """As forward, with two derivatives carried along: (3, n, n_basis + 1) -> (3, n, widths[-1])."""
        basis, u = radial.narrow(2, 0, self.n_basis), radial.narrow(2, self.n_basis, 1)
        w = self.network.jets(basis)
        second = w[2] * u[0] + 2 * w[1] * u[1] + w[0] * u[2]
        return torch.stack([w[0] * u[0], w[1] * u[0] + w[0] * u[1], second])

    stacked = staticmethod(SideBySide)
