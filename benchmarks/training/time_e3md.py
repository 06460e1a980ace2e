"""time_e3md.py SETUP DTYPE BATCHES REPEATS: the training step of e3md, one line of JSON."""

import json
import sys
from pathlib import Path

import torch
from cases import Setup
from curves import INITIAL
from ours import backward, convert, learn
from steps import adam, seconds_per_step

from e3md.convert.neutral import Neutral
from e3md.data.dataset import Sample
from e3md.model.build import set_dtype


def measure(path: Path, dtype: torch.dtype, n_batches: int, repeats: int) -> dict[str, float]:
    """Seconds and edges of a step, and weights."""
    setup = Setup.read(path)
    batches = setup.batches(dtype, n_batches)
    model = convert(Neutral.read(path.parent / INITIAL)).model
    set_dtype(model, dtype)
    learn(model, setup, batches)
    optimizer = adam(model)

    def step(batch: Sample) -> None:
        optimizer.zero_grad()
        backward(model, batch, setup.scale)
        optimizer.step()

    edges = sum(b.graph.edge_index.shape[1] for b in batches) / len(batches)
    return {"seconds": seconds_per_step(step, batches, repeats), "edges": edges}


if __name__ == "__main__":
    torch.set_num_threads(1)
    path, dtype, n_batches, repeats = sys.argv[1:]
    print(json.dumps(measure(Path(path), getattr(torch, dtype), int(n_batches), int(repeats))))
