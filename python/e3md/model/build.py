"""From hyperparameters and statistics to a model."""

from itertools import chain

import torch
from torch import nn

from e3md.data.statistics import Statistics
from e3md.model.architecture import Architecture
from e3md.model.config import MACEConfig, ModelConfig, NequIPConfig, SchNetConfig, SO3NetConfig
from e3md.model.mace import MACE
from e3md.model.nequip import NequIP
from e3md.model.schnet import SchNet
from e3md.model.so3net import SO3Net

DOUBLE = {"cg_value", "harmonic_value", "product_value", "grid"}  # as in cpp/src/model_file.cpp
WHOLE = {"reference", "couplings"}  # modules or lists of tensors


def build_model(config: ModelConfig, statistics: Statistics, dtype: torch.dtype) -> Architecture:
    """Build a model with random weights, drawn from torch's global generator.

    The network computes in `dtype`; reference energies, scale and shift stay in double.
    """
    model: Architecture
    match config:
        case NequIPConfig():
            model = NequIP(config, statistics)
        case MACEConfig():
            model = MACE(config, statistics)
        case SchNetConfig():
            model = SchNet(config, statistics)
        case SO3NetConfig():
            model = SO3Net(config, statistics)
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
