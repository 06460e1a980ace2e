"""From the network's output to an energy: scale, shift, and isolated-atom energies, in double."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from e3md.data.statistics import Statistics
from e3md.model.alike import check_alike
from e3md.model.plan import Plan, Value


class ReferenceEnergy(nn.Module):
    """E_i = scale·ε_i + shift + E0(species of i), eV, float64 whatever the network's dtype."""

    offset: Tensor
    scale: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        e0s = torch.tensor(statistics.e0s, dtype=torch.float64)
        self.register_buffer("offset", e0s + statistics.shift)
        self.register_buffer("scale", torch.full_like(e0s, statistics.scale))

    def forward(self, network: Tensor, types: Tensor) -> Tensor:
        """network: (n,) any dtype; types: (n,) int64 -> (n,) float64 eV."""
        return network.double() * self.scale[types] + self.offset[types]

    def steps(self, plan: Plan, x: Value) -> None:
        plan.energies(x, [self.scale], [self.offset])

    @staticmethod
    def stacked(members: Sequence["ReferenceEnergy"]) -> "StackedReference":
        check_alike(members, sizes_only=True)
        return StackedReference(members)


class StackedReference(nn.Module):
    """Every member's scale and shift."""

    def __init__(self, members: Sequence[ReferenceEnergy]) -> None:
        super().__init__()
        self.members: Any = nn.ModuleList(members)

    def forward(self, network: Tensor, types: Tensor) -> Tensor:
        """network: (n, n_members) -> (n, n_members) float64 eV."""
        parts: list[Tensor] = []
        for k, member in enumerate(self.members):
            parts.append(member(network.select(1, k), types))
        return torch.stack(parts, dim=1)

    def steps(self, plan: Plan, x: Value) -> None:
        scale, offset = ([getattr(m, name) for m in self.members] for name in ("scale", "offset"))
        plan.energies(x, scale, offset)
