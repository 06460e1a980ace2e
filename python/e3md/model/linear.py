"""Linear maps between irreps: channels mix, the components m of an irrep do not."""

import math

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md.model.layout import Block, Layout


class _LinearBlock(nn.Module):
    """One irrep: (n, offset : offset + (2l+1)·c_in) -> (n, (2l+1)·c_out)."""

    def __init__(self, source: Block, c_out: int) -> None:
        super().__init__()
        self.offset = source.offset
        self.n_m = source.n_m
        self.c_in = source.channels
        self.dim_out = source.n_m * c_out
        self.scale = 1.0 / math.sqrt(source.channels)
        self.weight = nn.Parameter(torch.randn(source.channels, c_out, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.narrow(1, self.offset, self.n_m * self.c_in).reshape(-1, self.c_in)
        return (rows @ (self.weight * self.scale)).view(x.shape[0], self.dim_out)


class _ZeroBlock(nn.Module):
    """An output irrep that no input feeds."""

    def __init__(self, dim_out: int) -> None:
        super().__init__()
        self.dim_out = dim_out

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], self.dim_out)


class Linear(nn.Module):
    """y[l, m, d] = Σ_c x[l, m, c] W_l[c, d] / sqrt(n_c), one W per irrep."""

    def __init__(self, irreps_in: Irreps | str, irreps_out: Irreps | str) -> None:
        super().__init__()
        source, target = Layout(irreps_in), Layout(irreps_out)
        self.dim_in, self.dim_out = source.dim, target.dim
        blocks: list[nn.Module] = []
        for block in target.blocks:
            found = source.find(block.irrep)
            blocks.append(_LinearBlock(found, block.channels) if found else _ZeroBlock(block.dim))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, dim_in) -> (n, dim_out)."""
        return torch.cat([block(x) for block in self.blocks], dim=1)


class SpeciesLinear(nn.Module):
    """A Linear of its own for every species (e3nn's fully connected product with a one-hot)."""

    def __init__(self, n_species: int, irreps_in: Irreps | str, irreps_out: Irreps | str) -> None:
        super().__init__()
        self.linears = nn.ModuleList(Linear(irreps_in, irreps_out) for _ in range(n_species))
        self.dim_out = Layout(irreps_out).dim

    def forward(self, x: Tensor, types: Tensor) -> Tensor:
        """x: (n, dim_in), types: (n,) int64 -> (n, dim_out)."""
        out = x.new_zeros(x.shape[0], self.dim_out)
        for species, linear in enumerate(self.linears):
            rows = torch.nonzero(types == species).squeeze(1)
            out = out.index_add(0, rows, linear(x.index_select(0, rows)))
        return out
