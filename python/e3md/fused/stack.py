"""The members of a committee side by side in one model: one graph, one pass.

A row of features holds those of the first member, then those of the second, and so on. What an edge
costs whatever the number of channels (its harmonics, their products with couplings, the place in the
tables) is then paid once, as are the calls into torch and the exchange between ranks.

A part is stacked only if all that one module would do for every member is the same in each
(`e3md.fused.alike`), or if the members themselves are asked.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from e3md.fused.alike import check_alike
from e3md.fused.mace import NoFeatures
from e3md.fused.radial import BareEdges, NoWeights, RadialConvolution, TabulatedConvolution
from e3md.graph import Edges
from e3md.model.dense import Dense
from e3md.model.embedding import SpeciesEmbedding
from e3md.model.gate import Gate
from e3md.model.linear import Linear, SpeciesLinear
from e3md.model.mace import MACE, Columns, MACELayer
from e3md.model.nequip import NequIP, NequIPLayer
from e3md.model.norm import RMSNorm
from e3md.model.product import SymmetricContraction
from e3md.model.radial import MLP
from e3md.model.reference import ReferenceEnergy
from e3md.model.schnet import SchNet, SchNetLayer
from e3md.model.zbl import ZBL

_LAYERED = (NequIP, NequIPLayer, MACE, MACELayer, SchNet, SchNetLayer, nn.ModuleList)
_STATELESS = (BareEdges, NoWeights, NoFeatures, nn.Identity)


class StackedConvolution(RadialConvolution):
    """The convolutions of all members; paths that differ only by member follow one another."""

    table: Tensor

    def __init__(self, members: Sequence[TabulatedConvolution]) -> None:
        nn.Module.__init__(self)
        one = members[0]
        self.solid, self.dim_out = one.solid, len(members) * one.dim_out
        for name, buffer in one.named_buffers(recurse=False):
            if name != "keys":
                self.register_buffer(name, buffer.clone())
        n_columns = int(_columns(one.paths).max())
        step = torch.zeros(one.paths.shape[1], dtype=torch.int64)
        step[[0, 3, 5]] = torch.tensor([one.dim_in, one.dim_out, n_columns])
        paths = [one.paths + k * step for k in range(len(members))]
        self.paths = torch.stack(paths, dim=1).flatten(0, 1)

    def forward(self, h: Tensor, edges: Edges, weights: Tensor, n_local: int) -> Tensor:
        """h: (n_nodes, n_members · dim_in); weights: not used -> (n_local, n_members · dim_out)."""
        return self.convolve(h, edges, self.table, n_local)

    def join(self, tables: list[Tensor], grid: Tensor) -> None:
        """Take the tables that the members have made, all on one grid."""
        self.table = torch.cat(tables, dim=2)
        self.grid = grid


class SideBySide(nn.Module):
    """Every member's module on its own columns."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        parts: list[Tensor] = []
        width = x.shape[1] // len(self.members)
        for k, member in enumerate(self.members):
            parts.append(member(x.narrow(1, k * width, width)))
        return torch.cat(parts, dim=1)


