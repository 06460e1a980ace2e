"""The compiled ops (cpp/ops): typed, scriptable calls and plain reference versions."""

from pathlib import Path

import torch
from torch import Tensor

_LIBRARY = Path(__file__).resolve().parent / "lib" / "libe3md.so"


def _load_library() -> None:
    if not _LIBRARY.is_file():
        raise ImportError(
            f"the compiled ops of e3md are missing ({_LIBRARY}): run `pip install .` in its source"
        )
    try:
        torch.ops.load_library(str(_LIBRARY))
    except OSError as error:
        raise ImportError(
            f"{_LIBRARY} does not load with torch {torch.__version__}: {error}. "
            "Run `pip install .` again, it builds against the torch it pins."
        ) from error


_load_library()


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


def edge_conv_reference(
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
    """`edge_conv` in plain torch, one Clebsch-Gordan entry at a time: slow, and easy to believe."""
    neighbor = h.index_select(0, edge_index[1])
    out = torch.zeros(n_local, dim_out, dtype=h.dtype, device=h.device)
    for row in paths.reshape(-1, 9).tolist():
        i0, i_stride, y0, o0, o_stride, w0, mul, begin, end = row
        w = weights[:, w0 : w0 + mul]
        for n in range(begin, end):
            m1, m2, m3 = cg_index[n].tolist()
            start = i0 + m1 * i_stride
            product = w * neighbor[:, start : start + mul] * sh[:, y0 + m2, None]
            message = float(cg_value[n]) * product
            columns = torch.arange(mul, device=h.device) + o0 + m3 * o_stride
            summed = torch.zeros(n_local, mul, dtype=h.dtype, device=h.device)
            out = out.index_add(1, columns, summed.index_add(0, edge_index[0], message))
    return out
