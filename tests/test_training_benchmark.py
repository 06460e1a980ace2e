"""benchmarks/training: the gradients that move a peer's weights are the slopes of e3md's loss."""

import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from conftest import ROOT

sys.path.append(str(ROOT / "benchmarks" / "training"))

from cases import Setup
from ours import pull_back

from e3md.convert import Neutral
from test_convert import FIXTURES, read_fixture

H = 1e-4


def make_setup(folder: Path, neutral: Neutral) -> Setup:
    """Two molecules of the model's elements, with labels drawn at random."""
    rng, frames = np.random.default_rng(0), []
    for _ in range(2):
        atoms = Atoms("CHHOHC", np.array(np.nonzero(np.ones((1, 2, 3)))).T * 1.3)
        atoms.positions += rng.normal(scale=0.1, size=(6, 3))
        labels = {"energy": rng.normal(), "forces": rng.normal(size=(6, 3))}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    ase.io.write(folder / "frames.extxyz", frames)
    return Setup(
        str(folder / "frames.extxyz"), 2, 1, "", ("H", "C", "O"), (0.0,) * 3, 1.0, 0.0, 5.0,
        cutoff=neutral.hyperparameters["cutoff"],
    )  # fmt: skip


@pytest.mark.parametrize("exact", [True, False], ids=["model", "training form"])
@pytest.mark.parametrize("name", ["mace_small", "nequip_parity_l2"])
def test_gradients_are_slopes_of_the_loss_in_the_weights_of_the_peer(
    name: str, exact: bool, tmp_path: Path
) -> None:
    neutral, *_ = read_fixture(next(path for path in FIXTURES if path.stem == name))
    setup = make_setup(tmp_path, neutral)
    (batch,) = setup.batches(torch.float64)
    trained = {n: w.double() for n, w in neutral.weights.items() if "radial" in n or "linear" in n}
    assert len(trained) > 5
    generator = torch.Generator().manual_seed(0)
    direction = {
        n: torch.randn(w.shape, generator=generator, dtype=torch.float64)
        for n, w in trained.items()
    }

    def at(step: float) -> tuple[float, dict]:
        neutral.weights |= {
            n: (w + step * direction[n]).requires_grad_() for n, w in trained.items()
        }
        return pull_back(neutral, setup, batch, exact)

    _, gradients = at(0.0)
    assert set(gradients) == set(trained)
    slope = sum(float((g * direction[n]).sum()) for n, g in gradients.items())
    assert slope == pytest.approx((at(H)[0] - at(-H)[0]) / (2 * H), rel=1e-5)