class EveryMember(nn.Module):
    """A module without weights of its own, on the columns of every member."""

    def __init__(self, module: nn.Module, n_members: int) -> None:
        super().__init__()
        self.module = module
        self.n_members = n_members

    def forward(self, x: Tensor) -> Tensor:
        rows = self.module(x.reshape(x.shape[0] * self.n_members, x.shape[1] // self.n_members))
        return rows.reshape(x.shape[0], rows.shape[1] * self.n_members)


class StackedEmbedding(nn.Module):
    """The species' rows of all members."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, types: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for member in self.members:
            parts.append(member(types))
        return torch.cat(parts, dim=1)


class StackedContraction(nn.Module):
    """A contraction over as many species as there are pairs of a species and a member."""

    def __init__(self, members: Sequence[SymmetricContraction]) -> None:
        super().__init__()
        self.one = members[0]
        self.n_members = len(members)
        orders = zip(*([o.weight for o in member.orders] for member in members), strict=True)
        self.weights: Any = nn.ModuleList(nn.ParameterList(weights) for weights in orders)

    def forward(self, a: Tensor, types: Tensor) -> Tensor:
        """a: (n, n_members · dim_in), types: (n,) int64 -> (n, n_members · dim_out)."""
        member = torch.arange(self.n_members, device=types.device)
        kinds = (types[:, None] * self.n_members + member).flatten()
        weights: list[Tensor] = []
        for order in self.weights:
            weights.append(torch.stack([w for w in order], dim=1).flatten(0, 1))
        rows = a.reshape(a.shape[0] * self.n_members, a.shape[1] // self.n_members)
        found = self.one.contract(rows, kinds, weights)
        return found.view(a.shape[0], found.shape[1] * self.n_members)


class StackedReference(nn.Module):
    """Every member's scale and shift."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, network: Tensor, types: Tensor) -> Tensor:
        """network: (n, n_members) -> (n, n_members) float64 eV."""
        parts: list[Tensor] = []
        for k, member in enumerate(self.members):
            parts.append(member(network.select(1, k), types))
        return torch.stack(parts, dim=1)


class StackedRepulsion(nn.Module):
    """One repulsion added to every member; where edges are there once for each, their mean counts."""

    def __init__(self, one: ZBL) -> None:
        super().__init__()
        self.one = one

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        edges = edge_vec.mean(0) if edge_vec.dim() == 3 else edge_vec
        return self.one(types, edge_index, edges, n_local)[:, None]


def stack(members: Sequence[nn.Module]) -> nn.Module:
    """One module that gives the energies of all members, (n_local, n_members) float64 eV.

    Its arguments are those of a member. Where edge_vec is (n_members, n_edges, 3), the same for each,
    its gradient has those of the members one by one, else that of their sum.

    Args:
        members: what FusedModels of one architecture evaluate, their tables of one size.

    Raises:
        ValueError: for a part that cannot be stacked, or in which the members are not alike.
    """
    one: Any = members[0]
    if isinstance(one, _LAYERED):
        return _layered(members)
    if isinstance(one, _STATELESS):
        check_alike(members)
        return one
    for kind, stacked in _KINDS.items():
        if isinstance(one, kind):
            return stacked(members)
    raise ValueError(f"{type(one).__name__} cannot be stacked")


def _layered(members: Sequence[nn.Module]) -> nn.Module:
    """A copy of the first member with every part stacked."""
    one = members[0]
    check_alike(members)
    stacked = copy.copy(one)
    stacked._modules = {}
    for name, child in one._modules.items():
        parts = [getattr(member, name) for member in members]
        stacked._modules[name] = stack(parts) if child is not None else None
    return stacked


def _each(stacked: type[nn.Module]) -> Callable[[Sequence[Any]], nn.Module]:
    """For parts that ask every member: members may differ in all but their sizes."""

    def make(members: Sequence[Any]) -> nn.Module:
        check_alike(members, sizes_only=True)
        return stacked(members)

    return make


def _every(members: Sequence[Any]) -> nn.Module:
    """The first member on the columns of all; unlike members on their own."""
    try:
        check_alike(members)
    except ValueError:
        return _each(SideBySide)(members)
    return EveryMember(members[0], len(members))


def _repulsion(members: Sequence[Any]) -> nn.Module:
    check_alike(members, whole=True)
    return StackedRepulsion(members[0])


def _contraction(members: Sequence[Any]) -> nn.Module:
    check_alike(members)
    return StackedContraction(members)


def _convolution(members: Sequence[Any]) -> nn.Module:
    check_alike(members, stacked=("grid", "table"))  # `function` makes each member's own table
    return StackedConvolution(members)


def _linear(members: Sequence[Any]) -> nn.Module:
    """Blocks of every member, moved to its columns."""
    check_alike(members, stacked=("scales",))
    one, stacked = members[0], copy.copy(members[0])
    name = "blocks" if isinstance(one, Linear) else "weights"
    blocks = [block for member in members for block in getattr(member, name)]
    stacked._modules = {name: type(getattr(one, name))(blocks)}
    stacked.places = [
        number + k * shift
        for k, member in enumerate(members)
        for number, shift in zip(
            member.places, [one.dim_in, 0, one.dim_out] * len(member.scales), strict=True
        )
    ]
    stacked.scales = [scale for member in members for scale in member.scales]
    stacked.dim_in, stacked.dim_out = len(members) * one.dim_in, len(members) * one.dim_out
    return stacked


def _columns(paths: Tensor) -> Tensor:
    """Columns of the table up to the end of each path, in whole groups."""
    return paths[:, 5] + (paths[:, 6] + 15) // 16 * 16


_KINDS: dict[type | tuple[type, ...], Callable[[Sequence[Any]], nn.Module]] = {
    TabulatedConvolution: _convolution,
    (Linear, SpeciesLinear): _linear,
    (Gate, Columns): _every,
    SymmetricContraction: _contraction,
    (MLP, Dense, RMSNorm): _each(SideBySide),
    SpeciesEmbedding: _each(StackedEmbedding),
    ReferenceEnergy: _each(StackedReference),
    ZBL: _repulsion,
}
