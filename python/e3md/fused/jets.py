"""Radial networks with their first two derivatives, carried forward: (3, n, width) f, f', f''.

Derivatives are those with respect to any scalar the input depends on. One evaluation costs three
of the network, and unlike derivatives by autograd its gradients need no second backward pass.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

from e3md.model.dense import Dense
from e3md.model.filters import FilterNetwork
from e3md.model.radial import MLP


def network_jets(network: nn.Module, x: Tensor) -> Tensor:
    """x: (3, n, n_in) value, first and second derivative of the input -> (3, n, n_out).

    Raises:
        TypeError: for a network that is no MLP, Dense or FilterNetwork.
    """
    match network:
        case MLP():
            return _mlp(network, x)
        case Dense():
            return _dense(network, x)
        case FilterNetwork():
            basis, envelope = x.split([network.n_basis, 1], dim=2)
            return _product(_dense(network.network, basis), envelope)
    raise TypeError(f"{type(network).__name__} is no radial network")


def _mlp(network: MLP, x: Tensor) -> Tensor:
    for n, weight in enumerate(network.weights):
        if n > 0:
            x = _silu(x) * network.gain
        x = x @ (weight / math.sqrt(weight.shape[0]))
    return x


def _dense(network: Dense, x: Tensor) -> Tensor:
    layer: Any
    for n, layer in enumerate(network.layers):
        if n > 0:
            x = (_shifted_softplus(x) if network.shifted else _silu(x)) * network.gain
        x = x @ (layer.weight * layer.scale) + pad(layer.bias[None, None], (0, 0, 0, 0, 0, 2))
    return x


def _silu(x: Tensor) -> Tensor:
    f = x[0]
    s = torch.sigmoid(f)
    bend = s * (1 - s)
    return _chain(x, f * s, s + f * bend, bend * (2 + f * (1 - 2 * s)))


def _shifted_softplus(x: Tensor) -> Tensor:
    s = torch.sigmoid(x[0])
    return _chain(x, softplus(x[0]) - math.log(2.0), s, s * (1 - s))


def _chain(x: Tensor, f: Tensor, slope: Tensor, curvature: Tensor) -> Tensor:
    """Jets of f(x) from f, f' and f'' at x[0]."""
    return torch.stack([f, slope * x[1], curvature * x[1].square() + slope * x[2]])


def _product(a: Tensor, b: Tensor) -> Tensor:
    second = a[2] * b[0] + 2 * a[1] * b[1] + a[0] * b[2]
    return torch.stack([a[0] * b[0], a[1] * b[0] + a[0] * b[1], second])
