"""Real spherical harmonics of edge directions, in e3nn's order and 'component' normalization."""

import math

import torch
from e3nn import o3
from torch import Tensor, nn


class SphericalHarmonics(nn.Module):
    """Y_0..Y_lmax by the recursion Y_{l+1} ∝ C^{l+1}_{l1} (Y_l ⊗ r̂): one small matrix product per l."""

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = l_max
        self.couplings = nn.ParameterList(
            nn.Parameter(_coupling(degree), requires_grad=False) for degree in range(1, l_max)
        )

    def forward(self, direction: Tensor) -> Tensor:
        """direction: (n_edges, 3) unit vectors -> (n_edges, (l_max+1)²)."""
        harmonics = [torch.ones_like(direction[:, :1])]
        if self.l_max > 0:
            y = math.sqrt(3.0) * direction
            harmonics.append(y)
            for coupling in self.couplings:
                y = (y[:, :, None] * direction[:, None, :]).flatten(1) @ coupling.to(y.dtype)
                harmonics.append(y)
        return torch.cat(harmonics, dim=1)

    def terms(self) -> tuple[Tensor, Tensor]:
        """The recursion as a list: column, lower column and component (n, 3); coefficients (n,)."""
        index: list[tuple[int, int, int]] = []
        value: list[float] = []
        if self.l_max > 0:
            index += [(1 + m, 0, m) for m in range(3)]
            value += [3.0**0.5] * 3
        for degree, coupling in enumerate(self.couplings, start=1):
            tensor = coupling.detach().double().view(2 * degree + 1, 3, 2 * degree + 3)
            for low, component, high in torch.nonzero(tensor.abs() > 1e-12).tolist():
                index.append(((degree + 1) ** 2 + high, degree**2 + low, component))
                value.append(float(tensor[low, component, high]))
        return torch.tensor(index, dtype=torch.int64).view(-1, 3), torch.tensor(
            value, dtype=torch.float64
        )


def _coupling(degree: int) -> Tensor:
    """(3(2l+1), 2l+3) matrix that takes Y_l ⊗ r̂ to Y_{l+1}, scale and sign fixed at one direction."""
    probe = torch.nn.functional.normalize(torch.tensor([[0.3, 0.5, -0.7]], dtype=torch.float64))
    low, high = (
        o3.spherical_harmonics(n, probe, normalize=False, normalization="component")
        for n in (degree, degree + 1)
    )
    matrix = o3.wigner_3j(degree, 1, degree + 1, dtype=torch.float64).flatten(0, 1)
    image = (low[:, :, None] * probe[:, None, :]).flatten(1) @ matrix
    return matrix * ((image * high).sum() / (image * image).sum())
