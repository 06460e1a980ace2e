"""Linear maps between irreps: channels mix, the components m of an irrep do not."""

import math

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md.model.layout import Block, Layout


class LinearBlock(nn.Module):
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


class ZeroBlock(nn.Module):
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
            blocks.append(LinearBlock(found, block.channels) if found else ZeroBlock(block.dim))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, dim_in) -> (n, dim_out)."""
        return torch.cat([block(x) for block in self.blocks], dim=1)


class SpeciesLinear(nn.Module):
    """A Linear of its own for every species (e3nn's fully connected product with a one-hot).

    Atoms are sorted by species, so that each species present is one matrix product per irrep.
    """

    offsets: list[int]  # TorchScript cannot tell the type of an empty list
    n_m: list[int]
    dims: list[int]

    def __init__(self, n_species: int, irreps_in: Irreps | str, irreps_out: Irreps | str) -> None:
        super().__init__()
        source, target = Layout(irreps_in), Layout(irreps_out)
        self.n_species = n_species
        self.dim_in, self.dim_out = source.dim, target.dim
        pairs = [(source.find(block.irrep), block) for block in target.blocks]
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(n_species, found.channels, b.channels, dtype=torch.float64))
            for found, b in pairs
            if found
        )
        self.offsets = [found.offset if found else -1 for found, _ in pairs]
        self.n_m = [block.n_m for _, block in pairs]
        self.dims = [block.dim for _, block in pairs]

    def forward(self, x: Tensor, types: Tensor) -> Tensor:
        """x: (n, dim_in), types: (n,) int64 -> (n, dim_out)."""
        order = torch.argsort(types, stable=True)
        counts: list[int] = torch.bincount(types, minlength=self.n_species).tolist()
        x = x.index_select(0, order)
        rows: list[Tensor] = []
        begin = 0
        for species, n in enumerate(counts):
            if n > 0:
                rows.append(self._species_rows(x.narrow(0, begin, n), species))
                begin += n
        if len(rows) == 0:  # stays a function of x, whose gradient other ranks wait for
            rows.append(self._species_rows(x, 0))
        return torch.cat(rows).index_select(0, torch.argsort(order))

    def _species_rows(self, x: Tensor, species: int) -> Tensor:
        weights = [weight[species] / math.sqrt(weight.shape[1]) for weight in self.weights]
        blocks: list[Tensor] = []
        used = 0
        for offset, n_m, dim in zip(self.offsets, self.n_m, self.dims):  # noqa: B905
            if offset < 0:  # an output irrep that no input feeds
                blocks.append(x.new_zeros(x.shape[0], dim))
                continue
            weight = weights[used]
            used += 1
            block = x.narrow(1, offset, n_m * weight.shape[0]).reshape(-1, weight.shape[0])
            blocks.append((block @ weight).view(-1, dim))
        return torch.cat(blocks, dim=1)
