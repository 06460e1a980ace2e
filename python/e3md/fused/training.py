"""A model as training evaluates it: radial networks at knots only, edges read the splines between.

One batch has thousands of edges, which all ask the same functions of the distance. Here a layer's
radial network is evaluated at knots, with two derivatives; `edge_conv_radial` reads the
quintics between them, forward and twice backward, and gradients reach the network by its knots.
"""

import copy
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from e3md.fused.jets import network_jets
from e3md.fused.radial import (
    GROUP,
    LAST_KNOT,
    BareEdges,
    RadialConvolution,
    derivative,
    needs_basis,
    network_name,
    pairs_with_tables,
    table_columns,
)
from e3md.model.radial import XPLOREnvelope

SPACING = 0.05  # Å between knots: forces to 1e-6 of the largest


class LearnedTable(nn.Module):
    """In place of a radial network: its table, made anew from its weights in every call."""

    basis_jets: Tensor
    columns: Tensor

    def __init__(
        self, network: nn.Module, basis_jets: Tensor, columns: Tensor, n_tables: int
    ) -> None:
        """basis_jets: (3, n_tables · n_knots, n_basis), derivatives per spacing of the knots."""
        super().__init__()
        self.network = network
        self.n_tables = n_tables
        self.register_buffer("basis_jets", basis_jets)
        self.register_buffer("columns", columns)
        self.complete = columns.equal(torch.arange(len(columns)))

    def forward(self, radial: Tensor) -> Tensor:
        """radial: not used -> (n_tables, n_knots, n_groups, 3, 16)."""
        jets = network_jets(self.network, self.basis_jets)
        if not self.complete:
            jets = nn.functional.pad(jets, (0, 1)).index_select(2, self.columns)
        grouped = jets.view(3, self.n_tables, -1, jets.shape[2] // GROUP, GROUP)
        return grouped.permute(1, 2, 3, 0, 4).contiguous()


class Reach(NamedTuple):
    """Distances that a model meets in training."""

    shortest: float  # Å, of the closest atoms; nearer, the first quintic goes on
    cutoff: float  # Å


def training_form(model: nn.Module, reach: Reach) -> nn.Module:
    """The same model on the same weights, faster to differentiate twice.

    Its energies differ from the model's by the error of the splines. A loss on forces must be
    differentiated with `backward(inputs=parameters)`. A model with XPLOR smoothing, which no spline
    follows, is returned as it is.
    """
    if any(isinstance(module, XPLOREnvelope) for module in model.modules()):
        return model
    shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
    fast: Any = copy.deepcopy(model, shared)
    embedding = fast.edge_embedding
    keys, chosen = pairs_with_tables(embedding.radial, embedding.n_species, by_neighbor=False)
    first, last = 0.9 * min(reach.shortest, reach.cutoff), reach.cutoff * LAST_KNOT
    n_knots = math.ceil((last - first) / SPACING) + 1
    device = next(model.parameters()).device
    knots = torch.linspace(first, last, n_knots, dtype=torch.float64, device=device)
    jets = _basis_jets(embedding.radial, knots, keys.to(device))
    for layer in fast.layers:
        name, convolution = network_name(layer), layer.convolution
        paths, columns = table_columns(convolution.paths)
        layer.convolution = RadialConvolution(paths, convolution, embedding, chosen)
        layer.convolution.grid[:] = torch.stack([knots[0], knots[1] - knots[0]])
        setattr(layer, name, LearnedTable(getattr(layer, name), jets, columns, len(keys)))
    if not any(needs_basis(layer) for layer in fast.layers):
        fast.edge_embedding = BareEdges()
    return fast


def _basis_jets(basis: nn.Module, knots: Tensor, keys: Tensor) -> Tensor:
    """(3, n_tables · n_knots, n_basis) in the dtype of the basis."""
    exact = copy.deepcopy(basis).double()
    spacing = knots[1] - knots[0]
    rows = []
    for key in keys:
        r = knots.clone().requires_grad_()
        f = exact(r, key.expand(len(r)))
        slope = derivative(f, r)
        curvature = derivative(slope, r)
        rows.append(torch.stack([f, spacing * slope, spacing**2 * curvature]).detach())
    return torch.cat(rows, dim=1).to(next(basis.buffers()).dtype)
