"""Dense layers of torch in e3md's, which divide by sqrt(inputs) and have a gain."""

import math

from torch import Tensor

from e3md.convert.neutral import Neutral
from e3md.model.config import Activation
from e3md.model.dense import GAINS


def dense_weights(
    neutral: Neutral, name: str, n_layers: int, activation: Activation, gain: float = 1.0
) -> dict[str, Tensor]:
    """Layers `name`, whose inputs are `gain` times larger in e3md."""
    weights = {}
    for k in range(n_layers):
        weight = neutral.take(f"{name}.{k}.weight").T
        scale = math.sqrt(len(weight)) / (GAINS[activation] if k else gain)
        weights[f"{name}.layers.{k}.weight"] = weight * scale
        weights[f"{name}.layers.{k}.bias"] = neutral.take(f"{name}.{k}.bias")
    return weights
