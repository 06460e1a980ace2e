"""Calls of a GPU's ops with the CUDA driver that the loader finds: python driven.py LIBRARY FOLDER.

Of FOLDER/calls.pt, names and arguments, to FOLDER/results.pt; libe3md alone, so that a process starts
quickly.
"""

import sys
from pathlib import Path

import torch


def main(library: str, folder: Path) -> None:
    torch.ops.load_library(library)
    calls = torch.load(folder / "calls.pt")
    for _ in range(2):  # the second time by kernels that are there
        results = [getattr(torch.ops.e3md_gpu, name)(*arguments) for name, arguments in calls]
    torch.save(results, folder / "results.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
