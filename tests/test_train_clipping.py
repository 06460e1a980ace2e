"""The limit of the gradient's norm follows the gradients."""

import pytest
import torch

from conftest import random_statistics, small_config
from e3md.model import build_model
from e3md.model.architecture import Reach
from e3md.train.config import TrainingConfig
from e3md.train.module import NORM_MEMORY, PotentialTraining


@pytest.fixture
def module() -> PotentialTraining:
    model = build_model(small_config("schnet"), random_statistics(("Si",)), torch.float32)
    found = PotentialTraining(model, TrainingConfig(gradient_clip=4.0), 1.0, 1, Reach(1.0, 5.0))
    found.learned = tuple(model.parameters())
    return found


def clipped(module: PotentialTraining, norm: float) -> float:
    """Norm that is left of a random gradient of a given norm."""
    draws = [torch.randn_like(p) for p in module.learned]
    whole = torch.nn.utils.get_total_norm(draws)
    for p, draw in zip(module.learned, draws, strict=True):
        p.grad = draw * (norm / whole)
    module.configure_gradient_clipping()
    return torch.nn.utils.get_total_norm([p.grad for p in module.learned]).item()


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e3])
def test_an_outlier_is_cut_to_the_scale_of_its_time(module: PotentialTraining, size: float) -> None:
    for _ in range(3):
        assert clipped(module, size) == pytest.approx(size, rel=1e-5)
    assert clipped(module, 1e4 * size) == pytest.approx(4.0 * size, rel=1e-5)
    assert module.usual_norm.item() == pytest.approx(size * (1 + 3.0 / NORM_MEMORY), rel=1e-5)


def test_gradients_that_grow_for_good_are_followed(module: PotentialTraining) -> None:
    clipped(module, 1.0)
    found = [clipped(module, 50.0) for _ in range(3 * NORM_MEMORY)]
    assert found[0] == pytest.approx(4.0, rel=1e-5)
    assert found[-1] == pytest.approx(50.0, rel=1e-5)


def test_the_scale_is_in_the_checkpoint(module: PotentialTraining) -> None:
    clipped(module, 2.0)
    assert module.state_dict()["usual_norm"].item() == pytest.approx(2.0, rel=1e-5)
