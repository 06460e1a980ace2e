"""From hyperparameters and statistics to a model."""

import torch
from torch import nn

from e3md.data.statistics import Statistics
from e3md.model.config import MACEConfig, ModelConfig, NequIPConfig
from e3md.model.mace import MACE
from e3md.model.nequip import NequIP


def build_model(config: ModelConfig, statistics: Statistics, dtype: torch.dtype) -> nn.Module:
    """Build a model with random weights, drawn from torch's global generator.

    Every architecture has the same scriptable face:

    - `forward(types, edge_index, edge_vec, n_local) -> (n_local,) float64 eV`, the energies of the
      local atoms; types (n_nodes,) int64, edge_index (2, n_edges) int64 sorted by receiver,
      edge_vec (n_edges, 3) in `dtype`, Å. Nodes beyond n_local are ghosts.
    - `descriptors(...)` with the same arguments: (n_local, n_features) invariants.
    - `exchange_width`: the largest number of features `ghost_exchange` moves per atom.

    The network computes in `dtype`; reference energies, scale and shift stay in double.
    """
    model: nn.Module
    match config:
        case NequIPConfig():
            model = NequIP(config, statistics)
        case MACEConfig():
            model = MACE(config, statistics)
    for name, child in model.named_children():
        if name != "reference":
            child.to(dtype)
    return model
