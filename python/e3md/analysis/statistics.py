"""Intervals of means."""

from typing import Any

import numpy as np
from scipy.stats import t as student

from e3md.analysis.periodic import FloatArray

CONFIDENCE = 0.95


def quantile(degrees: int) -> float:
    """Half of the 95 % interval over the standard error, by degrees of freedom (Student)."""
    return float(student.ppf(0.5 + CONFIDENCE / 2, degrees))


def half_width_of_mean(values: FloatArray) -> Any:
    """Half of the 95 % interval of the mean of independent numbers; (n, ...) of the shape (...)."""
    n = len(values)
    return quantile(n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)


def half_widths_of_blocks(values: FloatArray) -> tuple[float, float]:
    """Half of the 95 % interval of the mean over blocks and components, in two ways.

    Args:
        values: (n_blocks, n_components).

    First by the spread of the means of the blocks, which counts whatever correlates the components,
    but a few blocks may agree by chance; then by the spread of each component over the blocks,
    which knows itself well, but is right only for components that are independent of each other.
    """
    n_blocks, n_components = values.shape
    variance = values.var(axis=0, ddof=1).sum() / n_components**2 / n_blocks
    alone = quantile(n_components * (n_blocks - 1)) * np.sqrt(variance)
    return float(half_width_of_mean(values.mean(axis=1))), float(alone)
