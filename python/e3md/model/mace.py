"""MACE (Batatia et al., NeurIPS 2022, arXiv:2206.07697)."""

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md import ops
from e3md.data.statistics import Statistics
from e3md.graph import Edges
from e3md.model.config import MACEConfig
from e3md.model.convolution import EdgeConvolution
from e3md.model.embedding import EdgeEmbedding, SpeciesEmbedding
from e3md.model.layout import Layout, harmonics_irreps
from e3md.model.linear import Linear, SpeciesLinear
from e3md.model.product import SymmetricContraction
from e3md.model.radial import MLP, AgnesiBessel, BesselBasis, PolynomialEnvelope
from e3md.model.reference import ReferenceEnergy
from e3md.model.zbl import ZBL, radii_of


class MACELayer(nn.Module):
    """h -> linear(contraction(A)) [+ self-connection(h)], A = [M_z] linear(convolution(linear(h)))/n.

    n is the mean number of neighbors, or 1 + Σ_j tanh(ρ(r_ij)²), a density of the neighborhood.
    Without the self-connection ("agnostic"), A passes a linear map M_z of its species.
    """

    def __init__(
        self, irreps_in: Irreps, irreps_out: Irreps, config: MACEConfig,
        statistics: Statistics, first: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.first = first
        kind = config.first_interaction if first else config.interaction
        n_species = len(statistics.species)
        channels = max(mul for mul, _ in Irreps(config.hidden_irreps))
        harmonics = harmonics_irreps(config.l_max)
        irreps_a = Irreps([(channels, ir) for _, ir in harmonics])
        self.irreps_a = str(irreps_a)
        irreps_b = Irreps([(channels, ir) for _, ir in irreps_out])
        self.linear_up = Linear(irreps_in, irreps_in)
        self.convolution = EdgeConvolution(irreps_in, harmonics, irreps_a)
        widths = [config.n_bessel, *config.radial_hidden, self.convolution.n_weights]
        self.radial_network = MLP(widths)
        self.density = MLP([config.n_bessel, 1]) if kind.startswith("density") else None
        self.linear_a = Linear(self.convolution.irreps_out, irreps_a)
        self.residual = kind.endswith("residual")
        self.species_map = SpeciesLinear(
            n_species, *((irreps_in, irreps_out) if self.residual else (irreps_a, irreps_a))
        )
        self.contraction = SymmetricContraction(irreps_a, irreps_b, config.correlation, n_species)
        self.linear_b = Linear(irreps_b, irreps_out)
        self.norm = 1.0 if self.density is not None else 1.0 / statistics.avg_num_neighbors

    def forward(self, h: Tensor, edges: Edges, n_local: int) -> Tensor:
        """h: (n_nodes, dim_in) in the first layer, else (n_local, dim_in) -> (n_local, dim_out)."""
        up = self.linear_up(h) * self.norm
        if not self.first:
            up = ops.ghost_exchange(up, edges.types.shape[0])
        message = self.convolution(up, edges, self.radial_network(edges.radial), n_local)
        if self.density is not None:
            message = message / self._densities(self.density(edges.radial), edges, n_local)
        a = self.linear_a(message)
        local_types = edges.types.narrow(0, 0, n_local)
        if not self.residual:
            return self.linear_b(self.contraction(self.species_map(a, local_types), local_types))
        kept = self.species_map(h.narrow(0, 0, n_local), local_types)
        return self.linear_b(self.contraction(a, local_types)) + kept

    def _densities(self, rho: Tensor, edges: Edges, n_local: int) -> Tensor:
        """n of each local atom, (n_local, 1), from ρ (n_edges, 1)."""
        sums = torch.zeros(n_local, 1, dtype=rho.dtype, device=rho.device)
        return 1.0 + sums.index_add(0, edges.edge_index[0], torch.tanh(rho.square()))


class Columns(nn.Module):
    """Some columns of the features that lie side by side."""

    def __init__(self, first: int, n: int) -> None:
        super().__init__()
        self.first, self.n = first, n

    def forward(self, h: Tensor) -> Tensor:
        return h.narrow(1, self.first, self.n)


class MACE(nn.Module):
    """Interaction layers; every layer's scalars contribute to the energy."""

    def __init__(self, config: MACEConfig, statistics: Statistics) -> None:
        super().__init__()
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
        self.edge_embedding = EdgeEmbedding(radial, config.l_max, len(statistics.species))
        self.species_embedding = SpeciesEmbedding(len(statistics.species), hidden.n_scalars)
        inputs = [scalars] + [hidden.irreps] * (config.n_layers - 1)
        outputs = [hidden.irreps] * (config.n_layers - 1) + [scalars]
        offsets = [even.offset] * (config.n_layers - 1) + [0]
        self.invariants = nn.ModuleList(Columns(offset, hidden.n_scalars) for offset in offsets)
        self.layers = nn.ModuleList(
            MACELayer(source, target, config, statistics, first=n == 0)
            for n, (source, target) in enumerate(zip(inputs, outputs, strict=True))
        )
        self.readouts = nn.ModuleList(
            MLP([hidden.n_scalars, 1]) for _ in range(config.n_layers - 1)
        )
        self.readouts.append(MLP([hidden.n_scalars, config.readout_hidden, 1]))
        self.exchange_width = hidden.dim if config.n_layers > 1 else 0
        self.reference = ReferenceEnergy(statistics)
        self.zbl = (
            ZBL(statistics.species, config.cutoff, config.envelope_power) if config.zbl else None
        )

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        """Energies of the local atoms, (n_local,) float64 eV; see build_model."""
        scalars = self._scalars(types, edge_index, edge_vec, n_local)
        found: list[Tensor] = []
        for n, readout in enumerate(self.readouts):
            found.append(readout(scalars[n]))
        network = torch.stack(found).sum(0)
        energies = self.reference(network.squeeze(1), types.narrow(0, 0, n_local))
        if self.zbl is not None:
            energies = energies + self.zbl(types, edge_index, edge_vec, n_local)
        return energies

    @torch.jit.export
    def descriptors(
        self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int
    ) -> Tensor:
        """Scalars of all layers, (n_local, n_layers · channels)."""
        return torch.cat(self._scalars(types, edge_index, edge_vec, n_local), dim=1)

    def _scalars(
        self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int
    ) -> list[Tensor]:
        edges = self.edge_embedding(types, edge_index, edge_vec)
        h = self.species_embedding(types)
        scalars: list[Tensor] = []
        for layer, invariants in zip(self.layers, self.invariants):  # noqa: B905
            h = layer(h, edges, n_local)
            scalars.append(invariants(h))
        return scalars
