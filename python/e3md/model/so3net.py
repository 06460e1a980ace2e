"""SO3net (Schütt et al., SchNetPack 2.0, J. Chem. Phys. 158, 144801 (2023))."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from e3md import ops
from e3md.data.statistics import Statistics
from e3md.graph import Edges
from e3md.model.architecture import Architecture, InteractionLayer
from e3md.model.config import FilterConfig
from e3md.model.convolution import EdgeConvolution
from e3md.model.dense import Dense, DenseLayer, GatedDense
from e3md.model.embedding import EdgeEmbedding
from e3md.model.filters import FilterBasis, FilterNetwork
from e3md.model.plan import Plan, Value
from e3md.model.radial import MLP
from e3md.model.tied import ChannelProduct, tied
from e3md.model.zbl import ZBL


class SO3NetConfig(FilterConfig):
    """SO3net (Schütt et al., J. Chem. Phys. 158, 144801)."""

    arch: Literal["so3net"] = "so3net"
    l_max: int = Field(2, ge=0, le=4, description="largest degree of features and harmonics")
    gated_readout: bool = Field(False, description="multiply the readout with a sigmoid network")


class SO3NetLayer(InteractionLayer):
    """h -> h + mix(gate(mix(m + m ⊗ mix(m)))), m the convolution of h.

    `mix` is one matrix over channels for all components; the gates of each degree and channel come
    from the scalars. The last layer makes scalars only.
    """

    degrees: Tensor

    def __init__(
        self, config: SO3NetConfig, statistics: Statistics, embedding: EdgeEmbedding,
        first: bool, last: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.first = first
        self.channels = config.channels
        l_in = 0 if first else config.l_max
        l_out = 0 if last else config.l_max
        paths = tied(l_in, config.l_max, config.channels)
        filters = FilterNetwork([config.n_basis, paths.n_weights], "silu")
        self.convolution = EdgeConvolution(paths, filters, embedding.splines)
        self.mix_factor = MLP([config.channels, config.channels])
        self.product = ChannelProduct(config.l_max, l_out)
        self.mix_product = MLP([config.channels, config.channels])
        self.gate = DenseLayer(config.channels, (l_out + 1) * config.channels)
        self.mix_gated = MLP([config.channels, config.channels])
        self.norm = 1.0 / math.sqrt(statistics.avg_num_neighbors)
        degrees = [degree for degree in range(l_out + 1) for _ in range(2 * degree + 1)]
        self.register_buffer("degrees", torch.tensor(degrees))  # of each component
        self.dim_out = len(degrees) * config.channels

    def forward(self, h: Tensor, edges: Edges, n_local: int) -> Tensor:
        """h: (n_nodes, channels) in the first layer, else (n_local, dim) -> (n_local, dim_out)."""
        sent = h if self.first else ops.ghost_exchange(h, edges.types.shape[0])
        message = self.convolution(sent, edges, n_local) * self.norm
        m = message.unflatten(1, (-1, self.channels))
        y = m.narrow(1, 0, self.degrees.shape[0]) + self.product(m, self.mix_factor(m))
        y = self.mix_gated(self._gated(self.mix_product(y))).flatten(1)
        shared = min(h.shape[1], self.dim_out)
        kept = h.narrow(0, 0, n_local).narrow(1, 0, shared) + y.narrow(1, 0, shared)
        return torch.cat([kept, y.narrow(1, shared, self.dim_out - shared)], dim=1)

    def steps(self, plan: Plan, h: Value) -> Value:
        m = plan.add(self.convolution.steps(plan, h), self.norm)
        n_in, n_out = (value // self.channels for value in (m.width, self.dim_out))
        y = plan.add(m.columns(0, self.dim_out))
        factor = self.mix_factor.steps(plan, m, n_in)
        self.product.steps(plan, m, factor, self.channels, into=y)
        mixed = self.mix_product.steps(plan, y, n_out)
        scalars = self.gate.steps(plan, mixed.columns(0, self.channels))
        gates = plan.activate(scalars, "sigmoid", bias=self.gate.bias)
        gated = plan.new("local", self.dim_out)
        for degree in range(gates.width // self.channels):
            place = degree**2 * self.channels, (2 * degree + 1) * self.channels
            gate = gates.columns(degree * self.channels, self.channels)
            plan.multiply(mixed.columns(*place), gate, into=gated.columns(*place))
        out = self.mix_gated.steps(plan, gated, n_out)
        shared = min(h.width, self.dim_out)
        plan.add(h.columns(0, shared), into=out.columns(0, shared))
        return out

    def _gated(self, x: Tensor) -> Tensor:
        """x: (n_local, components, channels) times a gate for each degree and channel."""
        gates = torch.sigmoid(self.gate(x.select(1, 0))).unflatten(1, (-1, self.channels))
        return x * gates.index_select(1, self.degrees)


class SO3Net(Architecture):
    """SO(3)-equivariant convolutions, then the energy from the scalars."""

    def __init__(self, config: SO3NetConfig, statistics: Statistics) -> None:
        n_species, n_last = len(statistics.species), config.n_layers - 1
        embedding = EdgeEmbedding(FilterBasis(config), config.cutoff, config.l_max, n_species)
        zbl = ZBL(statistics.species, config.cutoff) if config.zbl else None
        super().__init__(embedding, config.channels, statistics, zbl)
        self.layers = nn.ModuleList(
            SO3NetLayer(config, statistics, embedding, first=n == 0, last=n == n_last)
            for n in range(config.n_layers)
        )
        self.exchange_width = (config.l_max + 1) ** 2 * config.channels if n_last else 0
        widths = [config.channels, *config.readout_hidden, 1]
        readout = GatedDense if config.gated_readout else Dense
        self.readout = readout(widths, config.readout_activation)
