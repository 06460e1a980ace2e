"""The edge convolution all architectures share: neighbors' features times Y(r̂) times R(r), summed.

m_i[p, m3, c] = Σ_j R_pc(r_ij) Σ_{m1 m2} C^{l3 m3}_{l1 m1, l2 m2} h_j[l1 m1, c] Y_{l2 m2}(r̂_ij)

R comes from a network of the distance. It is asked for every edge; or only at knots, with two
derivatives, and edges read the quintics between: at knots that are kept (a model file), or that are
made anew in each call (while the network learns).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from e3nn import o3
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md import ops
from e3md.graph import Edges
from e3md.model.alike import check_alike
from e3md.model.layout import Layout
from e3md.model.path_table import Path, PathTable, terms_of
from e3md.model.plan import Plan, Value
from e3md.model.splines import KnownBasis, SplineConvolution, all_knots
from e3md.model.stacking import stack


class EdgeConvolution(nn.Module):
    """Channelwise ('uvu') tensor products of h_j and Y_ij with weights from a network of r_ij."""

    paths: Tensor
    cg_index: Tensor
    cg_value: Tensor
    columns: Tensor
    jets: Tensor

    def __init__(
        self, table: PathTable, network: nn.Module,
        splines: Callable[[PathTable], SplineConvolution],
    ) -> None:  # fmt: skip
        """Build.

        Args:
            table: the products.
            network: from the radial basis, (n, n_basis), to (n, n_weights), with `jets` of the same.
            splines: the convolution that reads knots, such as EdgeEmbedding.splines.
        """
        super().__init__()
        self.table = table
        self.dim_out = table.dim_out
        self.network: Any = network
        padded, columns = table.padded()
        tensors = {
            **dict(zip(("paths", "cg_index", "cg_value"), table.tensors(), strict=True)),
            "columns": torch.tensor(columns),
            "jets": torch.zeros(3, 0, 0, 0),
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)
        self.complete = columns == list(range(table.n_weights))
        self.splines = splines(padded)
        self.partial = False  # whether knots are made for some pairs only

    def forward(self, h: Tensor, edges: Edges, n_local: int) -> Tensor:
        """Convolve.

        Args:
            h: (n_nodes, dim_in) features of the neighbors.
            edges: the graph; its radial basis and harmonics are read where there are no knots.
            n_local: number of receiving atoms.

        Returns:
            (n_local, dim_out).
        """
        knots = self.splines.knots
        if not torch.jit.is_scripting() and self.jets.shape[1] > 0:
            tables = self._columns(self.jets).unbind(1)
            knots = all_knots(list(tables), self.partial)
        if knots.shape[0] > 0:
            return self.splines(h, edges, knots, n_local)
        return ops.edge_conv(
            h, edges.sh, self.network(edges.radial), edges.edge_index,
            self.paths, self.cg_index, self.cg_value, n_local, self.dim_out,
        )  # fmt: skip

    def steps(self, plan: Plan, x: Value) -> Value:
        return self.splines.steps(plan, plan.nodes(x))

    def tabulate(self, basis: KnownBasis) -> None:
        """Keep knots."""
        tables: list[Tensor] = []
        for jets in basis.jets.unbind(1):  # one by one, to the same bits whatever the others
            tables.append(self._columns(jets.unsqueeze(1)).squeeze(1))
        self.splines.keep(basis.grid, tables, basis.of_pair)

    def learn(self, basis: KnownBasis) -> None:
        """Make knots in every call from now on."""
        self.jets = basis.jets
        self.splines.grid, self.splines.table_of_pair = basis.grid, basis.of_pair
        self.partial = int(basis.of_pair.max()) == basis.jets.shape[1]

    def _columns(self, jets: Tensor) -> Tensor:
        """Weights with two derivatives, (3, n_tables, n_rows, n_columns), of those of the basis."""
        weights = self.network.jets(jets.flatten(1, 2))
        if not self.complete:
            padded = torch.nn.functional.pad(weights, (0, 1))
            weights = padded.index_select(2, self.columns)
        return weights.unflatten(1, (jets.shape[1], jets.shape[2]))

    @staticmethod
    def stacked(members: Sequence["EdgeConvolution"]) -> "EdgeConvolution":
        check_alike(members)
        check_alike([member.splines for member in members])
        one, table = members[0], members[0].table.side_by_side(len(members))
        network = stack([member.network for member in members])
        return EdgeConvolution(table, network, one.splines.with_table)


def channelwise(
    irreps_in: Irreps | str, harmonics: Irreps, irreps_keep: Irreps | str
) -> tuple[PathTable, Irreps]:
    """Every product l1 ⊗ l2 -> l3 whose result is among `irreps_keep`, each with weights of its own.

    Paths to the same irrep lie side by side as further channels. C is e3nn's Wigner 3j times
    sqrt(2 l3 + 1).

    Returns:
        The paths, and the irreps that they make.
    """
    kept = {irrep for _, irrep in Irreps(irreps_keep)}
    source = Layout(irreps_in)
    found = [
        (block, sh_irrep, irrep)
        for block in source.blocks
        for _, sh_irrep in harmonics
        for irrep in block.irrep * sh_irrep
        if irrep in kept
    ]
    target = Layout(Irreps([(block.channels, irrep) for block, _, irrep in found]))
    filled = {block.irrep: 0 for block in target.blocks}
    paths: list[Path] = []
    n_weights = 0
    for block, sh_irrep, irrep in found:
        result = target.find(irrep)
        assert result is not None
        tensor = o3.wigner_3j(block.irrep.l, sh_irrep.l, irrep.l, dtype=torch.float64)
        paths.append(
            Path(
                block.offset, block.channels, sh_irrep.l**2,
                result.offset + filled[irrep], result.channels,
                n_weights, block.channels, terms_of(tensor * math.sqrt(irrep.dim)),
            )
        )  # fmt: skip
        filled[irrep] += block.channels
        n_weights += block.channels
    return PathTable(tuple(paths), source.dim, n_weights, target.dim), target.irreps


def reachable(irreps_in: Irreps | str, harmonics: Irreps, wanted: Irreps) -> Irreps:
    """Those of the wanted irreps that some product of a feature and a harmonic transforms as."""
    found = {
        irrep
        for _, feature in Irreps(irreps_in)
        for _, harmonic in harmonics
        for irrep in feature * harmonic
    }
    return Irreps([(mul, irrep) for mul, irrep in wanted if irrep in found])
