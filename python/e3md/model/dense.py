"""Dense layers with biases, for networks that need not vanish with their input."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from e3md import ops
from e3md.model.config import Activation
from e3md.model.linear import matrix
from e3md.model.plan import Function, Plan, Value
from e3md.model.radial import SILU_GAIN
from e3md.model.stacking import SideBySide

GAINS: dict[Activation, float] = {  # 1/sqrt(E[f²]) over N(0, 1)
    "shifted_softplus": 1.8755962561350425,
    "silu": SILU_GAIN,
}


class DenseLayer(nn.Module):
    """x W/sqrt(n) + b."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.scale = 1.0 / math.sqrt(n_in)
        self.weight = nn.Parameter(torch.randn(n_in, n_out, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, n_in) -> (n, n_out)."""
        return x @ (self.weight * self.scale) + self.bias

    def steps(self, plan: Plan, x: Value) -> Value:
        """But for the bias, which goes with what comes after."""
        return plan.linear(x, [self.weight], matrix(self.weight))


class Dense(nn.Module):
    """Layers with biases, the activation between them, unit-variance scaling.

    "shifted_softplus" is ln(1 + eˣ) - ln 2 (Schütt et al., arXiv:1706.08566).
    """

    def __init__(self, widths: list[int], activation: Activation) -> None:
        super().__init__()
        self.shifted = activation == "shifted_softplus"
        self.gain = GAINS[activation]
        self.layers: Any = nn.ModuleList(
            DenseLayer(n_in, n_out) for n_in, n_out in zip(widths[:-1], widths[1:], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, widths[0]) -> (n, widths[-1])."""
        for n, layer in enumerate(self.layers):
            if n > 0:
                x = self._activate(x) * self.gain
            x = layer(x)
        return x

    def jets(self, x: Tensor) -> Tensor:
        """As forward, with two derivatives carried along: (3, n, widths[0]) -> (3, n, widths[-1])."""
        for n, layer in enumerate(self.layers):
            if n > 0:
                x = ops.activation_jets(x, self.shifted) * self.gain
            bias = torch.nn.functional.pad(layer.bias[None, None], (0, 0, 0, 0, 0, 2))
            x = x @ (layer.weight * layer.scale) + bias
        return x

    def steps(self, plan: Plan, x: Value) -> Value:
        function: Function = "softplus" if self.shifted else "silu"
        bias: Tensor | None = None
        for n, layer in enumerate(self.layers):
            if n > 0:
                x = plan.activate(x, function, self.gain, bias)
            x, bias = layer.steps(plan, x), layer.bias
        return plan.activate(x, "identity", bias=bias)

    stacked = staticmethod(SideBySide)

    def _activate(self, x: Tensor) -> Tensor:
        if self.shifted:
            return torch.nn.functional.softplus(x) - math.log(2.0)
        return torch.nn.functional.silu(x)


class GatedDense(nn.Module):
    """Dense layers times the sigmoid of others of the same widths."""

    def __init__(self, widths: list[int], activation: Activation) -> None:
        super().__init__()
        self.values = Dense(widths, activation)
        self.gates = Dense(widths, activation)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, widths[0]) -> (n, widths[-1])."""
        return self.values(x) * torch.sigmoid(self.gates(x))

    def steps(self, plan: Plan, x: Value) -> Value:
        gates = plan.activate(self.gates.steps(plan, x), "sigmoid")
        return plan.multiply(self.values.steps(plan, x), gates)
