"""Optimizers of a model's weights."""

import torch
from torch import nn

from e3md.train.config import TrainingConfig

ADJUSTED = 0.2  # Muon's adjusted rate moves the elements of a matrix by so much of it


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Over the parameters that are learned."""
    if config.optimizer == "muon":
        return _muon(model, config)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(
        (p for p in model.parameters() if p.requires_grad),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        amsgrad=config.amsgrad,
        fused=True,
    )


def _muon(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Orthogonal steps for the matrices of the layers, AdamW for all else.

    K. Jordan et al., https://kellerjordan.github.io/posts/muon; the elements of a matrix move by
    learning_rate, root mean square, as those of AdamW do at first (Liu et al., arXiv:2502.16982).
    """
    from pytorch_optimizer import Muon  # imported late: of other runs it is no part

    matrices = hidden_matrices(model)
    of_matrices = {
        "params": matrices,
        "use_muon": True,
        "use_adjusted_lr": True,
        "lr": config.learning_rate / ADJUSTED,
        "weight_decay": config.weight_decay * ADJUSTED,
    }
    own = {id(p) for p in matrices}
    of_the_rest = {
        "params": [p for p in model.parameters() if p.requires_grad and id(p) not in own],
        "use_muon": False,
        "lr": config.learning_rate,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    return Muon([of_matrices, of_the_rest])


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Those between features of the layers: no embeddings, readouts, or weights of each species."""
    named = ((name, p) for name, p in model.named_parameters() if p.requires_grad)
    return [p for name, p in named if p.dim() == 2 and name.startswith("layers.")]
