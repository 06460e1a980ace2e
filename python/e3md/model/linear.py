"""Linear maps between irreps: channels mix, the components m of an irrep do not."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md import ops
from e3md.model.alike import check_alike
from e3md.model.layout import Block, Layout
from e3md.model.plan import Plan, Value


class MapBlock(NamedTuple):
    """y[out_offset + m·c_out + d] = scale · Σ_c x[in_offset + m·c_in + c] W[c, d] for m < n_m."""

    in_offset: int
    n_m: int
    out_offset: int
    scale: float


@dataclass(frozen=True)
class IrrepsMap:
    """Which columns feed which: what `ops.irreps_linear` is told beside the weights."""

    blocks: tuple[MapBlock, ...]
    dim_in: int
    dim_out: int

    @property
    def places(self) -> list[int]:
        """As the op takes them."""
        return [place for block in self.blocks for place in block[:3]]

    @property
    def scales(self) -> list[float]:
        return [block.scale for block in self.blocks]


def matrix(weight: Tensor, n_m: int = 1) -> IrrepsMap:
    """The map of one matrix for n_m components, of unit variance."""
    c_in, c_out = weight.shape
    return IrrepsMap((MapBlock(0, n_m, 0, 1.0 / math.sqrt(c_in)),), n_m * c_in, n_m * c_out)


def side_by_side(maps: Sequence[IrrepsMap]) -> IrrepsMap:
    """Maps of equal width for the columns of several models, one after the other."""
    one, n = maps[0], len(maps)
    blocks = [
        block._replace(
            in_offset=block.in_offset + k * one.dim_in,
            out_offset=block.out_offset + k * one.dim_out,
        )
        for k, own in enumerate(maps)
        for block in own.blocks
    ]
    return IrrepsMap(tuple(blocks), n * one.dim_in, n * one.dim_out)


def _between(
    irreps_in: Irreps | str, irreps_out: Irreps | str
) -> tuple[IrrepsMap, list[tuple[Block | None, Block]]]:
    """The map, and what feeds each block of the output."""
    source, target = Layout(irreps_in), Layout(irreps_out)
    pairs = [(source.find(block.irrep), block) for block in target.blocks]
    blocks = [
        MapBlock(a.offset, a.n_m, b.offset, 1.0 / math.sqrt(a.channels)) for a, b in pairs if a
    ]
    return IrrepsMap(tuple(blocks), source.dim, target.dim), pairs


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
        self.map, pairs = _between(irreps_in, irreps_out)
        self.dim_out = self.map.dim_out
        self.places, self.scales = self.map.places, self.map.scales
        self.blocks: Any = nn.ModuleList(
            Matrix(a.channels, b.channels) if a else nn.Identity() for a, b in pairs
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, dim_in) -> (n, dim_out)."""
        return ops.irreps_linear(x, self.weights(), self.scales, self.places, self.dim_out)

    def steps(self, plan: Plan, x: Value, factor: float = 1.0, into: Value | None = None) -> Value:
        """Times `factor`."""
        return plan.linear(x, self.weights(), self.map, factor=factor, into=into)

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
        self.n_species = n_species
        self.map, pairs = _between(irreps_in, irreps_out)
        self.dim_out = self.map.dim_out
        self.places, self.scales = self.map.places, self.map.scales
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(n_species, a.channels, b.channels, dtype=torch.float64))
            for a, b in pairs
            if a
        )

    def forward(self, x: Tensor, types: Tensor) -> Tensor:
        """x: (n, dim_in), types: (n,) int64 -> (n, dim_out)."""
        weights = [weight for weight in self.weights]
        return ops.irreps_linear(x, weights, self.scales, self.places, self.dim_out, False, types)

    def steps(self, plan: Plan, x: Value, into: Value | None = None) -> Value:
        return plan.linear(x, list(self.weights), self.map, by_species=True, into=into)

    @staticmethod
    def stacked(members: Sequence["SpeciesLinear"]) -> "SpeciesLinear":
        weights = [weight for member in members for weight in member.weights]
        return _stacked(members, "weights", nn.ParameterList(weights))


def _stacked(members: Sequence[Any], name: str, weights: nn.Module) -> Any:
    """The first member with the weights of all, each moved to its columns."""
    check_alike(members, stacked=("map", "scales"))
    stacked = copy.copy(members[0])
    stacked._modules = {name: weights}
    stacked.map = side_by_side([member.map for member in members])
    stacked.dim_out = stacked.map.dim_out
    stacked.places, stacked.scales = stacked.map.places, stacked.map.scales
    return stacked
