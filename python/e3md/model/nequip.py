"""NequIP (Batzner et al., Nat. Commun. 13, 2453 (2022), arXiv:2101.03164)."""

import math
from typing import Literal

import torch
from e3nn.o3 import Irreps
from pydantic import Field, field_validator
from torch import Tensor, nn

from e3md import ops
from e3md.data.statistics import Statistics
from e3md.graph import Edges
from e3md.model.architecture import Architecture, InteractionLayer
from e3md.model.config import BesselConfig, Layers, Width, Widths, checked_irreps, squares
from e3md.model.convolution import EdgeConvolution, channelwise, reachable
from e3md.model.cutoffs import PolynomialEnvelope, XPLOREnvelope
from e3md.model.embedding import EdgeEmbedding
from e3md.model.gate import Gate
from e3md.model.layout import harmonics_irreps
from e3md.model.linear import Linear, SpeciesLinear
from e3md.model.norm import RMSNorm
from e3md.model.plan import Plan, Value
from e3md.model.radial import MLP, BesselBasis, PairBessel
from e3md.model.zbl import ZBL


class NequIPConfig(BesselConfig):
    """NequIP (Batzner et al., Nat. Commun. 13, 2453)."""

    arch: Literal["nequip"] = "nequip"
    n_layers: Layers = Field(3, description="interaction layers")
    l_max: int = Field(1, ge=0, le=4, description="largest degree of features and harmonics")
    parity: Literal["natural", "both", "none"] = Field(
        "natural",
        description="features of parity (-1)^l, of both, or none: rotations without inversion",
    )
    solid_harmonics: bool = Field(False, description="r^l Y_l in place of Y_l on edges")
    channels: Width = Field(32, description="features per irrep")
    hidden_irreps: str | None = Field(
        None, description="features between layers; default: channels of every degree and parity"
    )
    embedding_channels: Width | None = Field(
        None, description="features of a species; default: as many as even scalars"
    )
    self_connection: Literal["species", "shared", "none"] = Field(
        "species", description="linear map around the convolution: one per species, one, or none"
    )
    first_self_connection: bool = Field(True, description="also in the first layer")
    layer_norm: bool = Field(False, description="normalize features before the gate")
    envelope_power: int = Field(6, ge=2, le=100, description="p of the polynomial cutoff envelope")
    xplor_on: float | None = Field(
        None, gt=0, description="XPLOR smoothing from here to the cutoff, not the envelope, Å"
    )
    radial_hidden: Widths = Field((64, 64), description="widths of the radial network")
    readout_hidden: Widths = Field((), description="widths of the readout")
    pair_cutoffs: dict[str, float] = Field(
        {}, description="shorter cutoffs of pairs such as Li-O, receiver first, Å"
    )

    @field_validator("hidden_irreps")
    @classmethod
    def _has_scalars(cls, text: str | None) -> str | None:
        return None if text is None else checked_irreps(text)

    def least_weights(self, n_species: int) -> float:
        """As that of FilterConfig."""
        own = n_species if self.self_connection == "species" else 1
        return (self.n_layers - 1 or 1) * own * squares(hidden_irreps(self))


