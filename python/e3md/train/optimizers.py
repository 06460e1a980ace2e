"""Optimizers of a model's weights."""

import torch
from torch import nn

from e3md.train.config import TrainingConfig
from e3md.train.muon import Muon


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Over the parameters that are learned."""
    learned = [p for p in model.parameters() if p.requires_grad]
    if config.optimizer == "muon":
        matrices = hidden_matrices(model)
        own = {id(p) for p in matrices}
        others = [p for p in learned if id(p) not in own]
        return Muon(matrices, others, config.learning_rate, config.weight_decay)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(
        learned, lr=config.learning_rate, weight_decay=config.weight_decay,
        amsgrad=config.amsgrad, fused=True,
    )  # fmt: skip


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Those between features of the layers: no embeddings, readouts, or weights of each species."""
    named = ((name, p) for name, p in model.named_parameters() if p.requires_grad)
    return [p for name, p in named if p.dim() == 2 and name.startswith("layers.")]
