"""Radial weights as quintic splines between knots, and the convolution that reads them."""

import torch
from torch import Tensor, nn

from e3md import ops
from e3md.graph import Edges
from e3md.model.path_table import PathTable
from e3md.model.plan import Plan, Value

FIRST_KNOT = 0.05  # Å, of kept knots; nearer, the first polynomial goes on
MAX_COLUMNS = 8192  # of all tables of a layer; beyond, tables would leave every cache
LAST_KNOT = 1.0 - 1e-12  # of the cutoff: derivatives at the last knot are those from inside


class SplineConvolution(nn.Module):
    """A convolution straight from edge vectors, weights read from knots: `ops.edge_conv_radial`.

    Knots are made on loading, so that they suit the precision asked for, and in no file.
    """

    knots: Tensor  # (n_tables, n_knots, n_groups, 3, 16); n_tables = 0 where none are kept
    grid: Tensor
    table_of_pair: Tensor
    harmonic_index: Tensor
    harmonic_value: Tensor
    paths: Tensor
    cg_index: Tensor
    cg_value: Tensor

    def __init__(
        self, table: PathTable, solid: bool, harmonics: tuple[Tensor, Tensor], table_of_pair: Tensor
    ) -> None:
        """table: weights in groups; harmonics: as SphericalHarmonics.terms(); table_of_pair:
        (n_species, n_species) int64, of receiver and neighbor."""
        super().__init__()
        self.table = table
        self.solid, self.dim_out = solid, table.dim_out
        self.n_tables = int(table_of_pair.max()) + 1
        tensors = {
            "knots": torch.zeros(0, dtype=torch.float64),
            "grid": torch.zeros(2, dtype=torch.float64),
            "table_of_pair": table_of_pair,
            **dict(zip(("harmonic_index", "harmonic_value"), harmonics, strict=True)),
            **dict(zip(("paths", "cg_index", "cg_value"), table.tensors(), strict=True)),
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)

    def with_table(self, table: PathTable) -> "SplineConvolution":
        """Other paths, the same functions of edges."""
        harmonics = self.harmonic_index, self.harmonic_value
        return SplineConvolution(table, self.solid, harmonics, self.table_of_pair)

    def forward(self, h: Tensor, edges: Edges, knots: Tensor, n_local: int) -> Tensor:
        """h: (n_nodes, dim_in); knots: those that are kept, or others -> (n_local, dim_out)."""
        return ops.edge_conv_radial(
            h, edges.edge_vec, edges.types, edges.edge_index, self.tables(knots), self.solid,
            n_local, self.dim_out,
        )  # fmt: skip

    def tables(self, knots: Tensor) -> list[Tensor]:
        """As the op takes them."""
        return [
            knots, self.table_of_pair, self.grid, self.harmonic_index, self.harmonic_value,
            self.paths, self.cg_index, self.cg_value,
        ]  # fmt: skip

    def steps(self, plan: Plan, x: Value | None) -> Value:
        return plan.convolution(x, self)

    def keep(self, r: Tensor, columns: Tensor) -> None:
        """Keep knots at r (n_knots,), Å; columns: as `knots_of` takes them."""
        self.grid = grid_of(r)
        self.knots = knots_of(columns).detach()


def grid_of(r: Tensor) -> Tensor:
    """First knot and spacing of equidistant r, Å."""
    return torch.stack([r[0], (r[-1] - r[0]) / (r.shape[0] - 1)]).detach()


def knots_of(columns: Tensor) -> Tensor:
    """Weights with two derivatives in whole groups, in the layout of the ops.

    columns: (3, n_tables, n_knots, n_columns) -> (n_tables, n_knots, n_groups, 3, 16).
    """
    return columns.unflatten(3, (-1, 16)).permute(1, 2, 3, 0, 4).contiguous()


def derivative(f: Tensor, r: Tensor) -> Tensor:
    """df/dr for every column: f (n, n_columns) of r (n,), row by row."""
    u = torch.zeros_like(f).requires_grad_()
    g = torch.autograd.grad([(f * u).sum()], [r], create_graph=True)[0]
    assert g is not None
    column = torch.autograd.grad([g.sum()], [u], create_graph=True)[0]
    assert column is not None
    return column
