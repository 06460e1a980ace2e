"""matgl's SO3Net in e3md's: SchNetPack's layers, a Bessel basis, a gated readout."""

from typing import Literal

import torch

from e3md.convert import so3net
from e3md.convert.dense import dense_weights
from e3md.convert.neutral import Converted, Hyperparameters, Neutral, load_weights
from e3md.data.statistics import Statistics
from e3md.model import SO3NetConfig
from e3md.model.build import build_model

ENVELOPE_POWER = 3  # of matgl.utils.cutoff.polynomial_cutoff


class MatglHyperparameters(Hyperparameters):
    """What extract/matgl_model.py writes."""

    species: tuple[str, ...]
    cutoff: float
    n_basis: int
    n_layers: int
    channels: int
    l_max: Literal[0, 1, 2, 3]
    readout_hidden: tuple[int, ...]
    scale: float


def build(neutral: Neutral) -> Converted:
    """The e3md model with the weights of a matgl SO3Net potential, in float64.

    Raises:
        ConversionError: naming options or weights that have no counterpart.
    """
    hyper = neutral.parse(MatglHyperparameters)
    statistics = Statistics(
        species=hyper.species,
        e0s=tuple(neutral.take("offsets").tolist()),
        scale=hyper.scale,
        shift=0.0,
        avg_num_neighbors=1.0,
    )
    config = SO3NetConfig(
        basis="bessel",
        cutoff_function="polynomial",
        envelope_power=ENVELOPE_POWER,
        readout_activation="silu",
        gated_readout=True,
        **hyper.model_dump(exclude={"species", "scale"}),
    )
    model = build_model(config, statistics, torch.float64)
    weights = {
        "species_embedding.weight": neutral.take("embedding"),
        "edge_embedding.radial.basis.wavenumbers": neutral.take("frequencies") / hyper.cutoff,
    }
    for n in range(config.n_layers):
        weights |= so3net.layer_weights(neutral, n, config, basis_gain=1.0)
    for name in ("readout.values", "readout.gates"):
        weights |= dense_weights(neutral, name, len(config.readout_hidden) + 1, "silu")
    load_weights(model, weights)
    neutral.check_all_taken()
    return Converted(model, config, statistics)
