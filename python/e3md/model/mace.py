"""MACE (Batatia et al., NeurIPS 2022, arXiv:2206.07697)."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from e3nn.o3 import Irreps
from pydantic import Field, field_validator
from torch import Tensor, nn

from e3md import ops
from e3md.data.statistics import Statistics
from e3md.graph import Edges
from e3md.model.alike import check_alike
from e3md.model.architecture import Architecture, InteractionLayer
from e3md.model.config import BesselConfig, Layers, Width, Widths, checked_irreps, squares
from e3md.model.convolution import EdgeConvolution, channelwise
from e3md.model.cutoffs import PolynomialEnvelope
from e3md.model.density import Density
from e3md.model.embedding import EdgeEmbedding
from e3md.model.layout import Layout, harmonics_irreps
from e3md.model.linear import IrrepsMap, Linear, MapBlock, SpeciesLinear, side_by_side
from e3md.model.path_table import Path, PathTable, padded_width
from e3md.model.plan import Plan, Value
from e3md.model.radial import MLP, AgnesiBessel, BesselBasis
from e3md.model.splines import KnownBasis, NeighborTables, SplineConvolution, of_neighbors
from e3md.model.stacking import every_member
from e3md.model.symmetric_contraction import SymmetricContraction
from e3md.model.zbl import ZBL, radii_of

MAX_COLUMNS = 8192  # of all merged tables; beyond, these would leave every cache

Interaction = Literal["residual", "agnostic", "density_residual", "density"]


class MACEConfig(BesselConfig):
    """MACE (Batatia et al., arXiv:2206.07697)."""

    arch: Literal["mace"] = "mace"
    n_layers: Layers = Field(2, description="interaction layers")
    l_max: int = Field(3, ge=0, le=4, description="largest degree of the spherical harmonics")
    correlation: int = Field(3, ge=1, le=3, description="body order minus one of each product")
    hidden_irreps: str = Field("64x0e+64x1o", description="features passed between layers")
    first_interaction: Interaction = Field(
        "residual", description="the first layer's interaction: see docs/theory.md"
    )
    interaction: Interaction = Field("residual", description="the other layers' interaction")
    distance_transform: Literal["none", "agnesi"] = Field(
        "none", description="distances as the Bessel basis sees them"
    )
    envelope_power: int = Field(5, ge=2, le=100, description="p of the polynomial cutoff envelope")
    radial_hidden: Widths = Field((64, 64, 64), description="widths of the radial network")
    readout_hidden: Width = Field(16, description="width of the last layer's readout")

    @field_validator("hidden_irreps")
    @classmethod
    def _has_scalars(cls, text: str) -> str:
        return checked_irreps(text)

    def least_weights(self, n_species: int) -> float:
        """As that of FilterConfig."""
        return (self.n_layers - 1 or 1) * squares(self.hidden_irreps)


class MACELayer(InteractionLayer):
    """h -> linear(contraction(A)) [+ self-connection(h)], A = [M_z] linear(convolution(linear(h)))/n.

    n is the mean number of neighbors, or 1 + Σ_j tanh(ρ(r_ij)²), a density of the neighborhood.
    Without the self-connection ("agnostic"), A passes a linear map M_z of its species.
    """

    def __init__(
        self, irreps_in: Irreps, irreps_out: Irreps, config: MACEConfig,
        statistics: Statistics, embedding: EdgeEmbedding, first: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.first = first
        kind = config.first_interaction if first else config.interaction
        n_species = len(statistics.species)
        channels = max(mul for mul, _ in Irreps(config.hidden_irreps))
        harmonics = harmonics_irreps(config.l_max)
        irreps_a = Irreps([(channels, ir) for _, ir in harmonics])
        irreps_b = Irreps([(channels, ir) for _, ir in irreps_out])
        self.linear_up = Linear(irreps_in, irreps_in)
        paths, irreps_mid = channelwise(irreps_in, harmonics, irreps_a)
        network = MLP([config.n_bessel, *config.radial_hidden, paths.n_weights])
        self.convolution = EdgeConvolution(paths, network, embedding.splines)
        self.irreps_mid = str(irreps_mid)
        self.density = (
            Density.single(MLP([config.n_bessel, 1]), embedding)
            if kind.startswith("density")
            else None
        )
        self.linear_a = Linear(irreps_mid, irreps_a)
        self.merged = merged(paths, self.linear_a, embedding) if first else None
        self.residual = kind.endswith("residual")
        self.species_map = SpeciesLinear(
            n_species, *((irreps_in, irreps_out) if self.residual else (irreps_a, irreps_a))
        )
        self.contraction = SymmetricContraction(irreps_a, irreps_b, config.correlation, n_species)
        self.linear_b = Linear(irreps_b, irreps_out)
        self.norm = 1.0 if self.density is not None else 1.0 / statistics.avg_num_neighbors

    def forward(self, h: Tensor, edges: Edges, n_local: int) -> Tensor:
        """h: (n_nodes, dim_in) in the first layer, else (n_local, dim_in) -> (n_local, dim_out)."""
        a = self._neighborhood(h, edges, n_local)
        if self.density is not None:
            n = self.density(edges, n_local)
            a = (a.unflatten(1, (n.shape[1], -1)) / n.unsqueeze(2)).flatten(1)
        local_types = edges.types.narrow(0, 0, n_local)
        if not self.residual:
            return self.linear_b(self.contraction(self.species_map(a, local_types), local_types))
        kept = self.species_map(h.narrow(0, 0, n_local), local_types)
        return self.linear_b(self.contraction(a, local_types)) + kept

    def _neighborhood(self, h: Tensor, edges: Edges, n_local: int) -> Tensor:
        """linear(convolution(linear(h))), (n_local, dim of A)."""
        if self.merged is not None:  # noqa: SIM102 (decided when TorchScript compiles)
            if self.merged.splines.knots.shape[0] > 0:
                return self.merged(edges, n_local)
        up = self.linear_up(h) * self.norm
        if not self.first:
            up = ops.ghost_exchange(up, edges.types.shape[0])
        return self.linear_a(self.convolution(up, edges, n_local))

    def steps(self, plan: Plan, h: Value) -> Value:
        if self.merged is not None and plan.merges:
            a = self.merged.steps(plan)
        else:
            up = self.linear_up.steps(plan, h, self.norm)
            a = self.linear_a.steps(plan, self.convolution.steps(plan, up))
        if self.density is not None:
            a = self.density.divide_steps(plan, a)
        if not self.residual:
            a = self.species_map.steps(plan, a)
        out = self.linear_b.steps(plan, self.contraction.steps(plan, a))
        if self.residual:
            self.species_map.steps(plan, h, into=out)
        return out

    def tabulate(self, basis: KnownBasis, species: Tensor) -> None:
        """As that of any layer; of the first, with the linear maps in the tables if these are few."""
        if self.density is not None:
            self.density.tabulate(basis)
        if self.merged is not None:
            tables = of_neighbors(basis)
            if tables.neighbor.shape[0] <= self.merged.most_tables:
                radial: list[Tensor] = []
                for jets in basis.jets.unbind(1):
                    radial.append(self.convolution.network.jets(jets))
                up = self.linear_up(species) * self.norm
                self.merged.tabulate(basis.grid, tables, radial, up, self.linear_a.weights())
                self.convolution.splines.forget()
                return
            self.merged.splines.forget()
        self.convolution.tabulate(basis)


class MergedConvolution(nn.Module):
    """What the first layer allows: its features are species, so linear maps go into the tables.

    A_i[l m, d] = Σ_j Y_lm(r̂_ij) Σ_c W_l[c, d] R_lc(r_ij) u_c(z_j): the sum over c is a function of
    the distance and of the neighbor's species.
    """

    sources: Tensor
    places: list[int]
    scales: list[float]

    def __init__(self, splines: SplineConvolution, sources: Tensor, columns: IrrepsMap) -> None:
        """Build.

        Args:
            splines: from columns of the tables to A, without features.
            sources: (n_weights,) the channel of u that each radial weight is multiplied by.
            columns: from radial weights to columns, by each W_l.
        """
        super().__init__()
        self.splines = splines
        self.map, self.n_columns = columns, columns.dim_out
        self.most_tables = MAX_COLUMNS // self.n_columns
        self.places, self.scales = columns.places, columns.scales
        self.register_buffer("sources", sources, persistent=False)

    def forward(self, edges: Edges, n_local: int) -> Tensor:
        """(n_local, dim of A)."""
        nothing = edges.edge_vec.new_empty(edges.types.shape[0], 0)
        return self.splines(nothing, edges, self.splines.knots, n_local)

    def steps(self, plan: Plan) -> Value:
        plan.need(self.splines.knots)
        return self.splines.steps(plan, None)

    def tabulate(
        self, grid: Tensor, tables: NeighborTables, radial: list[Tensor], up: Tensor,
        weights: list[Tensor],
    ) -> None:  # fmt: skip
        """Keep knots.

        Args:
            grid: as that of Knots.
            tables: of pairs in use.
            radial: of each function, (3, n_rows, n_weights).
            up: (n_species, C).
            weights: W_l.
        """
        factors = up.index_select(1, self.sources)
        columns: list[Tensor] = []
        # one by one, as EdgeConvolution.tabulate
        for function, neighbor in zip(tables.function.unbind(), tables.neighbor.unbind()):  # noqa: B905
            of_function = radial[int(function)]
            rows = (of_function * factors.index_select(0, neighbor.view(1))).flatten(0, 1)
            mixed = ops.irreps_linear(rows, weights, self.scales, self.places, self.n_columns)
            columns.append(mixed.view(3, of_function.shape[1], self.n_columns))
        self.splines.keep(grid, columns, tables.of_pair)

    @staticmethod
    def stacked(members: Sequence["MergedConvolution"]) -> "MergedConvolution":
        check_alike(members)
        check_alike([member.splines for member in members])
        one, n = members[0], len(members)
        n_channels = int(one.sources.max()) + 1
        return MergedConvolution(
            one.splines.with_table(one.splines.table.side_by_side(n)),
            torch.cat([one.sources + k * n_channels for k in range(n)]),
            side_by_side([member.map for member in members]),
        )


def merged(paths: PathTable, linear: Linear, embedding: EdgeEmbedding) -> MergedConvolution:
    """Of a first layer with these paths and this map after them."""
    found: list[Path] = []
    blocks: list[MapBlock] = []
    n_columns = 0
    for path, block, weight in zip(paths.paths, linear.map.blocks, linear.weights(), strict=True):
        c_out = weight.shape[1]
        place = (0, 0, path.sh_offset, block.out_offset, c_out, n_columns, c_out)
        found.append(Path(*place, path.terms))
        blocks.append(MapBlock(path.weight_offset, 1, n_columns, block.scale))
        n_columns += padded_width(c_out)
    splines = embedding.splines(PathTable(tuple(found), 0, n_columns, linear.dim_out))
    sources = torch.cat([torch.arange(path.mul) for path in paths.paths])
    columns = IrrepsMap(tuple(blocks), paths.n_weights, n_columns)
    return MergedConvolution(splines, sources, columns)


class Columns(nn.Module):
    """Some columns of the features that lie side by side."""

    def __init__(self, first: int, n: int) -> None:
        super().__init__()
        self.first, self.n = first, n

    def forward(self, h: Tensor) -> Tensor:
        return h.narrow(1, self.first, self.n)

    def steps(self, plan: Plan, x: Value) -> Value:
        return x.columns(self.first, self.n)

    stacked = staticmethod(every_member)


class MACE(Architecture):
    """Interaction layers; every layer's scalars contribute to the energy."""

    def __init__(self, config: MACEConfig, statistics: Statistics) -> None:
        hidden = Layout(config.hidden_irreps)
        scalars = Irreps(f"{hidden.n_scalars}x0e")
        even = next(block for block in hidden.blocks if block.irrep == Irreps("0e")[0].ir)
        bessel = BesselBasis(
            config.cutoff,
            config.n_bessel,
            PolynomialEnvelope(config.cutoff, config.envelope_power),
        )
        agnesi = config.distance_transform == "agnesi"
        radial = AgnesiBessel(bessel, radii_of(statistics.species)) if agnesi else bessel
        embedding = EdgeEmbedding(radial, config.cutoff, config.l_max, len(statistics.species))
        zbl = ZBL(statistics.species, config.cutoff, config.envelope_power) if config.zbl else None
        super().__init__(embedding, hidden.n_scalars, statistics, zbl)
        inputs = [scalars] + [hidden.irreps] * (config.n_layers - 1)
        outputs = [hidden.irreps] * (config.n_layers - 1) + [scalars]
        offsets = [even.offset] * (config.n_layers - 1) + [0]
        self.invariants: Any = nn.ModuleList(
            Columns(offset, hidden.n_scalars) for offset in offsets
        )
        self.layers = nn.ModuleList(
            MACELayer(source, target, config, statistics, embedding, first=n == 0)
            for n, (source, target) in enumerate(zip(inputs, outputs, strict=True))
        )
        self.readouts: Any = nn.ModuleList(
            MLP([hidden.n_scalars, 1]) for _ in range(config.n_layers - 1)
        )
        self.readouts.append(MLP([hidden.n_scalars, config.readout_hidden, 1]))
        self.exchange_width = hidden.dim if config.n_layers > 1 else 0
        self.reads_basis = any(layer.density is not None for layer in self.layers)

    @torch.jit.export
    def descriptors(
        self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int
    ) -> Tensor:
        """Scalars of all layers, (n_local, n_layers · channels)."""
        edges = self.edge_embedding(types, edge_index, edge_vec)
        h = self.species_embedding(types)
        scalars: list[Tensor] = []
        for layer, invariants in zip(self.layers, self.invariants):  # noqa: B905
            h = layer(h, edges, n_local)
            scalars.append(invariants(h))
        return torch.cat(scalars, dim=1)

    def outcome(self, h: Tensor) -> Tensor:
        """The sum over the layers."""
        width = h.shape[1] // len(self.readouts)
        found: list[Tensor] = []
        for n, readout in enumerate(self.readouts):
            found.append(readout(h.narrow(1, n * width, width)))
        return torch.stack(found).sum(0)

    def outcome_steps(self, plan: Plan, h: Value) -> Value:
        found: Value | None = None
        for layer, invariants, readout in zip(
            self.layers, self.invariants, self.readouts, strict=True
        ):
            h = layer.steps(plan, h)
            one = readout.steps(plan, invariants.steps(plan, h))
            found = one if found is None else plan.add(one, into=found)
        assert found is not None
        return found
