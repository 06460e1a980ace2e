"""The compiled ops (cpp/ops): typed, scriptable calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

_LIBRARY = Path(__file__).resolve().parent / "lib" / "libe3md.so"


def _load_library() -> None:
    if not _LIBRARY.is_file():
        raise ImportError(_why_missing())
    try:
        torch.ops.load_library(str(_LIBRARY))
    except OSError as error:
        raise ImportError(
            f"{_LIBRARY} does not load with torch {torch.__version__}: {error}. "
            "Run `pip install .` again, it builds against the torch it pins."
        ) from error


def _why_missing() -> str:
    source = _LIBRARY.parents[3]
    if (source / "pyproject.toml").is_file():
        return (
            f"Python took e3md from its source folder, {_LIBRARY.parents[1]}, where nothing is "
            "compiled: start it in another folder, and without that one in PYTHONPATH. If e3md is "
            f"not installed yet: pip install {source}"
        )
    return f"the compiled ops of e3md are missing ({_LIBRARY}): run `pip install .` in its source"


_load_library()

from e3md._core import force_references  # noqa: E402  after libe3md


@contextmanager
def references(on: bool = True) -> Iterator[None]:
    """Inside, every op runs its reference in torch operations, as with E3MD_REFERENCE=1."""
    force_references(on)
    try:
        yield
    finally:
        force_references(False)


def edge_conv(
    h: Tensor,
    sh: Tensor,
    weights: Tensor,
    edge_index: Tensor,
    paths: Tensor,
    cg_index: Tensor,
    cg_value: Tensor,
    n_local: int,
    dim_out: int,
) -> Tensor:
    """Sum over neighbors of features times harmonics times radial weights, channel by channel.

    out[i, out_offset + m3·out_stride + c] = Σ_e Σ_cg value · weights[e, weight_offset + c]
        · h[j, in_offset + m1·in_stride + c] · sh[e, sh_offset + m2],  c < mul, e = (i, j)

    Differentiable to any order in h, sh and weights; the same whatever the number of threads.

    Args:
        h: (n_nodes, dim_in) float32 or float64, as sh and weights.
        sh: (n_edges, dim_sh) spherical harmonics.
        weights: (n_edges, n_weights).
        edge_index: (2, n_edges) int64: receiver i (non-decreasing, < n_local), neighbor j.
        paths: (n_paths, 9) int64: in_offset, in_stride, sh_offset, out_offset, out_stride,
            weight_offset, mul, cg_begin, cg_end.
        cg_index: (n_cg, 3) int64: m1, m2, m3.
        cg_value: (n_cg,) float64.
        n_local: number of receiving nodes.
        dim_out: columns of the result.

    Returns:
        (n_local, dim_out), dtype of h.

    Raises:
        RuntimeError: for unsorted edges, indices out of range, or mixed dtypes.
    """
    return torch.ops.e3md.edge_conv(
        h, sh, weights, edge_index, paths, cg_index, cg_value, n_local, dim_out
    )


def ghost_exchange(h: Tensor, n_nodes: int) -> Tensor:
    """Features of all nodes from those of the local ones: fills ghost atoms from their owners.

    Without a communicator lent by the host program this is the identity.

    Args:
        h: (n_local, width) float32 or float64.
        n_nodes: number of local atoms and ghosts.

    Returns:
        (n_nodes, width).

    Raises:
        RuntimeError: if there are ghosts but nobody to fill them.
    """
    return torch.ops.e3md.ghost_exchange(h, n_nodes)


def edge_conv_radial(
    h: Tensor,
    edge_vec: Tensor,
    types: Tensor,
    edge_index: Tensor,
    tables: list[Tensor],
    solid: bool,
    n_local: int,
    dim_out: int,
) -> Tensor:
    """`edge_conv` straight from edge vectors: harmonics and radial weights made on the way.

    Nothing of the size of the edges is written. First and second derivatives to h and edge_vec are
    fused as well; higher ones go through torch operations.

    Args:
        h: (n_nodes, dim_in) float32 or float64; dim_in = 0: features that are all ones.
        edge_vec: (n_edges, 3) Å, dtype of h; or (n, n_edges, 3), n times the same, to have the
            gradients by the remainder of the path's number by n; fused once.
        types: (n_nodes,) int64.
        edge_index: (2, n_edges) int64, as in `edge_conv`.
        tables: eight tensors, see `RadialTables` in cpp/ops/edge_conv_radial/op.h.
        solid: harmonics of the edge vector, not of its direction.
        n_local: number of receiving nodes.
        dim_out: columns of the result.

    Returns:
        (n_local, dim_out), dtype of h.

    Raises:
        RuntimeError: for unsorted edges, indices out of range, mixed dtypes, or tables not made.
    """
    return torch.ops.e3md.edge_conv_radial(
        h, edge_vec, types, edge_index, tables, solid, n_local, dim_out
    )


def symmetric_contraction(
    a: Tensor, types: Tensor, weights: list[Tensor], tables: list[Tensor], n_rows: int
) -> Tensor:
    """Sums of products of up to three components of A, channel by channel: MACE's product basis.

    Args:
        a: (n_atoms, n_components, n_channels) float32 or float64.
        types: (n_atoms,) int64.
        weights: (n_species, n_weights, n_channels) each, numbered one after the other along
            n_weights; dtype of a.
        tables: terms, entries and values, see `ProductTables` in cpp/ops/symmetric_contraction/op.h.
        n_rows: components of the result.

    Returns:
        (n_atoms, n_rows, n_channels).

    Raises:
        RuntimeError: for terms out of order, indices out of range, or mixed dtypes.
    """
    return torch.ops.e3md.symmetric_contraction(a, types, weights, tables, n_rows)


def irreps_linear(
    x: Tensor,
    weights: list[Tensor],
    scales: list[float],
    blocks: list[int],
    dim_out: int,
    transposed: bool = False,
    types: Tensor | None = None,
) -> Tensor:
    """One matrix per irrep, without copies: y[l, m, d] = s_l Σ_c x[l, m, c] W_l[c, d].

    Args:
        x: (n, dim_in) float32 or float64.
        weights: W_l (c_in, c_out), dtype of x; with types (n_species, c_in, c_out).
        scales: s_l.
        blocks: in_offset, 2l+1, out_offset of each W_l.
        dim_out: columns of the result; those no block fills are zero.
        transposed: from y back to x.
        types: (n,) int64, whose W_l each row is multiplied with.

    Returns:
        (n, dim_out). Differentiable to any order in x and the weights.
    """
    return torch.ops.e3md.irreps_linear(x, weights, scales, blocks, dim_out, transposed, types)


def activation_jets(x: Tensor, softplus: bool) -> Tensor:
    """An activation with two derivatives carried forward: f, f' and f'' of silu or softplus - ln 2.

    Args:
        x: (3, n, width) value, first and second derivative with respect to some scalar.

    Returns:
        As x. Differentiable once.
    """
    return torch.ops.e3md.activation_jets(x, softplus)
