"""From a trained model to one that is fast: the same function, its work arranged for inference.

Radial networks become tables, and linear maps around MACE's first convolution a part of them. Nothing
here changes the energy beyond the error of the tables, which `e3md export` measures and prints.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from e3md.fused.mace import MergedColumns, NoFeatures, merged_paths
from e3md.fused.radial import (
    GROUP,
    BareEdges,
    NetworkColumns,
    NoWeights,
    TabulatedConvolution,
    needs_basis,
    network_name,
    pairs_with_tables,
    table_columns,
)
from e3md.model.layout import Layout
from e3md.model.mace import MACE

MAX_COLUMNS = 8192  # of all tables of a layer; beyond, tables would leave every cache


class FusedModel(nn.Module):
    """A model whose layers read tables; `tabulate` must be called before it is evaluated."""

    def __init__(self, source: Any, model: Any, knots: tuple[int, int]) -> None:
        """source: the trained model; model: fused, on the same weights; knots: in float32, float64."""
        super().__init__()
        self.source = source
        self.model = model
        self.knots = knots
        self.exchange_width = model.exchange_width

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        """Energies of the local atoms, as those of build_model."""
        return self.model(types, edge_index, edge_vec, n_local)

    @torch.jit.export
    def descriptors(
        self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int
    ) -> Tensor:
        """As those of build_model."""
        return self.model.descriptors(types, edge_index, edge_vec, n_local)

    @torch.jit.export
    def tabulate(self, single: bool) -> None:
        """Make the tables; the module must be float64, and autograd on."""
        for layer in self.model.layers:
            layer.convolution.tabulate(self.knots[0] if single else self.knots[1])

    def tables(self) -> list[Tensor]:
        """Of every layer."""
        found: list[Tensor] = []
        for layer in self.model.layers:
            found.append(layer.convolution.table)
        return found

    def grid(self) -> Tensor:
        """First knot and spacing, Å, the same for all layers."""
        found: list[Tensor] = []
        for layer in self.model.layers:
            found.append(layer.convolution.grid)
        return found[0]


def fuse(model: nn.Module, cutoff: float, knots: tuple[int, int]) -> FusedModel:
    """A fused copy of the model.

    Raises:
        ValueError: if its tables would be too large.
    """
    source: Any = copy.deepcopy(model).requires_grad_(False)
    shared = {id(t): t for t in (*source.parameters(), *source.buffers())}
    fused: Any = copy.deepcopy(source, shared)
    embedding = fused.edge_embedding
    keys, chosen = pairs_with_tables(embedding.radial, embedding.n_species, by_neighbor=False)
    for n, layer in enumerate(fused.layers):
        network = network_name(layer)
        if n == 0 and isinstance(fused, MACE) and _merge_first(fused, cutoff):
            continue
        convolution = layer.convolution
        paths, columns = table_columns(convolution.paths)
        if len(keys) * len(columns) > MAX_COLUMNS:
            raise ValueError(f"{len(keys)} tables of {len(columns)} radial functions in a layer")
        function = NetworkColumns(embedding.radial, getattr(layer, network), columns)
        layer.convolution = TabulatedConvolution(
            function, paths, convolution, embedding, cutoff, keys, chosen
        )
        setattr(layer, network, NoWeights())
    if not any(needs_basis(layer) for layer in fused.layers):
        fused.edge_embedding = BareEdges()
    return FusedModel(source, fused, knots)


def _merge_first(model: Any, cutoff: float) -> bool:
    """Put the linear maps around the first convolution into its tables, if these stay small."""
    layer, embedding = model.layers[0], model.edge_embedding
    keys, chosen = pairs_with_tables(embedding.radial, embedding.n_species, by_neighbor=True)
    function = MergedColumns(embedding.radial, layer, model.species_embedding)
    n_columns = sum(-(-w.shape[1] // GROUP) * GROUP for w in function.weights)
    if len(keys) * n_columns > MAX_COLUMNS:
        return False
    layer.convolution = TabulatedConvolution(
        function, merged_paths(layer), layer.convolution, embedding, cutoff, keys, chosen
    )
    layer.convolution.dim_in, layer.convolution.dim_out = 0, Layout(layer.irreps_a).dim
    layer.radial_network = NoWeights()
    layer.linear_up = NoFeatures()
    layer.linear_a = nn.Identity()
    return True
