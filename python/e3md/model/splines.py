"""Radial weights as quintic splines between knots, and the convolution that reads them."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from e3md import ops
from e3md.graph import Edges
from e3md.model.path_table import PathTable
from e3md.model.plan import Plan, Value

FIRST_KNOT = 0.05  # Å, of kept knots; nearer, the first polynomial goes on
LAST_KNOT = 1.0 - 1e-12  # of the cutoff: derivatives at the last knot are those from inside


class Knots(NamedTuple):
    """Where radial functions are known with two derivatives."""

    r: Tensor  # (n_rows,) float64 Å, equidistant; a doubled knot has a row for either side
    grid: Tensor  # (2,) float64 Å: the first knot and the spacing; (3,): and which knot is doubled


class KnownBasis(NamedTuple):
    """The radial basis of pairs of species, at knots."""

    grid: Tensor  # as that of Knots
    jets: Tensor  # (3, n_functions, n_rows, n_basis) of each distinct function: f, h f′, h² f″
    of_pair: Tensor  # (n_species, n_species) int64: which; n_functions where nobody asks


class NeighborTables(NamedTuple):
    """Tables of each distinct function and neighbor's species of pairs in use."""

    function: Tensor  # (n_tables,) int64, of KnownBasis
    neighbor: Tensor  # (n_tables,) int64, the species
    of_pair: Tensor  # (n_species, n_species) int64; n_tables where not in use


def of_neighbors(basis: KnownBasis) -> NeighborTables:
    """Tables of a basis where weights also depend on the neighbor's species."""
    n_species, n_functions = basis.of_pair.shape[0], basis.jets.shape[1]
    neighbor = torch.arange(n_species, device=basis.of_pair.device)
    unused = n_functions * n_species
    key = (basis.of_pair * n_species + neighbor).clamp(max=unused).flatten()
    last = key.new_zeros(1) + unused  # so that there is one, and its number that of the tables
    found, number, _ = torch._unique2(torch.cat([key, last]), sorted=True, return_inverse=True)
    of_pair = number.narrow(0, 0, key.shape[0]).view(n_species, n_species)
    found = found.narrow(0, 0, found.shape[0] - 1)
    return NeighborTables(
        torch.floor_divide(found, n_species), torch.remainder(found, n_species), of_pair
    )


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
        (n_species, n_species) int64, of receiver and neighbor, while no knots are kept."""
        super().__init__()
        self.table = table
        self.solid, self.dim_out = solid, table.dim_out
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

    def keep(self, grid: Tensor, tables: list[Tensor], table_of_pair: Tensor) -> None:
        """Keep knots.

        Args:
            grid: as that of Knots.
            tables: weights with two derivatives, (3, n_rows, n_columns) each.
            table_of_pair: (n_species, n_species) int64, n_tables where pairs are to read NaN.
        """
        self.forget()
        self.grid, self.table_of_pair = grid, table_of_pair
        partial = int(table_of_pair.max()) == len(tables)
        self.knots = all_knots(tables, partial).detach()

    def forget(self) -> None:
        """Keep none."""
        self.knots = self.knots.new_zeros(0)


def make_knots(
    first: float, last: float, n: int, breaks: list[float], device: torch.device
) -> Knots:
    """About n equidistant knots from about `first` to `last`, Å.

    breaks: one distance at most, where the second derivative jumps: a knot, and a doubled one. Knots
    are then no farther apart than n of them would be, and the first lies less than that from `first`.
    Coarse knots do not see a break that is nearer to the last than half their distance.
    """
    spacing = (last - first) / (n - 1)
    if len(breaks) > 0:
        at = breaks[0]
        beside = 1e-14  # of this distance: there derivatives are those of one side
        if first < at and 0.5 * spacing < last - at:
            after = int((last - at) / spacing) + 1
            spacing = (last - at) / after
            before = int((at - first) / spacing)
            right = steps(at * (1.0 + beside), spacing, 0, after, device)
            if before == 0:
                return Knots(right, grid_of(right))
            left = steps(at * (1.0 - beside), spacing, -before, before, device)
            doubled = left.new_zeros(1) + before
            return Knots(torch.cat([left, right]), torch.cat([grid_of(left), doubled]))
    r = torch.linspace(first, last, n, dtype=torch.float64, device=device)
    return Knots(r, grid_of(r))


def steps(at: float, spacing: float, first: int, n: int, device: torch.device) -> Tensor:
    """n + 1 distances, Å, the first being `at` + `first` times the spacing."""
    k = torch.linspace(first, first + n, n + 1, dtype=torch.float64, device=device)
    return at + spacing * k


def grid_of(r: Tensor) -> Tensor:
    """First knot and spacing of equidistant r, Å."""
    return torch.stack([r[0], (r[-1] - r[0]) / (r.shape[0] - 1)])


def all_knots(tables: list[Tensor], partial: bool) -> Tensor:
    """Tables as the ops take them: (n_tables, n_rows, n_groups, 3, 16).

    Args:
        tables: (3, n_rows, n_columns) each.
        partial: whether some pairs have none: they read NaN, in a further one.
    """
    knots = [knots_of(table) for table in tables]
    if partial:
        knots.append(torch.zeros_like(knots[0]) / 0.0)
    return torch.stack(knots)


def knots_of(columns: Tensor) -> Tensor:
    """A table in the layout of the ops, of columns in whole groups.

    columns: (3, n_rows, n_columns) -> (n_rows, n_groups, 3, 16).
    """
    return columns.unflatten(2, (-1, 16)).permute(1, 2, 0, 3).contiguous()


def derivative(f: Tensor, r: Tensor) -> Tensor:
    """df/dr for every column: f (n, n_columns) of r (n,), row by row."""
    u = torch.zeros_like(f).requires_grad_()
    g = torch.autograd.grad([(f * u).sum()], [r], create_graph=True)[0]
    assert g is not None
    column = torch.autograd.grad([g.sum()], [u], create_graph=True)[0]
    assert column is not None
    return column
