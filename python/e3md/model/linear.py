"""Linear maps between irreps: channels mix, the components m of an irrep do not."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md import ops
from e3md.model.alike import check_alike
from e3md.model.layout import Block, Layout


class _Map:
    """Which columns feed which: what `ops.irreps_linear` is told beside the weights."""

    def __init__(self, irreps_in: Irreps | str, irreps_out: Irreps | str) -> None:
        source, target = Layout(irreps_in), Layout(irreps_out)
        self.dim_in, self.dim_out = source.dim, target.dim
        self.pairs = [(source.find(block.irrep), block) for block in target.blocks]

    def fed(self) -> Iterator[tuple[Block, Block]]:
        """Blocks of input and output that have a W."""
        return ((a, b) for a, b in self.pairs if a)

    @property
    def places(self) -> list[int]:
        """in_offset, 2l+1, out_offset of each W."""
        return [n for a, b in self.fed() for n in (a.offset, a.n_m, b.offset)]

    @property
    def scales(self) -> list[float]:
        return [1.0 / math.sqrt(a.channels) for a, _ in self.fed()]


class Matrix(nn.Module):
    """W of one irrep, (c_in, c_out)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_in, c_out, dtype=torch.float64))


class Linear(nn.Module):
    """y[l, m, d] = Σ_c x[l, m, c] W_l[c, d] / sqrt(n_c), one W per irrep; 0 where nothing feeds it."""

    places: list[int]  # TorchScript cannot tell the type of an empty list
    scales: list[float]

    def __init__(self, irreps_in: Irreps | str, irreps_out: Irreps | str) -> None:
        super().__init__()
        described = _Map(irreps_in, irreps_out)
        self.dim_in, self.dim_out = described.dim_in, described.dim_out
        self.places, self.scales = described.places, described.scales
        self.blocks: Any = nn.ModuleList(
            Matrix(a.channels, b.channels) if a else nn.Identity() for a, b in described.pairs
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, dim_in) -> (n, dim_out)."""
        return ops.irreps_linear(x, self.weights(), self.scales, self.places, self.dim_out)

    def weights(self) -> list[Tensor]:
        """Every W, in the order of `places`."""
        found: list[Tensor] = []
        for block in self.blocks:
            if hasattr(block, "weight"):
                found.append(block.weight)
        return found

    @staticmethod
    def stacked(members: Sequence["Linear"]) -> "Linear":
        blocks = [block for member in members for block in member.blocks]
        return _stacked(members, "blocks", nn.ModuleList(blocks))


class SpeciesLinear(nn.Module):
    """A Linear of its own for every species (e3nn's fully connected product with a one-hot)."""

    places: list[int]
    scales: list[float]

    def __init__(self, n_species: int, irreps_in: Irreps | str, irreps_out: Irreps | str) -> None:
        super().__init__()
        described = _Map(irreps_in, irreps_out)
        self.n_species = n_species
        self.dim_in, self.dim_out = described.dim_in, described.dim_out
        self.places, self.scales = described.places, described.scales
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(n_species, a.channels, b.channels, dtype=torch.float64))
            for a, b in described.fed()
        )

    def forward(self, x: Tensor, types: Tensor) -> Tensor:
        """x: (n, dim_in), types: (n,) int64 -> (n, dim_out)."""
        weights = [weight for weight in self.weights]
        return ops.irreps_linear(x, weights, self.scales, self.places, self.dim_out, False, types)

    @staticmethod
    def stacked(members: Sequence["SpeciesLinear"]) -> "SpeciesLinear":
        weights = [weight for member in members for weight in member.weights]
        return _stacked(members, "weights", nn.ParameterList(weights))


def _stacked(members: Sequence[Any], name: str, weights: nn.Module) -> Any:
    """The first member with the weights of all, each moved to its columns."""
    check_alike(members, stacked=("scales",))
    one = members[0]
    stacked = copy.copy(one)
    stacked._modules = {name: weights}
    shift = [one.dim_in, 0, one.dim_out] * len(one.scales)
    stacked.places = [
        place + k * step
        for k, member in enumerate(members)
        for place, step in zip(member.places, shift, strict=True)
    ]
    stacked.scales = [scale for member in members for scale in member.scales]
    stacked.dim_in, stacked.dim_out = len(members) * one.dim_in, len(members) * one.dim_out
    return stacked
