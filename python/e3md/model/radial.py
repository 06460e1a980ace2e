"""Functions of the interatomic distance."""

import math

import torch
from torch import Tensor, nn

from e3md import ops
from e3md.model.linear import matrix
from e3md.model.plan import Plan, Value
from e3md.model.stacking import SideBySide

SILU_GAIN = 1.6765324703310913  # 1/sqrt(E[silu²]) over N(0, 1): unit variance in the network


class BesselBasis(nn.Module):
    """b_n(r) = sqrt(2/r_c) sin(nπr/r_c)/r · u(r) (arXiv:2003.03123, eq. 7)."""

    wavenumbers: Tensor

    def __init__(self, cutoff: float, n_bessel: int, envelope: nn.Module) -> None:
        super().__init__()
        self.prefactor = math.sqrt(2.0 / cutoff)
        self.envelope = envelope
        self.breaks: list[float] = getattr(envelope, "breaks", [])
        n = torch.arange(1, n_bessel + 1, dtype=torch.float64)
        self.register_buffer("wavenumbers", n * math.pi / cutoff)

    def forward(self, r: Tensor, pair: Tensor) -> Tensor:
        """r: (n_edges,) Å; pair: as in EdgeEmbedding, not used -> (n_edges, n_bessel)."""
        amplitude = self.prefactor * self.envelope(r) / r
        return torch.sin(r[:, None] * self.wavenumbers) * amplitude[:, None]


class AgnesiBessel(nn.Module):
    """The Bessel basis of y = 1/(1 + a (r/r0)^q / (1 + (r/r0)^(q-p))), r0 half the bond length.

    Agnesi transform of Witt et al., J. Chem. Phys. 159, 164101 (2023): finer where bonds are. The
    envelope is that of r.
    """

    of_pairs = True
    half_bonds: Tensor
    shape: Tensor

    def __init__(self, basis: BesselBasis, radii: Tensor) -> None:
        """radii: (n_species,) covalent radii, Å."""
        super().__init__()
        self.basis = basis
        self.breaks = basis.breaks
        self.register_buffer("half_bonds", 0.5 * (radii[:, None] + radii[None, :]).flatten())
        self.register_buffer("shape", torch.tensor([1.0805, 0.9183, 4.5791], dtype=torch.float64))

    def forward(self, r: Tensor, pair: Tensor) -> Tensor:
        """r: (n_edges,) Å; pair: (n_edges,) as in EdgeEmbedding -> (n_edges, n_bessel)."""
        x = r / self.half_bonds[pair]
        a, q, p = self.shape[0], self.shape[1], self.shape[2]
        y = 1.0 / (1.0 + a * x.pow(q) / (1.0 + x.pow(q - p)))
        waves = torch.sin(y[:, None] * self.basis.wavenumbers)
        amplitude = self.basis.prefactor * self.basis.envelope(r) / y
        return waves * amplitude[:, None]

    def functions(self) -> Tensor:
        """(n_pairs,) int64, in the order of the half bonds, equal for pairs of equal ones."""
        return torch._unique2(self.half_bonds, sorted=True, return_inverse=True)[1]


class PairBessel(nn.Module):
    """A Bessel basis with a cutoff of its own for each ordered pair of species."""

    of_pairs = True
    stretch: Tensor

    def __init__(
        self, basis: BesselBasis, cutoff: float, species: tuple[str, ...], pairs: dict[str, float]
    ) -> None:
        """pairs: "Li-O" -> cutoff in Å where Li receives; `cutoff` elsewhere."""
        super().__init__()
        self.basis = basis
        cutoffs = [pairs.get(f"{a}-{b}", cutoff) for a in species for b in species]
        stretch = cutoff / torch.tensor(cutoffs, dtype=torch.float64)
        self.breaks = list({at / by for at in basis.breaks for by in stretch.tolist()})
        self.register_buffer("stretch", stretch)

    def forward(self, r: Tensor, pair: Tensor) -> Tensor:
        """r: (n_edges,) Å; pair: (n_edges,) as in EdgeEmbedding -> (n_edges, n_bessel)."""
        return self.basis(r * self.stretch[pair], pair)

    def functions(self) -> Tensor:
        """(n_pairs,) int64, the longest cutoff first, equal for pairs of equal ones."""
        return torch._unique2(self.stretch, sorted=True, return_inverse=True)[1]


class SineBasis(nn.Module):
    """sqrt(2/r_c) sin(k_n r)/r, k_n = nπ/r_c: the Bessel basis without its envelope."""

    wavenumbers: Tensor

    def __init__(self, cutoff: float, n_basis: int) -> None:
        super().__init__()
        self.prefactor = math.sqrt(2.0 / cutoff)
        n = torch.arange(1, n_basis + 1, dtype=torch.float64)
        self.register_buffer("wavenumbers", n * math.pi / cutoff)

    def forward(self, r: Tensor) -> Tensor:
        """r: (n_edges,) Å -> (n_edges, n_basis)."""
        return torch.sin(r[:, None] * self.wavenumbers) * (self.prefactor / r)[:, None]


class GaussianBasis(nn.Module):
    """exp(-(r - μ_n)²/(2 σ_n²)), the centers from 0 to the cutoff, σ their distance."""

    centers: Tensor
    widths: Tensor

    def __init__(self, cutoff: float, n_basis: int) -> None:
        super().__init__()
        centers = torch.linspace(0.0, cutoff, n_basis, dtype=torch.float64)
        self.register_buffer("centers", centers)
        self.register_buffer("widths", torch.full_like(centers, cutoff / (n_basis - 1)))

    def forward(self, r: Tensor) -> Tensor:
        """r: (n_edges,) Å -> (n_edges, n_basis)."""
        return torch.exp(-0.5 * ((r[:, None] - self.centers) / self.widths).square())


class MLP(nn.Module):
    """Dense layers without bias, silu between them, unit-variance scaling.

    Without bias the output vanishes with the input: a radial network of enveloped inputs is smooth
    at the cutoff by construction.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.gain = SILU_GAIN
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(n_in, n_out, dtype=torch.float64))
            for n_in, n_out in zip(widths[:-1], widths[1:], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, widths[0]) -> (n, widths[-1])."""
        for layer, weight in enumerate(self.weights):
            if layer > 0:
                x = torch.nn.functional.silu(x) * self.gain
            x = x @ (weight / math.sqrt(weight.shape[0]))
        return x

    def jets(self, x: Tensor) -> Tensor:
        """As forward, with two derivatives carried along: (3, n, widths[0]) -> (3, n, widths[-1])."""
        for layer, weight in enumerate(self.weights):
            scale = 1.0 / math.sqrt(weight.shape[0])
            if layer > 0:
                x = ops.activation_jets(x, False)
                scale = scale * self.gain
            x = x @ (weight * scale)
        return x

    def steps(self, plan: Plan, x: Value, n_m: int = 1) -> Value:
        """For each of n_m components."""
        for n, weight in enumerate(self.weights):
            if n > 0:
                x = plan.activate(x, "silu", self.gain)
            x = plan.linear(x, [weight], matrix(weight, n_m))
        return x

    stacked = staticmethod(SideBySide)
