"""What every architecture is: layers between an embedding of edges and species, and an energy."""

import copy
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from e3md.data.statistics import Statistics
from e3md.model.convolution import EdgeConvolution
from e3md.model.embedding import EdgeEmbedding, SpeciesEmbedding
from e3md.model.plan import NoPlanError, Plan, Value
from e3md.model.reference import ReferenceEnergy
from e3md.model.splines import KnownBasis
from e3md.model.stacking import stack_parts
from e3md.model.zbl import ZBL

SPACING = 0.05  # Å between the knots of training: forces to 1e-6 of the largest
RENAMED = {  # parts of names since 0.1.0
    ".radial_network.": ".convolution.network.",
    ".filters.": ".convolution.network.",
    ".density.weights.": ".density.network.weights.",
}


class Reach(NamedTuple):
    """Distances that a model meets in training."""

    shortest: float  # Å, of the closest atoms; nearer, the first quintic goes on
    cutoff: float  # Å


class InteractionLayer(nn.Module):
    """A layer around one convolution."""

    if TYPE_CHECKING:  # TorchScript takes no annotation of a module
        convolution: EdgeConvolution

    def tabulate(self, basis: KnownBasis, species: Tensor) -> None:
        """Keep knots, see EdgeConvolution.tabulate; species: (n_species, channels) embedded."""
        self.convolution.tabulate(basis)

    def steps(self, plan: Plan, h: Value) -> Value:
        """What `forward` does, as steps of a plan."""
        raise NoPlanError(f"{type(self).__name__} has no steps")

    stacked = staticmethod(stack_parts)


class Architecture(nn.Module):
    """An interatomic potential.

    Every architecture has the same scriptable face:

    - `forward(types, edge_index, edge_vec, n_local) -> (n_local,) float64 eV`, the energies of the
      local atoms; types (n_nodes,) int64, edge_index (2, n_edges) int64 sorted by receiver,
      edge_vec (n_edges, 3) in the dtype of the network, Å. Nodes beyond n_local are ghosts.
    - `descriptors(...)` with the same arguments: (n_local, n_features) invariants.
    - `use(types)`: tables are made of these species only.
    - `tabulate(single)`: from now on convolutions read knots, if there are to be any (`n_knots`).
    - `exchange_width`: the largest number of features `ghost_exchange` moves per atom.

    The network computes in its dtype; reference energies, scale and shift stay in double.
    """

    n_knots: tuple[int, int]  # in float32 and float64; 0: networks are asked for every edge
    reads_basis: bool  # also where convolutions learn at knots
    if TYPE_CHECKING:  # TorchScript takes no annotation of a module
        layers: Any
        readout: Any

    def __init__(
        self, edge_embedding: EdgeEmbedding, channels: int, statistics: Statistics, zbl: ZBL | None
    ) -> None:
        """channels: scalars that stand for a species."""
        super().__init__()
        self.edge_embedding = edge_embedding
        self.species_embedding = SpeciesEmbedding(len(statistics.species), channels)
        self.reference = ReferenceEnergy(statistics)
        self.zbl = zbl
        self.n_knots = (0, 0)
        self.exchange_width = 0
        self.reads_basis = False

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        """Energies of the local atoms, (n_local,) float64 eV."""
        h = self.descriptors(types, edge_index, edge_vec, n_local)
        energies = self.reference(self.outcome(h).squeeze(1), types.narrow(0, 0, n_local))
        if self.zbl is not None:
            energies = energies + self.zbl(types, edge_index, edge_vec, n_local)
        return energies

    @torch.jit.export
    def descriptors(
        self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int
    ) -> Tensor:
        """Features of the last layer, (n_local, n_features)."""
        edges = self.edge_embedding(types, edge_index, edge_vec)
        h = self.species_embedding(types)
        for layer in self.layers:
            h = layer(h, edges, n_local)
        return h

    def outcome(self, h: Tensor) -> Tensor:
        """What the network says of each atom, (n_local, 1), from its descriptors."""
        return self.readout(h)

    def steps(self, plan: Plan) -> None:
        """What `forward` does, as steps of a plan, where radial weights come from knots."""
        if min(self.n_knots) == 0:
            raise NoPlanError("radial networks are asked for every neighbor")
        self.reference.steps(plan, self.outcome_steps(plan, self.species_embedding.steps(plan)))
        if self.zbl is not None:
            self.zbl.steps(plan)

    def outcome_steps(self, plan: Plan, h: Value) -> Value:
        """From embedded species to what `outcome` gives."""
        for layer in self.layers:
            h = layer.steps(plan, h)
        return self.readout.steps(plan, h)

    @torch.jit.export
    def use(self, types: Tensor) -> None:
        """Tables that are made from now on are those of these species; types: (n,) int64.

        Who then evaluates another pair gets NaN. All species are in use at first.
        """
        self.edge_embedding.use(types)

    @torch.jit.export
    def tabulate(self, single: bool) -> None:
        """Keep knots for a run in float32, or else float64; the module must be float64 now."""
        n_knots = self.n_knots[0] if single else self.n_knots[1]
        if n_knots > 0:
            knots = self.edge_embedding.knots(self.edge_embedding.first_knot, n_knots)
            basis = self.edge_embedding.known(knots)
            every = torch.arange(self.edge_embedding.n_species, device=knots.r.device)
            for layer in self.layers:
                layer.tabulate(basis, self.species_embedding(every))
            self.edge_embedding.give_only(False)

    def learn(self, reach: Reach) -> None:
        """From now on ask radial networks at knots only: faster to differentiate twice.

        A batch has thousands of edges, which all ask the same functions of the distance. Energies
        differ from those of the networks by the error of the splines. A loss on forces must be
        differentiated with `backward(inputs=parameters)`. A model with breaks at several distances,
        which no knots follow, stays as it is.
        """
        exact = copy.deepcopy(self.edge_embedding).double()
        if len(exact.breaks) > 1:
            return
        first = 0.9 * min(reach.shortest, reach.cutoff)
        knots = exact.knots(first, math.ceil((reach.cutoff - first) / SPACING) + 1)
        with torch.enable_grad():
            basis = exact.known(knots)
        jets = basis.jets.to(self.species_embedding.weight.dtype)
        for layer in self.layers:
            layer.convolution.learn(basis._replace(jets=jets))
        self.edge_embedding.give_only(self.reads_basis)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Also those of older files and checkpoints, which hold tables beside the weights."""
        own = {name: state.pop(name) for name in [n for n in state if n.startswith(prefix)]}
        kept = self.state_dict(prefix=prefix).keys()
        made = {prefix + name for name, _ in self.named_buffers()} - kept
        state.update({n: t for n, t in named_as_today(own).items() if n not in made})
        super()._load_from_state_dict(state, prefix, *rest)

    stacked = staticmethod(stack_parts)


def named_as_today(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a file or checkpoint that may be of 0.1.0."""
    found = {}
    for name, tensor in weights.items():
        for before, now in RENAMED.items():
            name = name.replace(before, now)
        found[name] = tensor
    return found
