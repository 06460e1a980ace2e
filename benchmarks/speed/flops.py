"""Multiply-adds that a model's algorithm needs for energies and forces, per atom.

Counted as floating-point operations, two for a multiply-add, of what this project evaluates: radial
functions from tables (6 terms for the value, 6 for the slope), products of features and harmonics
after contracting with Clebsch-Gordan coefficients (n_in · n_out per path and channel, three times
for the backward pass), matrix products of the linear maps (once forward, once backward), and the
polynomial of the product basis (one per term forward, three backward). Harmonics, gates, readouts
and sums are left out, so fractions of the peak err on the low side.
"""

from torch import nn

from e3md.model.linear import Linear
from e3md.model.mace import MACELayer
from e3md.model.path_table import PathTable
from e3md.model.splines import SplineConvolution
from e3md.model.symmetric_contraction import SymmetricContraction


def flops_per_atom(model: nn.Module, n_neighbors: float) -> float:
    """At a mean number of neighbors, where the model reads tables."""
    merged = {
        inside
        for layer in model.modules()
        if isinstance(layer, MACELayer) and layer.merged is not None
        for inside in (layer.convolution.splines, layer.linear_up, layer.linear_a)
    }  # what the tables of a first layer contain
    total = 0.0
    for module in model.modules():
        if module in merged:
            continue
        match module:
            case SplineConvolution():
                total += n_neighbors * _edge(module.table)
            case Linear():
                pairs = zip(module.weights(), module.map.blocks, strict=True)
                total += 2 * 2 * sum(weight.numel() * block.n_m for weight, block in pairs)
            case SymmetricContraction():
                total += 4 * 2 * len(module.program.terms) * module.channels
    return total


def _edge(table: PathTable) -> float:
    """Forward and backward of one edge."""
    total = 0.0
    for path in table.paths:
        n_in = 1 + max(term.m_in for term in path.terms)
        n_out = 1 + max(term.m_out for term in path.terms)
        forward = 6 + n_in + n_in * n_out
        backward = 12 + 4 * n_in + 2 * n_in * n_out
        total += 2 * path.mul * (forward + backward)
    return total
