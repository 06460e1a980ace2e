"""Permutation-symmetric equivariant tensors U: the couplings of MACE's product basis."""

import math
from functools import lru_cache
from itertools import permutations

import torch
from e3nn import o3
from e3nn.o3 import Irrep
from torch import Tensor


@lru_cache(maxsize=64)
def coupling_tensors(irreps: tuple[Irrep, ...], order: int) -> dict[Irrep, Tensor]:
    """All symmetric equivariant tensors of one order over a sum of irreps.

    Args:
        irreps: irreps of A, each once; their components together are `dim` numbers.
        order: number of factors ν.

    Returns:
        For each irrep L that ν factors of A can make, U of shape (n_couplings, 2L+1, dim, ..., dim)
        (ν times dim), float64: independent, orthogonal, symmetric in the last ν axes, scaled to
        ‖U_η‖² = (2L+1)/ν!, which gives B unit variance for A of independent unit normals. They are
        kept for the next call, and not to be changed.
    """
    coupled = _coupled(irreps, order)
    result = {}
    for irrep, tensors in coupled.items():
        basis = _independent([_symmetrized(t) for t in tensors])
        if basis:
            scale = math.sqrt(irrep.dim / math.factorial(order))
            result[irrep] = torch.stack(basis) * scale
    return result


def _coupled(irreps: tuple[Irrep, ...], order: int) -> dict[Irrep, list[Tensor]]:
    """Every coupling tree ((l1 l2) l3)... -> L, as (2L+1, dim, ..., dim), not yet symmetric."""
    dim = sum(irrep.dim for irrep in irreps)
    rows = torch.eye(dim, dtype=torch.float64).split([irrep.dim for irrep in irreps])
    if order == 1:
        return {irrep: [row] for irrep, row in zip(irreps, rows, strict=True)}
    result: dict[Irrep, list[Tensor]] = {}
    for left, tensors in _coupled(irreps, order - 1).items():
        for right, row in zip(irreps, rows, strict=True):
            for irrep in left * right:
                w = o3.wigner_3j(left.l, right.l, irrep.l, dtype=torch.float64)
                for tensor in tensors:
                    coupled = torch.einsum("abM,a...,bk->M...k", w, tensor, row)
                    result.setdefault(irrep, []).append(coupled)
    return result


def _symmetrized(tensor: Tensor) -> Tensor:
    orders = list(permutations(range(1, tensor.ndim)))
    return torch.stack([tensor.permute(0, *p) for p in orders]).mean(0)


def _independent(tensors: list[Tensor]) -> list[Tensor]:
    """Gram-Schmidt in the order given, dropping tensors that add nothing."""
    basis: list[Tensor] = []
    for tensor in tensors:
        for _ in range(2):  # twice is enough (Kahan)
            for other in basis:
                tensor = tensor - (tensor * other).sum() * other
        norm = tensor.norm()
        if norm > 1e-6:
            basis.append(tensor / norm)
    return basis
