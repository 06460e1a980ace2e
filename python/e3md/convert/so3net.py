"""Weights of SO3net as SchNetPack and matgl store them, in e3md's SO3Net.

Both programs use real spherical harmonics of unit norm on the sphere in the order m = -l..l, e3md
those of e3nn: the same after a rotation (x, y, z) -> (y, z, x), which leaves energies alone, and a
factor sqrt(4π), which goes into the filters.
"""

import math

from torch import Tensor

from e3md.convert.neutral import Neutral
from e3md.model import SO3NetConfig


def layer_weights(
    neutral: Neutral, n: int, config: SO3NetConfig, basis_gain: float
) -> dict[str, Tensor]:
    """Weights of layer n; `basis_gain`: how much larger e3md's radial basis is.

    The last layer's gates of l > 0 act on features that the energy does not see.
    """
    filters, filters_bias = (
        neutral.take(f"{n}.filters.0.weight"),
        neutral.take(f"{n}.filters.0.bias"),
    )
    unit_norm = 1.0 / math.sqrt(4.0 * math.pi)
    gate, gate_bias = neutral.take(f"{n}.gate.weight"), neutral.take(f"{n}.gate.bias")
    n_gates = config.channels if n == config.n_layers - 1 else len(gate_bias)
    root = math.sqrt(config.channels)
    weights = {
        "convolution.network.network.layers.0.weight": filters.T
        * (math.sqrt(config.n_basis) * unit_norm / basis_gain),
        "convolution.network.network.layers.0.bias": filters_bias * unit_norm,
        "mix_factor.weights.0": neutral.take(f"{n}.mixing1").T * root,
        "mix_product.weights.0": neutral.take(f"{n}.mixing2").T * root,
        "gate.weight": gate[:n_gates].T * root,
        "gate.bias": gate_bias[:n_gates],
        "mix_gated.weights.0": neutral.take(f"{n}.mixing3").T * root,
    }
    return {f"layers.{n}.{name}": weight for name, weight in weights.items()}
