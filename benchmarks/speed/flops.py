"""Multiply-adds that a model's algorithm needs for energies and forces, per atom.

Counted as floating-point operations, two for a multiply-add, of what this project evaluates: radial
functions from tables (6 terms for the value, 6 for the slope), products of features and harmonics
after contracting with Clebsch-Gordan coefficients (n_in · n_out per path and channel, three times
for the backward pass), matrix products of the linear maps (once forward, once backward), and the
polynomial of the product basis (one per term forward, three backward). Harmonics, gates, readouts
and sums are left out, so fractions of the peak err on the low side.
"""

from typing import Any

import torch

from e3md.fused.radial import TabulatedConvolution
from e3md.model.linear import Linear
from e3md.model.product import SymmetricContraction


def flops_per_atom(fused: Any, n_neighbors: float) -> float:
    """Of a FusedModel, at a mean number of neighbors."""
    total = 0.0
    for name, module in fused.model.named_modules():
        if ".function." in name:  # what tables are made from
            continue
        match module:
            case TabulatedConvolution():
                total += n_neighbors * _edge(module)
            case Linear():
                shapes = zip(module.parameters(), module.places[1::3], strict=True)
                total += 2 * 2 * sum(w.numel() * n_m for w, n_m in shapes)
            case SymmetricContraction():
                total += 4 * 2 * len(module.terms) * module.channels
    return total


def _edge(convolution: TabulatedConvolution) -> float:
    """Forward and backward of one edge."""
    total = 0.0
    for row in convolution.paths.tolist():
        index = convolution.cg_index[row[7] : row[8]]
        n_in, _, n_out = (torch.max(index, dim=0).values + 1).tolist()
        forward = 6 + n_in + n_in * n_out
        backward = 12 + 4 * n_in + 2 * n_in * n_out
        total += 2 * row[6] * (forward + backward)
    return total
