"""Radial weights as tables of quintic splines, and the convolution that reads them."""

import torch
from torch import Tensor, nn

from e3md import ops
from e3md.graph import Edges
from e3md.model.convolution import EdgeConvolution
from e3md.model.embedding import EdgeEmbedding
from e3md.model.harmonics import SphericalHarmonics
from e3md.model.radial import AgnesiBessel, PairBessel
from e3md.model.tied import TiedConvolution

GROUP = 16  # columns that lie together in a table, as kTableGroup in cpp/ops
FIRST_KNOT = 0.05  # Å; nearer, the first polynomial goes on
LAST_KNOT = 1.0 - 1e-12  # of the cutoff: derivatives at the last knot are those from inside


class NetworkColumns(nn.Module):
    """Radial weights of a layer, for every column of its table: (n, n_columns)."""

    columns: Tensor

    def __init__(self, basis: nn.Module, network: nn.Module, columns: Tensor) -> None:
        super().__init__()
        self.basis = basis
        self.network = network
        self.register_buffer("columns", columns)

    def forward(self, r: Tensor, pair: Tensor) -> Tensor:
        """r: (n,) Å; pair: (n,) receiver · n_species + neighbor."""
        weights = self.network(self.basis(r, pair))
        padded = torch.cat([weights, torch.zeros_like(weights[:, :1])], dim=1)
        return padded.index_select(1, self.columns)


class RadialConvolution(nn.Module):
    """An EdgeConvolution that makes harmonics and weights itself, by `edge_conv_radial`."""

    chosen: Tensor
    grid: Tensor
    harmonic_index: Tensor
    harmonic_value: Tensor
    paths: Tensor
    cg_index: Tensor
    cg_value: Tensor

    def __init__(
        self, paths: Tensor, convolution: EdgeConvolution | TiedConvolution,
        embedding: EdgeEmbedding, chosen: Tensor,
    ) -> None:  # fmt: skip
        """chosen: (n_species²,) table of a pair."""
        super().__init__()
        self.solid = embedding.solid
        self.dim_in, self.dim_out = convolution.dim_in, convolution.dim_out
        index, value = _harmonic_terms(embedding.harmonics)
        self.register_buffer("harmonic_index", index)
        self.register_buffer("harmonic_value", value)
        self.register_buffer("paths", paths)
        self.register_buffer("cg_index", convolution.cg_index)
        self.register_buffer("cg_value", convolution.cg_value)
        n_species = embedding.n_species
        self.register_buffer("chosen", chosen.view(n_species, n_species))
        self.register_buffer("grid", torch.zeros(2, dtype=torch.float64))

    def forward(self, h: Tensor, edges: Edges, weights: Tensor, n_local: int) -> Tensor:
        """h: (n_nodes, dim_in); weights: the table -> (n_local, dim_out)."""
        return self.convolve(h, edges, weights, n_local)

    def convolve(self, h: Tensor, edges: Edges, table: Tensor, n_local: int) -> Tensor:
        tables = [
            table, self.chosen, self.grid, self.harmonic_index, self.harmonic_value,
            self.paths, self.cg_index, self.cg_value,
        ]  # fmt: skip
        return ops.edge_conv_radial(
            h,
            edges.edge_vec,
            edges.types,
            edges.edge_index,
            tables,
            self.solid,
            n_local,
            self.dim_out,
        )


