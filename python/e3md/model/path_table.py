"""Which products of features and harmonics a convolution sums: the description its ops take."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

GROUP = 16  # columns of a radial table that lie together, as kTableGroup in cpp/ops


class Term(NamedTuple):
    """A coefficient C^{m_out}_{m_in, m_sh}."""

    m_in: int
    m_sh: int
    m_out: int
    value: float


class Path(NamedTuple):
    """out[out_offset + m_out·out_stride + c] += value · weights[weight_offset + c]
    · h[in_offset + m_in·in_stride + c] · sh[sh_offset + m_sh] for every term and c < mul."""

    in_offset: int
    in_stride: int
    sh_offset: int
    out_offset: int
    out_stride: int
    weight_offset: int
    mul: int
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class PathTable:
    """All paths of a convolution."""

    paths: tuple[Path, ...]
    dim_in: int
    n_weights: int  # of an edge
    dim_out: int

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """As the ops take them: paths, cg_index and cg_value of `ops.edge_conv`."""
        begin: dict[tuple[Term, ...], int] = {}
        terms: list[Term] = []
        rows = []
        for path in self.paths:
            if path.terms not in begin:
                begin[path.terms] = len(terms)
                terms += path.terms
            first = begin[path.terms]
            rows.append([*path[:-1], first, first + len(path.terms)])
        index = torch.tensor([term[:3] for term in terms])
        values = torch.tensor([term.value for term in terms], dtype=torch.float64)
        return torch.tensor(rows), index, values

    def padded(self) -> tuple["PathTable", list[int]]:
        """With the weights in groups of 16, as radial tables hold them.

        Returns:
            The same paths, and which weight each column of the table is, n_weights for none.
        """
        columns: list[int] = []
        place: dict[int, int] = {}
        paths = []
        for path in self.paths:
            first = path.weight_offset
            if first not in place:
                place[first] = len(columns)
                columns += [
                    *range(first, first + path.mul),
                    *[self.n_weights] * (-path.mul % GROUP),
                ]
            paths.append(path._replace(weight_offset=place[first]))
        return PathTable(tuple(paths), self.dim_in, len(columns), self.dim_out), columns

    def side_by_side(self, n: int) -> "PathTable":
        """For the columns of n models, one after the other; their equal paths follow one another."""
        paths = [
            path._replace(
                in_offset=path.in_offset + k * self.dim_in,
                out_offset=path.out_offset + k * self.dim_out,
                weight_offset=path.weight_offset + k * self.n_weights,
            )
            for path in self.paths
            for k in range(n)
        ]
        return PathTable(tuple(paths), n * self.dim_in, n * self.n_weights, n * self.dim_out)


def terms_of(tensor: Tensor) -> tuple[Term, ...]:
    """Of the coefficients of a product, (2 l_in+1, 2 l_sh+1, 2 l_out+1) float64."""
    index = torch.nonzero(tensor.abs() > 1e-12)
    return tuple(Term(a, b, c, float(tensor[a, b, c])) for a, b, c in index.tolist())


def padded_width(n: int) -> int:
    """n columns in whole groups."""
    return -(-n // GROUP) * GROUP
