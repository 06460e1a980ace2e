"""From hyperparameters and statistics to a model."""

from collections.abc import Callable
from itertools import chain
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field
from torch import nn

from e3md.data.statistics import Statistics
from e3md.model.architecture import Architecture
from e3md.model.mace import MACE, MACEConfig
from e3md.model.nequip import NequIP, NequIPConfig
from e3md.model.schnet import SchNet, SchNetConfig
from e3md.model.so3net import SO3Net, SO3NetConfig

ModelConfig = Annotated[
    NequIPConfig | MACEConfig | SchNetConfig | SO3NetConfig, Field(discriminator="arch")
]
ARCHITECTURES: dict[type[BaseModel], Callable[[Any, Statistics], Architecture]] = {
    NequIPConfig: NequIP,
    MACEConfig: MACE,
    SchNetConfig: SchNet,
    SO3NetConfig: SO3Net,
}

DOUBLE = {"cg_value", "harmonic_value", "product_value", "grid"}  # as in cpp/src/model_file.cpp
WHOLE = {"reference", "couplings"}  # modules or lists of tensors


def build_model(config: ModelConfig, statistics: Statistics, dtype: torch.dtype) -> Architecture:
    """Build a model with random weights, drawn from torch's global generator.

    The network computes in `dtype`; reference energies, scale and shift stay in double.
    """
    model = ARCHITECTURES[type(config)](config, statistics)
    set_dtype(model, dtype)
    return model


def set_dtype(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast the network; what `stays_double` names keeps its precision."""
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if tensor.is_floating_point() and not stays_double(name):
            tensor.data = tensor.data.to(dtype)


def network_dtype(model: nn.Module) -> torch.dtype:
    """What a model computes in."""
    return next(
        tensor.dtype
        for name, tensor in model.named_parameters()
        if tensor.is_floating_point() and not stays_double(name)
    )


def stays_double(name: str) -> bool:
    """Whether a parameter or buffer is float64 in every model.

    Couplings are cast where they are used, so that a float32 file evaluated in float64 is as
    equivariant as float64.
    """
    parts = name.split(".")
    return parts[-1] in DOUBLE or not WHOLE.isdisjoint(parts)
