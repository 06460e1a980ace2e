"""NequIP (Batzner et al., Nat. Commun. 13, 2453 (2022), arXiv:2101.03164)."""

import math

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md import ops
from e3md.data.statistics import Statistics
from e3md.model.config import NequIPConfig
from e3md.model.convolution import EdgeConvolution, reachable
from e3md.model.embedding import EdgeEmbedding, SpeciesEmbedding
from e3md.model.gate import Gate
from e3md.model.linear import Linear, SpeciesLinear
from e3md.model.radial import MLP, BesselBasis
from e3md.model.reference import ReferenceEnergy
from e3md.model.zbl import ZBL


class NequIPLayer(nn.Module):
    """h -> gate(linear(convolution(linear(h))) + self-connection(h))."""

    def __init__(
        self, irreps_in: Irreps, irreps_out: Irreps, config: NequIPConfig,
        statistics: Statistics, first: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.first = first
        self.gate = Gate(irreps_out)
        self.linear_up = Linear(irreps_in, irreps_in)
        self.convolution = EdgeConvolution(irreps_in, config.l_max, self.gate.irreps_in)
        widths = [config.n_bessel, *config.radial_hidden, self.convolution.n_weights]
        self.radial_network = MLP(widths)
        self.linear_down = Linear(self.convolution.irreps_out, self.gate.irreps_in)
        self.self_connection = SpeciesLinear(
            len(statistics.species), irreps_in, self.gate.irreps_in
        )
        self.norm = 1.0 / math.sqrt(statistics.avg_num_neighbors)

    def forward(
        self, h: Tensor, types: Tensor, radial: Tensor, sh: Tensor, edge_index: Tensor, n_local: int
    ) -> Tensor:
        """h: (n_nodes, dim_in) in the first layer, else (n_local, dim_in) -> (n_local, dim_out)."""
        up = self.linear_up(h)
        if not self.first:
            up = ops.ghost_exchange(up, types.shape[0])
        weights = self.radial_network(radial)
        message = self.convolution(up, sh, weights, edge_index, n_local) * self.norm
        kept = self.self_connection(h.narrow(0, 0, n_local), types.narrow(0, 0, n_local))
        return self.gate(self.linear_down(message) + kept)


class NequIP(nn.Module):
    """Interaction layers, then the energy from the last layer's scalars."""

    def __init__(self, config: NequIPConfig, statistics: Statistics) -> None:
        super().__init__()
        radial = BesselBasis(config.cutoff, config.n_bessel, config.envelope_power)
        self.edge_embedding = EdgeEmbedding(radial, config.l_max, len(statistics.species))
        self.species_embedding = SpeciesEmbedding(len(statistics.species), config.channels)
        scalars = Irreps(f"{config.channels}x0e")
        wanted = [hidden_irreps(config)] * (config.n_layers - 1) + [scalars]
        irreps, layers, widths = scalars, [], [0]
        for n, hidden in enumerate(wanted):
            target = reachable(irreps, config.l_max, hidden)
            layers.append(NequIPLayer(irreps, target, config, statistics, first=n == 0))
            irreps = target
            widths.append(target.dim)
        self.layers = nn.ModuleList(layers)
        self.exchange_width = max(widths[:-1])
        self.readout = MLP([config.channels, 1])
        self.reference = ReferenceEnergy(statistics)
        self.zbl = ZBL(statistics.species, config.cutoff) if config.zbl else None

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        """Energies of the local atoms, (n_local,) float64 eV; see E3Model in model/build.py."""
        h = self.descriptors(types, edge_index, edge_vec, n_local)
        energies = self.reference(self.readout(h).squeeze(1), types.narrow(0, 0, n_local))
        if self.zbl is not None:
            energies = energies + self.zbl(types, edge_index, edge_vec, n_local)
        return energies

    @torch.jit.export
    def descriptors(
        self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int
    ) -> Tensor:
        """Scalars of the last layer, (n_local, channels)."""
        radial, sh = self.edge_embedding(types, edge_index, edge_vec)
        h = self.species_embedding(types)
        for layer in self.layers:
            h = layer(h, types, radial, sh, edge_index, n_local)
        return h


def hidden_irreps(config: NequIPConfig) -> Irreps:
    """Features between layers: `channels` of every l up to l_max."""
    signs = (1,) if config.parity == "natural" else (1, -1)
    return Irreps(
        [
            (config.channels, (degree, sign * (-1) ** degree))
            for degree in range(config.l_max + 1)
            for sign in signs
        ]
    )
