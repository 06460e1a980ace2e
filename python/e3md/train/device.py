"""Whether training can run on a GPU here."""

import torch

import e3md.ops  # noqa: F401 (registers the ops)


def missing_cuda() -> str:
    """What stands in the way of CUDA; empty if nothing does."""
    if not torch.cuda.is_available():
        return "torch finds no CUDA device here"
    if not torch._C._dispatch_has_kernel_for_dispatch_key("e3md::edge_conv", "CUDA"):
        return "this build of e3md has CPU kernels only"
    return ""
