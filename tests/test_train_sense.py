"""Settings that make no sense are refused or named; sound ones give no line."""

from pathlib import Path

import ase.io
import pytest
import torch
import yaml

from e3md.data.dataset import Sample, build_samples
from e3md.data.read import DataKeys, read_frames
from e3md.train.config import Config, ConfigError, load_config
from e3md.train.run import train
from e3md.train.sense import check_sense
from training_data import labelled_frames, write_run


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Eight frames of 96 pairs or so: four steps an epoch."""
    path = tmp_path_factory.mktemp("sense") / "train.xyz"
    ase.io.write(path, labelled_frames(8), format="extxyz")
    frames = read_frames([path], DataKeys())
    return build_samples(frames, ("Ar", "Kr"), 5.0, torch.float64, None, "graphs")


def _config(data: dict | None = None, **training: object) -> Config:
    files = {"train": ["a.xyz"], **(data or {})}
    return Config.model_validate({"data": files, "training": training})


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"max_epochs": 25},
        {"schedule": "plateau", "patience": 3},
        {"batch_edges": 500},
        {"loss": {"function": "huber", "huber_delta": 0.3}},
        {"loss": {"stress": 10.0}},
        {"early_stopping": 50},
    ],
)
def test_sound_settings_give_no_line(training: dict, samples: list[Sample]) -> None:
    assert check_sense(_config(**training), samples) == []


@pytest.mark.parametrize(
    ("training", "data", "line"),
    [
        ({"schedule": "plateau", "warmup_steps": 5}, {}, "training.warmup_steps: 5 has no effect"),
        ({"patience": 5}, {}, "training.patience: 5 has no effect without schedule: plateau"),
        ({"batch_size": 5, "batch_edges": 500}, {}, "training.batch_size: 5 has no effect"),
        ({"loss": {"huber_delta": 0.3}}, {}, "training.loss.huber_delta: 0.3 has no effect"),
        ({}, {"valid": ["b.xyz"], "valid_fraction": 0.2}, "data.valid_fraction: 0.2 has no effect"),
        ({"early_stopping": 300}, {}, "training.early_stopping: 300 has no effect"),
        ({"batch_edges": 10}, {}, "every frame has more neighbor pairs"),
        ({"max_epochs": 24}, {}, "warmup_steps: 100, but the run has only 96 steps"),
    ],
)
def test_settings_without_effect_are_named(
    training: dict, data: dict, line: str, samples: list[Sample]
) -> None:
    (found,) = check_sense(_config(data, **training), samples)
    assert line in found


def test_a_stress_weight_needs_stress(samples: list[Sample]) -> None:
    bare = [s._replace(stress=torch.full_like(s.stress, float("nan"))) for s in samples]
    assert check_sense(_config(), bare) == []
    (line,) = check_sense(_config(loss={"stress": 10.0}), bare)
    assert "training.loss.stress: 10, but no training frame has stress" in line
    with pytest.raises(ConfigError, match="no training frame has stress: there is nothing to"):
        check_sense(_config(loss={"energy": 0, "forces": 0}), bare)
    assert check_sense(_config(loss={"energy": 0, "forces": 0}), [*bare[1:], samples[0]]) == []


def test_a_warmup_longer_than_the_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.warmup_steps: 7, .* only 6 steps \(2 epochs"):
        train(write_run(tmp_path, warmup_steps=7, max_epochs=2))


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"seed": -1}, r"training\.seed: .*from 0 to 4294967295, got -1"),
        ({"seed": 20261127101112}, r"training\.seed: .*from 0 to 4294967295"),
        ({"seed": 2**32 - 1, "members": 2}, r"training: .*seed \+ members - 1"),
        ({"loss": {"energy": 0, "forces": 0, "stress": 0}}, r"training\.loss: .*all 0"),
        ({"max_time": 0}, r"training\.max_time: .*greater than 0"),
    ],
)
def test_impossible_settings_name_their_key(tmp_path: Path, training: dict, message: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"data": {"train": ["a.xyz"]}, "training": training}))
    with pytest.raises(ConfigError, match=message):
        load_config(config)


def test_the_largest_seed_trains(tmp_path: Path) -> None:
    assert (train(write_run(tmp_path, seed=2**32 - 1, max_epochs=1)) / "best.ckpt").is_file()
