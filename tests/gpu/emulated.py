"""The text of GPU kernels on the host: compiled by the C++ compiler, a fiber for each thread."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks" / "gpu"))

from radial import THREADS, Case, Graph, Launcher, Results, Text  # noqa: E402

COMPILER = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
# not unique: libraries of other tests have kernels of the same names
OPTIONS = [str(COMPILER), "-std=c++20", "-O1", "-fPIC", "-shared", "-fno-gnu-unique"]


def random_graph(n_types: int = 2, seed: int = 0) -> Graph:
    """Six receivers, three ghosts, and numbers of neighbors around those of a stage."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.tensor([5, 0, 17, 33, 1, 16])
    receiver = torch.repeat_interleave(torch.arange(6), counts)
    n_edges = len(receiver)
    sender = torch.randint(9, (n_edges,), generator=generator)
    vec = torch.randn(n_edges, 3, dtype=torch.float64, generator=generator)
    r = torch.linspace(0.02, 6.3, n_edges, dtype=torch.float64)  # beyond the table at either end
    r = r[torch.randperm(n_edges, generator=generator)]
    types = torch.randint(n_types, (9,), generator=generator)
    vec = vec / vec.norm(dim=1, keepdim=True) * r[:, None]
    return Graph(types, torch.stack([receiver, sender]), vec, 6)


def compiled(text: Text, folder: Path) -> ctypes.CDLL:
    source = folder / "kernels.cpp"
    source.write_text(f'#include "{HERE}/emulation.h"\n{text.source}\n#include "{HERE}/launch.h"\n')
    library = folder / "kernels.so"
    subprocess.run([*OPTIONS, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def emulate(case: Case, text: Text, folder: Path, seed: int = 0) -> Results | None:
    """Results; None where a kernel stopped."""
    library = compiled(text, folder)
    library.launch.restype = ctypes.c_bool
    launcher = Launcher(case, text)
    went = []

    def call(name: str, problem: Any, n_x: int, n_y: int) -> None:
        went.append(
            library.launch(getattr(library, name), ctypes.byref(problem), n_x, n_y, THREADS, seed)
        )

    launcher.run("forward", call)
    launcher.run("backward", call)
    return launcher.results if all(went) else None
