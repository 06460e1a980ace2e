"""Orthogonal steps for matrices, AdamW for all else, in one optimizer.

K. Jordan et al., https://kellerjordan.github.io/posts/muon, with the step length of Liu et al.,
arXiv:2502.16982. torch and pytorch_optimizer have it, too, but iterate in bfloat16, which CPUs
without such instructions emulate: 50 to 100 ms where a step of training takes 25.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of AdamW
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5


class Muon(torch.optim.Optimizer):
    """Elements of a matrix move by `lr`, root mean square, as those of AdamW do at first."""

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float,
    ) -> None:
        """weight_decay: of matrices alone, decoupled."""
        groups = [
            {"params": list(matrices), "orthogonal": True, "weight_decay": weight_decay},
            {"params": list(others), "orthogonal": False, "weight_decay": 0.0},
        ]
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            if group["orthogonal"]:
                self._step_orthogonally(moved, group["lr"], group["weight_decay"])
            elif moved:
                self._step_adam(moved, group["lr"])
        return loss

    def _step_orthogonally(self, matrices: list[Tensor], lr: float, weight_decay: float) -> None:
        """Those of one shape together."""
        shapes: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
        for p in matrices:
            shapes[p.shape].append(p)
        for shape, alike in shapes.items():
            gradients = _gradients(alike)
            momenta = self._states(alike, "momentum")
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)  # Nesterov's
            steps = orthogonalized(torch.stack(ahead)) * max(shape) ** 0.5
            torch._foreach_mul_(alike, 1 - lr * weight_decay)
            torch._foreach_add_(alike, list(steps.unbind()), alpha=-lr)

    def _step_adam(self, parameters: list[Tensor], lr: float) -> None:
        gradients = _gradients(parameters)
        means, squares = self._states(parameters, "mean"), self._states(parameters, "square")
        count = self.state[parameters[0]]["count"] = self.state[parameters[0]].get("count", 0) + 1
        torch._foreach_lerp_(means, gradients, 1 - BETAS[0])
        torch._foreach_mul_(squares, BETAS[1])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - BETAS[1])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, (1 - BETAS[1] ** count) ** 0.5)
        torch._foreach_add_(roots, EPSILON)
        torch._foreach_addcdiv_(parameters, means, roots, -lr / (1 - BETAS[0] ** count))

    def _states(self, parameters: list[Tensor], name: str) -> list[Tensor]:
        """Of each parameter, zero at first."""
        for p in parameters:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p)
        return [self.state[p][name] for p in parameters]


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def orthogonalized(x: Tensor) -> Tensor:
    """Matrices (n, rows, columns) with about the same singular vectors, and values near 1.

    Five of Newton's and Schulz' iterations: values end between 0.7 and 1.2, but for the weakest.
    """
    if x.shape[1] > x.shape[2]:
        return orthogonalized(x.mT).mT
    a, b, c = COEFFICIENTS
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-30)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x
