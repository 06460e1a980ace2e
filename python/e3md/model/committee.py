"""Several models as one: the mean of their energies."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Committee(nn.Module):
    """Models of one architecture, species and cutoff, with weights of their own.

    Has the face of a single model (`build_model`), so that whatever takes a model takes a committee.
    Who wants to know how far the members are apart evaluates each of `members`, as
    cpp/src/potential.cpp does.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        models: list[Any] = list(members)
        self.members: Any = nn.ModuleList(models)
        self.exchange_width: int = sum(model.exchange_width for model in models)

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        """Mean energies of the local atoms, arguments as those of build_model."""
        total = torch.zeros(n_local, dtype=torch.float64, device=edge_vec.device)
        for member in self.members:
            total = total + member(types, edge_index, edge_vec, n_local)
        return total / len(self.members)

    @torch.jit.export
    def descriptors(
        self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int
    ) -> Tensor:
        """Those of all members, side by side: (n_local, n_members · n_features)."""
        found: list[Tensor] = []
        for member in self.members:
            found.append(member.descriptors(types, edge_index, edge_vec, n_local))
        return torch.cat(found, dim=1)


def members_of(model: nn.Module) -> list[nn.Module]:
    """The members of a committee; a single model is its own only member."""
    return list(model.members) if isinstance(model, Committee) else [model]
