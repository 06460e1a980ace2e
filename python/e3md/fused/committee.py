"""Committees whose members read tables."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from e3md.fused.alike import check_alike
from e3md.fused.knots import Tables, tabulated
from e3md.fused.stack import stack
from e3md.model.committee import Committee


class FusedCommittee(Committee):
    """Of FusedModels; `tabulate` must be called before it is evaluated."""

    @torch.jit.export
    def tabulate(self, single: bool) -> None:
        """Make the tables; the module must be float64, and autograd on."""
        for member in self.members:
            member.tabulate(single)


class StackedCommittee(FusedCommittee):
    """Of FusedModels that can also be evaluated all at once."""

    def __init__(self, members: Sequence[Any]) -> None:
        """members: FusedModels with one number of knots.

        Raises:
            ValueError: if a part of them cannot be stacked, or differs.
        """
        super().__init__(members)
        check_alike(members)
        self.stacked: Any = stack([member.model for member in members])

    @torch.jit.export
    def member_energies(
        self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int
    ) -> Tensor:
        """As `stack` says: (n_local, n_members) float64 eV."""
        return self.stacked(types, edge_index, edge_vec, n_local)

    @torch.jit.export
    def tabulate(self, single: bool) -> None:
        tables: list[list[Tensor]] = []
        grids: list[Tensor] = []
        for member in self.members:
            member.tabulate(single)
            tables.append(member.tables())
            grids.append(member.grid())
        for n, layer in enumerate(self.stacked.layers):
            layer.convolution.join([own[n] for own in tables], grids[0])


def tabulated_committee(
    committee: Committee, cutoff: float, species: Sequence[str]
) -> tuple[FusedCommittee, Tables]:
    """Each member as `tabulated` makes it; knots and errors are the largest of any member.

    Raises:
        TableError: as `tabulated`, if it does for one member.
    """
    members, tables = zip(
        *(tabulated(member, cutoff, species) for member in committee.members), strict=True
    )
    knots = {dtype: max(t.knots[dtype] for t in tables) for dtype in tables[0].knots}
    errors = {dtype: max(t.force_error[dtype] for t in tables) for dtype in tables[0].knots}
    for member in members:
        member.knots = (knots["float32"], knots["float64"])
    try:
        return StackedCommittee(members), Tables(knots, errors)
    except ValueError:  # evaluated one after another
        return FusedCommittee(members), Tables(knots, errors)
