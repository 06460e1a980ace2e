"""Several models as one: the mean of their energies."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from e3md.model.stacking import stack


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

    @torch.jit.export
    def use(self, types: Tensor) -> None:
        """As that of each member."""
        for member in self.members:
            member.use(types)

    @torch.jit.export
    def tabulate(self, single: bool) -> None:
        """As that of each member."""
        for member in self.members:
            member.tabulate(single)


class StackedCommittee(Committee):
    """Of members that can also be evaluated all at once, where they read knots."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        """members: of one number of knots.

        Raises:
            ValueError: if a part of them cannot be stacked, or differs.
        """
        super().__init__(members)
        self.stacked: Any = stack(members)

    @torch.jit.export
    def member_energies(
        self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int
    ) -> Tensor:
        """Energies of all members, (n_local, n_members) float64 eV.

        Where edge_vec is (n_members, n_edges, 3), the same for each, its gradient has those of the
        members one by one, else that of their sum.
        """
        return self.stacked(types, edge_index, edge_vec, n_local)

    @torch.jit.export
    def use(self, types: Tensor) -> None:
        for member in self.members:
            member.use(types)
        self.stacked.use(types)

    @torch.jit.export
    def tabulate(self, single: bool) -> None:
        for member in self.members:
            member.tabulate(single)
        self.stacked.tabulate(single)


def members_of(model: nn.Module) -> list[nn.Module]:
    """The members of a committee; a single model is its own only member."""
    return list(model.members) if isinstance(model, Committee) else [model]
