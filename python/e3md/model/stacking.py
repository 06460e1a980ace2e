"""The members of a committee side by side in one model: one graph, one pass.

A row of features holds those of the first member, then those of the second, and so on. What an edge
costs whatever the number of channels (its harmonics, their products with couplings, the place in the
tables) is then paid once, as are the calls into torch and the exchange between ranks.

A block says by a static method `stacked(members)` what does the work of all. It must compare all that
it does for every member alike (`check_alike`), or ask the members themselves.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from e3md.model.alike import check_alike
from e3md.model.plan import Plan, Value


def stack(members: Sequence[Any]) -> Any:
    """One module in the place of all members' own, on rows side by side.

    Raises:
        ValueError: for a part that cannot be stacked, or in which the members are not alike.
    """
    one = members[0]
    if isinstance(one, nn.ModuleList):
        return stack_parts(members)
    if not hasattr(one, "stacked"):
        raise ValueError(f"{type(one).__name__} cannot be stacked")
    return one.stacked(members)


def stack_parts(members: Sequence[Any]) -> Any:
    """A copy of the first member with every part stacked."""
    check_alike(members)
    stacked = copy.copy(members[0])
    stacked._modules = {}
    for name, child in members[0]._modules.items():
        parts = [getattr(member, name) for member in members]
        stacked._modules[name] = stack(parts) if child is not None else None
    return stacked


class SideBySide(nn.Module):
    """Every member's module on its own columns."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        check_alike(members, sizes_only=True)
        self.members: Any = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        parts: list[Tensor] = []
        width = x.shape[1] // len(self.members)
        for k, member in enumerate(self.members):
            parts.append(member(x.narrow(1, k * width, width)))
        return torch.cat(parts, dim=1)

    def steps(self, plan: Plan, x: Value) -> Value:
        return _member_by_member(self.members, plan, x)

    def jets(self, x: Tensor) -> Tensor:
        """Of networks that have them."""
        parts: list[Tensor] = []
        width = x.shape[2] // len(self.members)
        for k, member in enumerate(self.members):
            parts.append(member.jets(x.narrow(2, k * width, width)))
        return torch.cat(parts, dim=2)


class EveryMember(nn.Module):
    """A module without weights of its own, on the columns of every member."""

    def __init__(self, module: nn.Module, n_members: int) -> None:
        super().__init__()
        self.module: Any = module
        self.n_members = n_members

    def forward(self, x: Tensor) -> Tensor:
        rows = self.module(x.reshape(x.shape[0] * self.n_members, x.shape[1] // self.n_members))
        return rows.reshape(x.shape[0], rows.shape[1] * self.n_members)

    def steps(self, plan: Plan, x: Value) -> Value:
        return _member_by_member([self.module] * self.n_members, plan, x)


def _member_by_member(members: Sequence[Any], plan: Plan, x: Value) -> Value:
    width = x.width // len(members)
    return plan.side_by_side(
        [member.steps(plan, x.columns(k * width, width)) for k, member in enumerate(members)]
    )


def every_member(members: Sequence[nn.Module]) -> nn.Module:
    """The first member on the columns of all; unlike members on their own."""
    try:
        check_alike(members)
    except ValueError:
        return SideBySide(members)
    return EveryMember(members[0], len(members))
