"""SchNet (Schütt et al., NeurIPS 2017, arXiv:1706.08566)."""

import math
from typing import Literal

from e3nn.o3 import Irreps
from pydantic import Field
from torch import Tensor, nn

from e3md import ops
from e3md.data.statistics import Statistics
from e3md.graph import Edges
from e3md.model.architecture import Architecture, InteractionLayer
from e3md.model.config import Activation, FilterConfig, Width
from e3md.model.convolution import EdgeConvolution, channelwise
from e3md.model.dense import Dense
from e3md.model.embedding import EdgeEmbedding
from e3md.model.filters import FilterBasis, FilterNetwork
from e3md.model.layout import harmonics_irreps
from e3md.model.linear import Linear
from e3md.model.plan import Plan, Value
from e3md.model.zbl import ZBL


class SchNetConfig(FilterConfig):
    """SchNet (Schütt et al., arXiv:1706.08566)."""

    arch: Literal["schnet"] = "schnet"
    filter_channels: Width | None = Field(
        None, description="features of the convolution; default: channels"
    )
    activation: Activation = Field("shifted_softplus", description="in filters and layers")


class SchNetLayer(InteractionLayer):
    """h_i -> h_i + network(Σ_j W(r_ij) ∘ linear(h_j)), channel by channel."""

    def __init__(
        self, config: SchNetConfig, statistics: Statistics, embedding: EdgeEmbedding, first: bool
    ) -> None:
        super().__init__()
        self.first = first
        n_filters = config.filter_channels or config.channels
        filtered = Irreps(f"{n_filters}x0e")
        self.linear = Linear(f"{config.channels}x0e", filtered)
        filters = FilterNetwork([config.n_basis, n_filters, n_filters], config.activation)
        paths, _ = channelwise(filtered, harmonics_irreps(0), filtered)
        self.convolution = EdgeConvolution(paths, filters, embedding.splines)
        self.network = Dense([n_filters, config.channels, config.channels], config.activation)
        self.norm = 1.0 / math.sqrt(statistics.avg_num_neighbors)

    def forward(self, h: Tensor, edges: Edges, n_local: int) -> Tensor:
        """h: (n_nodes, channels) in the first layer, else (n_local, channels) -> (n_local, ...)."""
        sent = self.linear(h) * self.norm
        if not self.first:
            sent = ops.ghost_exchange(sent, edges.types.shape[0])
        message = self.convolution(sent, edges, n_local)
        return h.narrow(0, 0, n_local) + self.network(message)

    def steps(self, plan: Plan, h: Value) -> Value:
        message = self.convolution.steps(plan, self.linear.steps(plan, h, self.norm))
        return plan.add(h, into=self.network.steps(plan, message))


class SchNet(Architecture):
    """Continuous-filter convolutions, then the energy from every atom's features."""

    def __init__(self, config: SchNetConfig, statistics: Statistics) -> None:
        basis, n_species = FilterBasis(config), len(statistics.species)
        embedding = EdgeEmbedding(basis, config.cutoff, 0, n_species)
        zbl = ZBL(statistics.species, config.cutoff) if config.zbl else None
        super().__init__(embedding, config.channels, statistics, zbl)
        self.layers = nn.ModuleList(
            SchNetLayer(config, statistics, embedding, first=n == 0) for n in range(config.n_layers)
        )
        n_filters = config.filter_channels or config.channels
        self.exchange_width = n_filters if config.n_layers > 1 else 0
        widths = [config.channels, *config.readout_hidden, 1]
        self.readout = Dense(widths, config.readout_activation)