class TabulatedConvolution(RadialConvolution):
    """A RadialConvolution with a table of its own.

    The table is not in the model file but made from `function` on loading, so that it suits the
    precision asked for.
    """

    table: Tensor
    keys: Tensor

    def __init__(
        self, function: nn.Module, paths: Tensor, convolution: EdgeConvolution | TiedConvolution,
        embedding: EdgeEmbedding, cutoff: float, keys: Tensor, chosen: Tensor,
    ) -> None:  # fmt: skip
        """keys: (n_tables,) pair each table is made for; chosen: (n_species²,) table of a pair."""
        super().__init__(paths, convolution, embedding, chosen)
        self.function = function
        self.first, self.last = FIRST_KNOT, cutoff * LAST_KNOT
        self.register_buffer("keys", keys)
        self.register_buffer("table", torch.zeros(0, dtype=torch.float64))

    def forward(self, h: Tensor, edges: Edges, weights: Tensor, n_local: int) -> Tensor:
        """h: (n_nodes, dim_in); weights: not used -> (n_local, dim_out)."""
        return self.convolve(h, edges, self.table, n_local)

    def tabulate(self, n_knots: int) -> None:
        """Make the table; the module must be float64, and autograd on."""
        spacing = (self.last - self.first) / (n_knots - 1)
        r = torch.linspace(
            self.first, self.last, n_knots, dtype=torch.float64, device=self.keys.device
        ).requires_grad_()
        tables: list[Tensor] = []
        for n in range(self.keys.shape[0]):
            f = self.function(r, self.keys[n].expand(n_knots))
            slope = derivative(f, r)
            curvature = derivative(slope, r)
            values = torch.stack([f, spacing * slope, spacing * spacing * curvature], dim=1)
            grouped = values.detach().unflatten(2, (-1, 16))
            tables.append(grouped.transpose(1, 2).contiguous())
        self.grid = torch.stack([r[0], (r[-1] - r[0]) / (n_knots - 1)]).detach()
        self.table = torch.stack(tables)


def derivative(f: Tensor, r: Tensor) -> Tensor:
    """df/dr for every column: f (n, n_columns) of r (n,), row by row."""
    u = torch.zeros_like(f).requires_grad_()
    g = torch.autograd.grad([(f * u).sum()], [r], create_graph=True)[0]
    assert g is not None
    column = torch.autograd.grad([g.sum()], [u], create_graph=True)[0]
    assert column is not None
    return column


class BareEdges(nn.Module):
    """In place of an EdgeEmbedding where every layer has a table."""

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor) -> Edges:
        nothing = edge_vec.new_empty(0, 0)
        return Edges(types, edge_index, edge_vec, nothing, nothing)


class NoWeights(nn.Module):
    """In place of a radial network whose table is elsewhere."""

    def forward(self, radial: Tensor) -> Tensor:
        return radial


def pairs_with_tables(
    radial: nn.Module, n_species: int, by_neighbor: bool
) -> tuple[Tensor, Tensor]:
    """Pairs (receiver · n_species + neighbor) that have a table of their own, and whose of all."""
    every = torch.arange(n_species**2)
    if isinstance(radial, (AgnesiBessel, PairBessel)):
        return every, every
    if by_neighbor:
        return torch.arange(n_species), every % n_species
    return torch.zeros(1, dtype=torch.int64), torch.zeros_like(every)


def network_name(layer: nn.Module) -> str:
    """The attribute of a layer that holds its radial network."""
    return "radial_network" if hasattr(layer, "radial_network") else "filters"


def needs_basis(layer: nn.Module) -> bool:
    """Whether a layer asks for the radial basis of edges besides its radial network."""
    return getattr(layer, "density", None) is not None


def table_columns(paths: Tensor) -> tuple[Tensor, Tensor]:
    """Weights in groups of 16: paths with their weight_offset in the table, and its columns.

    Returns:
        paths (n_paths, 9), and (n_columns,) which weight each column holds, n_weights for none.
    """
    paths = paths.clone()
    n_weights = int((paths[:, 5] + paths[:, 6]).max())
    columns: list[int] = []
    place: dict[int, int] = {}
    for row in paths:
        offset, mul = int(row[5]), int(row[6])
        if offset not in place:
            place[offset] = len(columns)
            columns += [*range(offset, offset + mul), *[n_weights] * (-mul % GROUP)]
        row[5] = place[offset]
    return paths, torch.tensor(columns)


def _harmonic_terms(harmonics: SphericalHarmonics) -> tuple[Tensor, Tensor]:
    """The recursion of harmonics as terms: (n, 3) column, lower column, component; (n,) value."""
    index, value = [], []
    if harmonics.l_max > 0:
        index += [(1 + m, 0, m) for m in range(3)]
        value += [3.0**0.5] * 3
    for degree, coupling in enumerate(harmonics.couplings, start=1):
        tensor = coupling.detach().double().view(2 * degree + 1, 3, 2 * degree + 3)
        for low, component, high in torch.nonzero(tensor.abs() > 1e-12).tolist():
            index.append(((degree + 1) ** 2 + high, degree**2 + low, component))
            value.append(float(tensor[low, component, high]))
    return torch.tensor(index, dtype=torch.int64).view(-1, 3), torch.tensor(
        value, dtype=torch.float64
    )
