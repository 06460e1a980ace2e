"""What moves which weights, and by how much."""

from pathlib import Path

import pytest
import torch

from conftest import random_statistics, small_config
from e3md.model import build_model
from e3md.train.checkpoint import LAST, load_checkpoint
from e3md.train.config import TrainingConfig
from e3md.train.optimizers import hidden_matrices, make_optimizer
from e3md.train.run import train
from fuzz.runs import same
from laws import SPECIES
from training_data import write_run

RATE = 0.02


def model_with_gradients(arch: str, **overrides: object):
    torch.manual_seed(0)
    model = build_model(small_config(arch, **overrides), random_statistics(SPECIES), torch.float32)
    for p in model.parameters():
        if p.requires_grad:
            p.grad = torch.randn_like(p) * 10.0 ** torch.randint(0, 4, ())
    return model


@pytest.mark.parametrize("arch", ["nequip", "mace", "schnet", "so3net"])
def test_muon_moves_matrices_as_far_as_the_rate_in_all_directions(arch: str) -> None:
    model = model_with_gradients(arch)
    matrices = {id(p): p for p in hidden_matrices(model)}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    make_optimizer(model, TrainingConfig(optimizer="muon", learning_rate=RATE)).step()
    for name, p in model.named_parameters():
        step = p.detach() - before[name]
        if id(p) in matrices:
            assert 0.6 * RATE < step.square().mean().sqrt() < 1.25 * RATE, name
            values = torch.linalg.svdvals(step)
            assert values.quantile(0.25) > 0.4 * values.max(), name  # all but the weakest
        elif p.requires_grad:  # the first step of Adam
            torch.testing.assert_close(step.abs(), torch.full_like(step, RATE), rtol=1e-2, atol=0)
        else:
            assert not step.any()


def test_neither_embeddings_readouts_nor_species_are_matrices() -> None:
    for arch in ("nequip", "mace", "schnet", "so3net"):
        model = model_with_gradients(arch)
        own = {id(p) for p in hidden_matrices(model)}
        names = [name for name, p in model.named_parameters() if id(p) in own]
        assert names
        assert not [n for n in names if "readout" in n or "embedding" in n or "species" in n]
        assert all(p.dim() == 2 for p in hidden_matrices(model))


def test_weights_decay_in_matrices_only() -> None:
    model = model_with_gradients("mace")
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    config = TrainingConfig(optimizer="muon", learning_rate=RATE, weight_decay=0.1)
    make_optimizer(model, config).step()
    own = {id(p) for p in hidden_matrices(model)}
    for name, p in model.named_parameters():
        factor = 1.0 - 0.1 * RATE if id(p) in own else 1.0
        torch.testing.assert_close(p.detach(), factor * before[name])


def test_a_resumed_run_has_the_weights_of_one_without_a_stop(tmp_path: Path) -> None:
    whole = train(write_run(tmp_path / "whole", max_epochs=4, optimizer="muon", schedule="plateau"))
    config = write_run(tmp_path / "parts", max_epochs=2, optimizer="muon", schedule="plateau")
    train(config)
    config.write_text(config.read_text().replace("max_epochs: 2", "max_epochs: 4"))
    parts = train(config, resume=True)
    one, other = (load_checkpoint(run / LAST)["state_dict"] for run in (whole, parts))
    assert same(one, other)
