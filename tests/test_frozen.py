"""Numbers of every kind of model, as the code gave them before its blocks called the ops themselves.

PYTHONPATH=tests python -m test_frozen    # writes data/frozen.npz; only where numbers have to change
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from conftest import random_structure
from e3md.derivatives import predict
from e3md.model import ModelConfig
from laws import CONFIGS, build, learning, to_graph

FROZEN = Path(__file__).parent / "data" / "frozen.npz"
Figures = dict[str, NDArray[np.float64]]


def figures(config: ModelConfig) -> Figures:
    """Energies, forces, their change along a direction, and sums over the gradients of a loss."""
    graph = to_graph(random_structure(12, seed=3), config)
    model = build(config)
    fast = learning(model, config)
    learned = [p for p in fast.parameters() if p.requires_grad]
    prediction = predict(fast, graph, create_graph=True)
    loss = prediction.forces.square().mean() + prediction.energy.square().mean()
    slopes = torch.autograd.grad(loss, learned, allow_unused=True)
    sums = [(g.sum(), g.square().sum()) for g in slopes if g is not None]

    model.requires_grad_(False)
    edge_vec = graph.edge_vec.clone().requires_grad_()
    energies = model(graph.types, graph.edge_index, edge_vec, graph.n_atoms)
    (slope,) = torch.autograd.grad(energies.sum(), edge_vec, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sin().sum(), edge_vec)
    atoms = torch.zeros(3, graph.n_atoms, 3, dtype=torch.float64)
    receiver = graph.edge_index[0]
    return {
        "energies": energies.detach().numpy(),
        "slopes": atoms[0].index_add(0, receiver, slope.detach()).numpy(),
        "bends": atoms[1].index_add(0, receiver, bend).numpy(),
        "trained forces": prediction.forces.detach().numpy(),
        "gradients": np.array([[float(a), float(b)] for a, b in sums]),
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_numbers_stay(name: str) -> None:
    with np.load(FROZEN) as frozen:
        expected = {key: frozen[f"{name} {key}"] for key in figures_kept(name, frozen.files)}
    found = figures(CONFIGS[name])
    assert found.keys() == expected.keys()
    for key, values in found.items():
        scale = np.abs(expected[key]).max()
        tight = 1e-9 if key in ("bends", "gradients") else 1e-11
        np.testing.assert_allclose(values, expected[key], rtol=0, atol=tight * scale, err_msg=key)


def figures_kept(name: str, files: list[str]) -> list[str]:
    return [file.removeprefix(f"{name} ") for file in files if file.startswith(f"{name} ")]


if __name__ == "__main__":
    np.savez_compressed(
        FROZEN,
        **{f"{n} {key}": v for n, c in CONFIGS.items() for key, v in figures(c).items()},
    )
