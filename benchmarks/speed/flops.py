"""Multiply-adds that a model's algorithm needs for energies and forces, per atom.

Counted as floating-point operations, two for a multiply-add, of what this project evaluates: radial
functions from tables (6 terms for the value, 6 for the slope), products of features and harmonics
after contracting with Clebsch-Gordan coefficients (n_in · n_out per path and channel, three times
for the backward pass), matrix products of the linear maps (once forward, once backward), and the
polynomial of the product basis (one per term forward, three backward). Harmonics, gates, readouts
and sums are left out, so fractions of the peak err on the low side.
"""

import time
from collections import Counter

import torch
from torch import nn

from e3md.model.linear import Linear
from e3md.model.mace import MACELayer
from e3md.model.path_table import PathTable
from e3md.model.splines import SplineConvolution
from e3md.model.symmetric_contraction import SymmetricContraction


def sgemm_peak(threads: int) -> float:
    """GFLOP/s of a float32 matrix product of order 1024, the best of several."""
    torch.set_num_threads(threads)
    a, best = torch.randn(1024, 1024), 0.0
    for _ in range(20):
        start = time.perf_counter()
        a @ a
        best = max(best, 2 * 1024**3 / (time.perf_counter() - start) / 1e9)
    return best


def flops_per_atom(model: nn.Module, n_neighbors: float) -> Counter[str]:
    """Of each kind of step, at a mean number of neighbors, where the model reads tables."""
    merged = {
        inside
        for layer in model.modules()
        if isinstance(layer, MACELayer) and layer.merged is not None
        for inside in (layer.convolution.splines, layer.linear_up, layer.linear_a)
    }  # what the tables of a first layer contain
    total: Counter[str] = Counter()
    for module in model.modules():
        if module in merged:
            continue
        match module:
            case SplineConvolution():
                total["convolution"] += round(n_neighbors * _edge(module.table))
            case Linear():
                pairs = zip(module.weights(), module.map.blocks, strict=True)
                total["linear"] += (
                    2 * 2 * sum(weight.numel() * block.n_m for weight, block in pairs)
                )
            case SymmetricContraction():
                total["product"] += 4 * 2 * len(module.program.terms) * module.channels
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
