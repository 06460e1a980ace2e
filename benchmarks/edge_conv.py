"""Time of edge_conv against e3nn's TensorProduct, in one run: forward, backward, double backward.

python benchmarks/edge_conv.py [--atoms 256] [--neighbors 60] [--threads 1] [--dtype float32]
"""

import argparse
import time
from collections.abc import Callable

import torch
from e3nn import o3
from torch import Tensor

from e3md import ops
from e3md.bench import machine
from e3md.model.convolution import channelwise
from e3md.model.layout import harmonics_irreps

CASES = {  # name: features, l_max, irreps kept
    "NequIP 32 channels, l <= 1": ("32x0e+32x1o", 1, "0e+1o"),
    "NequIP 32 channels, l <= 2": ("32x0e+32x1o+32x2e", 2, "0e+1o+2e"),
    "MACE 64x0e, l_max 3": ("64x0e", 3, "0e+1o+2e+3o"),
}


def e3md_convolution(features: str, l_max: int, kept: str) -> Callable:
    """Its products by `edge_conv`."""
    table, _ = channelwise(features, harmonics_irreps(l_max), kept)
    tensors = table.tensors()

    def convolve(h: Tensor, y: Tensor, w: Tensor, edge_index: Tensor, n_local: int) -> Tensor:
        return ops.edge_conv(h, y, w, edge_index, *tensors, n_local, table.dim_out)

    return convolve


def e3nn_convolution(features: str, l_max: int, kept: str) -> tuple[Callable, int]:
    """The same products by e3nn: gather, TensorProduct, index_add. Returns it and its weights."""
    irreps_in, sh = o3.Irreps(features), o3.Irreps.spherical_harmonics(l_max)
    wanted = {ir for _, ir in o3.Irreps(kept)}
    out, instructions = [], []
    for n, (mul, ir_in) in enumerate(irreps_in):
        for k, (_, ir_sh) in enumerate(sh):
            for ir in ir_in * ir_sh:
                if ir in wanted:
                    instructions.append((n, k, len(out), "uvu", True))
                    out.append((mul, ir))
    product = o3.TensorProduct(
        irreps_in, sh, o3.Irreps(out), instructions, shared_weights=False, internal_weights=False
    )

    def convolve(h: Tensor, y: Tensor, w: Tensor, edge_index: Tensor, n_local: int) -> Tensor:
        messages = product(h[edge_index[1]], y, w)
        zeros = torch.zeros(n_local, messages.shape[1], dtype=h.dtype)
        return zeros.index_add(0, edge_index[0], messages)

    return convolve, product.weight_numel


def stages(convolve: Callable, inputs: list[Tensor], edges: Tensor, n: int) -> dict[str, Callable]:
    """What is timed. Each stage contains those before it."""

    def forward() -> Tensor:
        return convolve(*inputs, edges, n)

    def backward(create_graph: bool = False) -> tuple[Tensor, ...]:
        return torch.autograd.grad(forward().sum(), inputs, create_graph=create_graph)

    def double_backward() -> tuple[Tensor, ...]:
        return torch.autograd.grad(sum(g.pow(2).sum() for g in backward(True)), inputs)

    return {"forward": forward, "+ backward": backward, "+ double backward": double_backward}


def seconds(function: Callable) -> float:
    """Best of the repetitions that fit in about a second, after a warm-up."""
    for _ in range(2):
        function()
    times: list[float] = []
    while len(times) < 3 or sum(times) < 1.0:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=256)
    parser.add_argument("--neighbors", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_default_dtype(getattr(torch, options.dtype))
    print(
        f"{machine()}, {options.threads} thread(s), {options.dtype}, {options.atoms} atoms, "
        f"{options.neighbors} neighbors per atom"
    )
    n_edges = options.atoms * options.neighbors
    receiver = torch.arange(options.atoms).repeat_interleave(options.neighbors)
    edges = torch.stack([receiver, torch.randint(options.atoms, (n_edges,))])
    print(f"{'ns per edge':28s} {'':18s} {'e3md':>8s} {'e3nn':>8s} {'ratio':>6s}")
    for name, (features, l_max, kept) in CASES.items():
        ours = e3md_convolution(features, l_max, kept)
        theirs, n_weights = e3nn_convolution(features, l_max, kept)
        shapes = [
            (options.atoms, o3.Irreps(features).dim),
            (n_edges, (l_max + 1) ** 2),
            (n_edges, n_weights),
        ]
        inputs = [torch.randn(shape).requires_grad_() for shape in shapes]
        both = [stages(f, inputs, edges, options.atoms) for f in (ours, theirs)]
        for stage in both[0]:
            a, b = (seconds(s[stage]) / n_edges * 1e9 for s in both)
            print(f"{name:28s} {stage:18s} {a:8.0f} {b:8.0f} {b / a:6.1f}")


if __name__ == "__main__":
    main()