class NequIPLayer(InteractionLayer):
    """h -> gate([norm](linear(convolution(linear(h))) [+ self-connection(h)]))."""

    norms: Tensor  # (n_species, 1), 1/sqrt(n̄) of what each species sends

    def __init__(
        self, irreps_in: Irreps, irreps_out: Irreps, config: NequIPConfig,
        statistics: Statistics, embedding: EdgeEmbedding, first: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.first = first
        self.gate = Gate(irreps_out)
        gated = self.gate.irreps_in
        self.linear_up = Linear(irreps_in, irreps_in)
        paths, irreps_mid = channelwise(irreps_in, harmonics_of(config), gated)
        network = MLP([config.n_bessel, *config.radial_hidden, paths.n_weights])
        self.convolution = EdgeConvolution(paths, network, embedding.splines)
        self.irreps_mid = str(irreps_mid)
        self.linear_down = Linear(irreps_mid, gated)
        n_species = len(statistics.species)
        kind = "none" if first and not config.first_self_connection else config.self_connection
        self.shared_connection = Linear(irreps_in, gated) if kind == "shared" else None
        self.self_connection = (
            SpeciesLinear(n_species, irreps_in, gated) if kind == "species" else None
        )
        self.layer_norm = RMSNorm(gated) if config.layer_norm else None
        norm = 1.0 / math.sqrt(statistics.avg_num_neighbors)
        self.register_buffer("norms", torch.full((n_species, 1), norm, dtype=torch.float64))

    def forward(self, h: Tensor, edges: Edges, n_local: int) -> Tensor:
        """h: (n_nodes, dim_in) in the first layer, else (n_local, dim_in) -> (n_local, dim_out)."""
        up = self.linear_up(h) * self.norms[edges.types.narrow(0, 0, h.shape[0])]
        if not self.first:
            up = ops.ghost_exchange(up, edges.types.shape[0])
        out = self.linear_down(self.convolution(up, edges, n_local))
        if self.self_connection is not None:
            out = out + self.self_connection(
                h.narrow(0, 0, n_local), edges.types.narrow(0, 0, n_local)
            )
        if self.shared_connection is not None:
            out = out + self.shared_connection(h.narrow(0, 0, n_local))
        if self.layer_norm is not None:
            out = self.layer_norm(out)
        return self.gate(out)

    def steps(self, plan: Plan, h: Value) -> Value:
        norm = float(self.norms[0, 0])
        if bool((self.norms == norm).all()):
            up = self.linear_up.steps(plan, h, norm)
        else:
            up = plan.add(self.linear_up.steps(plan, h), factors=self.norms)
        out = self.linear_down.steps(plan, self.convolution.steps(plan, up))
        for connection in (self.self_connection, self.shared_connection):
            if connection is not None:
                connection.steps(plan, h, into=out)
        if self.layer_norm is not None:
            out = self.layer_norm.steps(plan, out)
        return self.gate.steps(plan, out)


class NequIP(Architecture):
    """Interaction layers, then the energy from the last layer's scalars."""

    def __init__(self, config: NequIPConfig, statistics: Statistics) -> None:
        bessel = BesselBasis(config.cutoff, config.n_bessel, _envelope(config))
        pairs = (config.cutoff, statistics.species, config.pair_cutoffs)
        radial = PairBessel(bessel, *pairs) if config.pair_cutoffs else bessel
        embedding = EdgeEmbedding(
            radial, config.cutoff, config.l_max, len(statistics.species), config.solid_harmonics
        )
        hidden = hidden_irreps(config)
        n_scalars = hidden.count("0e")
        n_embedded = config.embedding_channels or n_scalars
        zbl = ZBL(statistics.species, config.cutoff) if config.zbl else None
        super().__init__(embedding, n_embedded, statistics, zbl)
        wanted = [hidden] * (config.n_layers - 1) + [Irreps(f"{n_scalars}x0e")]
        irreps, layers, widths = Irreps(f"{n_embedded}x0e"), [], [0]
        for n, hidden in enumerate(wanted):
            target = reachable(irreps, harmonics_of(config), hidden)
            layers.append(NequIPLayer(irreps, target, config, statistics, embedding, first=n == 0))
            irreps = target
            widths.append(target.dim)
        self.layers = nn.ModuleList(layers)
        self.exchange_width = max(widths[:-1])
        self.readout = MLP([n_scalars, *config.readout_hidden, 1])


def hidden_irreps(config: NequIPConfig) -> Irreps:
    """Features between layers: if not given, `channels` of every l up to l_max."""
    if config.hidden_irreps is not None:
        return Irreps(config.hidden_irreps)
    signs = (1, -1) if config.parity == "both" else (1,)
    inversion = -1 if config.parity != "none" else 1
    return Irreps(
        [
            (config.channels, (degree, sign * inversion**degree))
            for degree in range(config.l_max + 1)
            for sign in signs
        ]
    )


def harmonics_of(config: NequIPConfig) -> Irreps:
    """Irreps of the edges' harmonics."""
    return harmonics_irreps(config.l_max, inversion=config.parity != "none")


def _envelope(config: NequIPConfig) -> nn.Module:
    if config.xplor_on is not None:
        return XPLOREnvelope(config.cutoff, config.xplor_on)
    return PolynomialEnvelope(config.cutoff, config.envelope_power)
