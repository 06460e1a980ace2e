"""Graphs and configurations that the tests of physical laws share."""

import copy

import torch
from ase import Atoms
from torch import nn

from conftest import random_statistics, small_config
from e3md.graph import AtomGraph
from e3md.model import ModelConfig, build_model
from e3md.model.architecture import Architecture, Reach
from e3md.neighbors import atoms_to_graph

SPECIES = ("Li", "P", "S")

CONFIGS: dict[str, ModelConfig] = {
    "nequip-l0": small_config("nequip", l_max=0),
    "nequip-l1": small_config("nequip"),
    "nequip-l2-both": small_config("nequip", l_max=2, parity="both", n_layers=2),
    "nequip-l3-zbl": small_config("nequip", l_max=3, n_layers=2, zbl=True),
    "nequip-l4": small_config("nequip", l_max=4, channels=4, n_layers=2),
    "nequip-1-layer": small_config("nequip", n_layers=1),
    "nequip-normed": small_config(
        "nequip",
        hidden_irreps="8x0e+4x1o",
        embedding_channels=3,
        self_connection="shared",
        layer_norm=True,
    ),
    "nequip-pair-cutoffs": small_config(
        "nequip",
        pair_cutoffs={"Li-S": 3.0, "P-S": 2.5},
        first_self_connection=False,
        readout_hidden=(6,),
    ),
    "nequip-xplor": small_config("nequip", xplor_on=3.1),
    "nequip-no-self-connection": small_config("nequip", self_connection="none"),
    "mace-0e": small_config("mace", hidden_irreps="8x0e", correlation=3),
    "mace-1o": small_config("mace"),
    "mace-mixed": small_config("mace", hidden_irreps="8x0e+4x1o+2x2e", l_max=3, n_layers=3),
    "mace-l4": small_config("mace", hidden_irreps="4x0e+4x1o+4x4e", l_max=4, correlation=2),
    "mace-correlation-1": small_config("mace", correlation=1, zbl=True),
    "mace-correlation-2": small_config("mace", correlation=2),
    "mace-agnostic": small_config("mace", first_interaction="agnostic", interaction="agnostic"),
    "mace-density": small_config(
        "mace", first_interaction="density", interaction="density_residual"
    ),
    "mace-agnesi": small_config("mace", distance_transform="agnesi"),
    "schnet": small_config("schnet"),
    "schnet-bessel": small_config(
        "schnet", basis="bessel", filter_channels=5, activation="silu", n_layers=2, zbl=True
    ),
    "schnet-mollifier": small_config("schnet", cutoff_function="mollifier", n_layers=1),
    "so3net": small_config("so3net"),
    "so3net-l0": small_config("so3net", l_max=0, n_layers=1),
    "so3net-l3-gated": small_config(
        "so3net", l_max=3, n_layers=2, basis="bessel", gated_readout=True, zbl=True
    ),
}


_built: dict[tuple[str, torch.dtype], nn.Module] = {}


def build(config: ModelConfig, dtype: torch.dtype = torch.float64) -> Architecture:
    """A model with reproducible random weights: a copy, as building one takes up to 5 s."""
    key = (repr(config), dtype)
    if key not in _built:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            _built[key] = build_model(config, random_statistics(SPECIES), dtype)
    return copy.deepcopy(_built[key])


def with_knots(model: Architecture, n_knots: int) -> Architecture:
    """A copy of the model that is to read its radial weights from knots."""
    copied = copy.deepcopy(model)
    copied.n_knots = (n_knots, n_knots)
    return copied


def tabulated(model: Architecture, n_knots: int) -> Architecture:
    """A copy of the model that does."""
    copied = with_knots(model, n_knots)
    copied.tabulate(True)
    return copied


def learning(model: Architecture, config: ModelConfig, shortest: float = 1.5) -> Architecture:
    """A copy of the model as training evaluates it."""
    copied = copy.deepcopy(model)
    copied.learn(Reach(shortest, config.cutoff))
    return copied


def to_graph(atoms: Atoms, config: ModelConfig, dtype: torch.dtype = torch.float64) -> AtomGraph:
    return atoms_to_graph(atoms, SPECIES, config.cutoff, dtype)
