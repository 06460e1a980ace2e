"""Linear maps as matrix products straight between rows of features."""

from torch import Tensor, nn

from e3md import ops
from e3md.model.linear import Linear, LinearBlock, ZeroBlock


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
        self.dim_out = offset

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, dim_in) -> (n, dim_out)."""
        weights = [weight for weight in self.weights]
        return ops.irreps_linear(x, weights, self.scales, self.blocks, self.dim_out)
