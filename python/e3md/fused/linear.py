"""Linear maps as matrix products straight between rows of features."""

import math

from torch import Tensor, nn

from e3md import ops
from e3md.fused.radial import RadialConvolution
from e3md.model.linear import Linear, LinearBlock, SpeciesLinear, ZeroBlock


class FusedLinear(nn.Module):
    """A `Linear` by `irreps_linear`; the weights are the same tensors."""

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self.blocks: list[int] = []
        self.scales: list[float] = []
        offset = 0
        used = []
        for block in linear.blocks:
            assert isinstance(block, LinearBlock | ZeroBlock)
            if isinstance(block, LinearBlock):
                self.blocks += [block.offset, block.n_m, offset]
                self.scales.append(block.scale)
                used.append(block.weight)
            offset += block.dim_out
        self.weights = nn.ParameterList(used)
        self.dim_in, self.dim_out = linear.dim_in, offset

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, dim_in) -> (n, dim_out)."""
        weights = [weight for weight in self.weights]
        return ops.irreps_linear(x, weights, self.scales, self.blocks, self.dim_out)


class FusedSpeciesLinear(nn.Module):
    """A `SpeciesLinear` by `irreps_linear`; the weights are the same tensors."""

    def __init__(self, linear: SpeciesLinear) -> None:
        super().__init__()
        self.blocks: list[int] = []
        self.weights = nn.ParameterList(linear.weights)
        self.scales = [1.0 / math.sqrt(weight.shape[1]) for weight in linear.weights]
        offset = 0
        for source, n_m, dim in zip(linear.offsets, linear.n_m, linear.dims, strict=True):
            if source >= 0:
                self.blocks += [source, n_m, offset]
            offset += dim
        self.dim_in, self.dim_out = linear.dim_in, offset

    def forward(self, x: Tensor, types: Tensor) -> Tensor:
        """x: (n, dim_in), types: (n,) int64 -> (n, dim_out)."""
        weights = [weight for weight in self.weights]
        return ops.irreps_linear(x, weights, self.scales, self.blocks, self.dim_out, False, types)


def use_fused_linear(module: nn.Module) -> None:
    """Replace the linear maps of a model, wherever they are."""
    for name, child in module.named_children():
        match child:
            case RadialConvolution():
                pass  # what its tables are made from
            case Linear():
                setattr(module, name, FusedLinear(child))
            case SpeciesLinear():
                setattr(module, name, FusedSpeciesLinear(child))
            case _:
                use_fused_linear(child)
