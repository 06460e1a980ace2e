"""Committees whose members read tables."""

from collections.abc import Sequence

import torch

from e3md.fused.knots import Tables, tabulated
from e3md.model.committee import Committee


class FusedCommittee(Committee):
    """Of FusedModels; `tabulate` must be called before it is evaluated."""

    @torch.jit.export
    def tabulate(self, single: bool) -> None:
        """Make the tables; the module must be float64, and autograd on."""
        for member in self.members:
            member.tabulate(single)


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
    return FusedCommittee(members), Tables(knots, errors)
