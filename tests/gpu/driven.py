"""Calls of a GPU's ops with the CUDA driver that the loader finds: python driven.py LIBRARY FOLDER.

Of FOLDER/call.pt to FOLDER/results.pt; libe3md alone, so that a process starts quickly.
"""

import sys
from pathlib import Path

import torch


def main(library: str, folder: Path) -> None:
    torch.ops.load_library(library)
    g, arguments, n_local, need_h = torch.load(folder / "call.pt")
    for _ in range(2):  # the second time by kernels that are there
        out = torch.ops.e3md_gpu.edge_conv_radial(*arguments, n_local, g.shape[1])
        grads = torch.ops.e3md_gpu.edge_conv_radial_grad(g, *arguments, need_h)
    torch.save((out, *grads), folder / "results.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
