"""MACE's product basis: equivariant polynomials of one atom's features, channel by channel.

B_i[LM, c] = Σ_ν Σ_η W^ν_{z_i, η c} Σ_{m1..mν} U^{LM}_{η, m1..mν} Π_k A_i[m_k, c]
(Batatia et al., arXiv:2206.07697, eq. 10)
"""

import math
from itertools import combinations_with_replacement, permutations

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md.model.couplings import coupling_tensors
from e3md.model.layout import Layout


class SymmetricContraction(nn.Module):
    """Products of up to `correlation` features, contracted to each output irrep.

    Equal products that several couplings use are formed once, as monomials.
    """

    def __init__(
        self, irreps_in: Irreps | str, irreps_out: Irreps | str, correlation: int, n_species: int
    ) -> None:
        super().__init__()
        source, target = Layout(irreps_in), Layout(irreps_out)
        channels = {b.channels for b in (*source.blocks, *target.blocks)}
        if len(channels) != 1:
            raise ValueError(
                f"the product basis needs equal channels, got {source.irreps} -> {target.irreps}"
            )
        self.channels = channels.pop()
        self.dim_lm = source.dim // self.channels
        self.dim_out = target.dim
        orders = [
            coupling_tensors([b.irrep for b in source.blocks], order)
            for order in range(1, correlation + 1)
        ]
        for block in target.blocks:
            if not any(block.irrep in couplings for couplings in orders):
                raise ValueError(
                    f"no product of up to {correlation} features in {source.irreps} "
                    f"transforms as {block.irrep}: leave it out of hidden_irreps"
                )
        self.orders = nn.ModuleList(
            Order([c.get(b.irrep) for b in target.blocks], target, n_species)
            for c in orders
            if any(b.irrep in c for b in target.blocks)
        )

    def forward(self, a: Tensor, types: Tensor) -> Tensor:
        """a: (n, dim_in), types: (n,) int64 -> (n, dim_out)."""
        a = a.view(a.shape[0], self.dim_lm, self.channels)
        out = a.new_zeros(a.shape[0], self.dim_out)
        for order in self.orders:
            out = out + order(a, types)
        return out


class Order(nn.Module):
    """All outputs of products of ν factors.

    `couplings` maps the monomials of A to one row per (output irrep, η, M); `expand` repeats each
    weight over M and `gather` sums over η.
    """

    factors: Tensor
    couplings: Tensor
    weight_rows: Tensor
    gather: Tensor

    def __init__(self, tensors: list[Tensor | None], target: Layout, n_species: int) -> None:
        super().__init__()
        present = [(t, b) for t, b in zip(tensors, target.blocks, strict=True) if t is not None]
        order = present[0][0].ndim - 2
        flat = torch.cat([t.flatten(0, 1) for t, _ in present])
        factors, couplings = _monomials(flat, order)
        self.register_buffer("factors", factors)
        self.register_buffer("couplings", couplings)

        n_out = sum(b.n_m for b in target.blocks)
        self.channels = target.blocks[0].channels
        self.outputs = [n for n, t in enumerate(tensors) if t is not None]
        self.shapes = [(t.shape[0], b.n_m) for t, b in present]  # (n_η, 2L+1) of each output
        weight_rows, out_rows, n_weights = [], [], 0
        first_row = {b.irrep: b.offset // b.channels for b in target.blocks}
        for tensor, block in present:
            for eta in range(tensor.shape[0]):
                weight_rows += [n_weights + eta] * block.n_m
                out_rows += [first_row[block.irrep] + m for m in range(block.n_m)]
            n_weights += tensor.shape[0]
        self.register_buffer("weight_rows", torch.tensor(weight_rows))
        gather = torch.zeros(n_out, len(out_rows), dtype=torch.float64)
        gather[out_rows, range(len(out_rows))] = 1.0
        self.register_buffer("gather", gather)
        spread = torch.cat(
            [torch.full((t.shape[0],), 1 / math.sqrt(t.shape[0])) for t, _ in present]
        ).double()
        shape = (n_species, n_weights, self.channels)
        self.weight = nn.Parameter(torch.randn(shape, dtype=torch.float64) * spread[:, None])

    def forward(self, a: Tensor, types: Tensor) -> Tensor:
        """a: (n, dim_lm, channels), types: (n,) -> (n, dim_out)."""
        product = a.index_select(1, self.factors[0])
        for k in range(1, self.factors.shape[0]):
            product = product * a.index_select(1, self.factors[k])
        coupled = torch.matmul(self.couplings.to(a.dtype), product)  # (n, rows, channels)
        weights = self.weight.index_select(1, self.weight_rows).index_select(0, types)
        return torch.matmul(self.gather, coupled * weights).flatten(1)


def _monomials(flat: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Rewrite symmetric tensors (rows, dim, ..., dim) over the monomials they use.

    Returns:
        factors (order, n_monomials) int64: the components of A that each monomial multiplies;
        couplings (rows, n_monomials): coefficient of each monomial.
    """
    factors, columns = [], []
    by_component = flat.movedim(0, -1)
    for index in combinations_with_replacement(range(flat.shape[1]), order):
        column = torch.stack([by_component[p] for p in set(permutations(index))]).sum(0)
        if column.abs().max() > 1e-10:
            factors.append(index)
            columns.append(column)
    return torch.tensor(factors).T.contiguous(), torch.stack(columns, dim=1)
