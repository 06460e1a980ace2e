"""SchNetPack weights in e3md's SchNet and SO3Net.

The networks are the same; normalizations go into the weights.
"""

import math
from typing import Literal

import torch
from ase.data import chemical_symbols
from torch import Tensor

from e3md.convert import so3net
from e3md.convert.dense import dense_weights
from e3md.convert.neutral import Converted, Hyperparameters, Neutral, load_weights
from e3md.data.statistics import Statistics
from e3md.model import SchNetConfig, SO3NetConfig
from e3md.model.build import build_model
from e3md.model.config import Activation


class Common(Hyperparameters):
    """What extract/schnetpack_model.py writes for either representation."""

    cutoff: float
    cutoff_function: Literal["cosine", "mollifier"]
    basis: Literal["gaussian", "bessel"]
    n_basis: int
    n_layers: int
    channels: int
    readout_hidden: tuple[int, ...]
    readout_activation: Activation
    scale: float


class SchNetHyperparameters(Common):
    """Of SchNet."""

    representation: Literal["schnet"]
    filter_channels: int
    activation: Activation


class SO3NetHyperparameters(Common):
    """Of SO3net."""

    representation: Literal["so3net"]
    l_max: Literal[0, 1, 2, 3]


def build(neutral: Neutral) -> Converted:
    """The e3md model with the weights of a SchNetPack model, in float64.

    Raises:
        ConversionError: naming options or weights that have no counterpart.
    """
    is_so3net = neutral.hyperparameters.get("representation") == "so3net"
    hyper = neutral.parse(SO3NetHyperparameters if is_so3net else SchNetHyperparameters)
    offsets = neutral.take("offsets").tolist()
    statistics = Statistics(
        species=tuple(chemical_symbols[1 : len(offsets) + 1]),
        e0s=tuple(offsets),
        scale=hyper.scale,
        shift=0.0,
        avg_num_neighbors=1.0,
    )
    options = hyper.model_dump(exclude={"representation", "scale"})
    config = SO3NetConfig(**options) if is_so3net else SchNetConfig(**options)
    model = build_model(config, statistics, torch.float64)
    weights = {"species_embedding.weight": neutral.take("embedding")}
    weights |= basis_weights(neutral, config.basis)
    for n in range(config.n_layers):
        weights |= _layer_weights(neutral, n, config)
    n_readout = len(config.readout_hidden) + 1
    weights |= dense_weights(neutral, "readout", n_readout, config.readout_activation)
    load_weights(model, weights)
    neutral.check_all_taken()
    return Converted(model, config, statistics)


def basis_weights(neutral: Neutral, basis: str) -> dict[str, Tensor]:
    """Centers and widths, or wavenumbers, as the program rounded or trained them."""
    names = ("centers", "widths") if basis == "gaussian" else ("wavenumbers",)
    return {f"edge_embedding.radial.basis.{name}": neutral.take(f"basis.{name}") for name in names}


def basis_gain(basis: str, cutoff: float) -> float:
    """What e3md's basis is multiplied with: the program's sin(kr)/r has no prefactor."""
    return math.sqrt(2.0 / cutoff) if basis == "bessel" else 1.0


def _layer_weights(
    neutral: Neutral, n: int, config: SchNetConfig | SO3NetConfig
) -> dict[str, Tensor]:
    gain = basis_gain(config.basis, config.cutoff)
    if isinstance(config, SO3NetConfig):
        return so3net.layer_weights(neutral, n, config, gain)
    linear = neutral.take(f"{n}.linear").T
    weights = {f"{n}.linear.blocks.0.weight": linear * math.sqrt(len(linear))}
    filters = dense_weights(neutral, f"{n}.filters", 2, config.activation, gain)
    place = ".convolution.network.network."
    weights |= {name.replace(".filters.", place): weight for name, weight in filters.items()}
    weights |= dense_weights(neutral, f"{n}.network", 2, config.activation)
    return {f"layers.{name}": weight for name, weight in weights.items()}
