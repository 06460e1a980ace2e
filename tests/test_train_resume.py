"""A resumed run honors and records what may change, and refuses by name what may not."""

import json
import shlex
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml

from e3md.export import export_run
from e3md.train.checkpoint import LAST, RECORD, load_record
from e3md.train.committee import FINISHED
from e3md.train.config import Config, ConfigError, DataConfig, TrainingConfig
from e3md.train.history import write_metrics
from e3md.train.report import read_metrics
from e3md.train.run import METRICS, train
from e3md.train.settings import LIMITS, MACHINE, SIZES, Settings, compare_settings, refused
from training_data import labelled_frames, write_run

# another value for every key that decides on the weights
OTHER = {
    "batch_size": 3, "batch_edges": 500, "optimizer": "adamw", "amsgrad": True,
    "learning_rate": 0.02, "weight_decay": 0.1, "schedule": "plateau", "patience": 3,
    "warmup_steps": 1, "ema_decay": 0.5, "gradient_clip": 1.0, "seed": 7, "dtype": "float64",
    "loss": {"forces": 9.0},
}  # fmt: skip


def _change(config: Path, **training: object) -> Path:
    settings = yaml.safe_load(config.read_text())
    settings["training"] |= training
    config.write_text(yaml.safe_dump(settings))
    return config


def _change_data(config: Path, **data: object) -> Path:
    settings = yaml.safe_load(config.read_text())
    settings["data"] |= data
    config.write_text(yaml.safe_dump(settings))
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a run of two epochs."""
    config = write_run(tmp_path_factory.mktemp("resume"), max_epochs=2, threads=1)
    train(config)
    return config


@pytest.fixture
def config(finished: Path, tmp_path: Path) -> Path:
    """The same in a folder of its own."""
    folder = tmp_path / "moved"
    folder.mkdir()
    for path in finished.parent.rglob("*"):
        target = folder / path.relative_to(finished.parent)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder / "config.yaml"


def test_every_key_is_free_or_tried() -> None:
    tried = {*OTHER, *LIMITS, *MACHINE, *SIZES, "members"}
    assert tried == set(TrainingConfig.model_fields)


@pytest.mark.parametrize("key", OTHER)
def test_what_decides_on_the_weights_is_refused_by_name(config: Path, key: str) -> None:
    before = (config.parent / "run" / RECORD).read_bytes()
    with pytest.raises(ConfigError, match="cannot be resumed with these settings") as raised:
        train(_change(config, **{key: OTHER[key]}), resume=True)
    name = {"loss": "training.loss.forces: 9.0, was 1.0"}.get(key, key)
    assert name in str(raised.value)
    assert (config.parent / "run" / RECORD).read_bytes() == before


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"valid_fraction": 0.4}, r"data\.valid_fraction: 0\.4, was 0\.25"),
        ({"valid": ["test.xyz"], "test": []}, r"data\.valid: other contents"),
        ({"keys": {"energy": "energy"}}, r"data\.keys\.energy: energy, was none"),
        ({"e0s": {"Ar": 1.0, "Kr": 2.0}}, r"data\.e0s\.Ar: 1\.0, was none"),
        ({"train": ["train.xyz", "more.xyz"]}, r"data\.train: other contents"),
    ],
)
def test_other_data_are_refused(config: Path, data: dict, message: str) -> None:
    ase.io.write(config.parent / "more.xyz", labelled_frames(2, seed=4), format="extxyz")
    with pytest.raises(ConfigError, match=message):
        train(_change_data(config, **data), resume=True)


def test_several_changes_are_listed_together(config: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        train(_change(config, learning_rate=1e-4, optimizer="adamw"), resume=True)
    for line in ("training.learning_rate: 0.0001, was 0.01", "training.optimizer: adamw, was adam"):
        assert line in str(raised.value)


def test_what_the_refusal_says_to_do_works(config: Path) -> None:
    """Export, then init_from with another run_dir."""
    with pytest.raises(ConfigError) as raised:
        train(_change(config, learning_rate=1e-4), resume=True)
    command = next(part for part in str(raised.value).split("`") if part.startswith("e3md export"))
    _, _, run, _, start = shlex.split(command)
    export_run(run, start)
    settings = yaml.safe_load(config.read_text())
    del settings["model"]
    config.write_text(yaml.safe_dump({**settings, "init_from": start, "run_dir": "next"}))
    assert (train(config) / "report" / "report.md").is_file()


def test_more_epochs_are_honored_and_recorded(config: Path, capsys) -> None:
    run = train(_change(config, max_epochs=4), resume=True)
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "after epoch 2: training.max_epochs 2 -> 4; the learning rate now falls to zero at" in said
    )
    curve = read_metrics(run / METRICS)
    assert len(curve["epoch"]) == 4
    assert curve["learning_rate"][1] == 0 < curve["learning_rate"][2]
    record = load_record(run)
    assert [str(change) for change in record.changes] == [
        "after epoch 2: training.max_epochs 2 -> 4"
    ]
    assert record.settings is not None
    assert record.settings.training.max_epochs == 4
    for name in ("report.md", "config.yaml"):
        text = (run / "report" / name).read_text()
        assert "after epoch 2: training.max_epochs 2 -> 4" in text
    assert (
        yaml.safe_load((run / "report" / "config.yaml").read_text())["training"]["max_epochs"] == 4
    )


def test_changes_add_up(config: Path) -> None:
    train(_change(config, max_epochs=3, threads=None), resume=True)
    run = train(_change(config, max_epochs=4), resume=True)
    assert [(c.epochs, c.key) for c in load_record(run).changes] == [
        (2, "training.max_epochs"), (2, "training.threads"), (3, "training.max_epochs"),
    ]  # fmt: skip


def test_fewer_epochs_than_are_finished(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.max_epochs: 1, but 2 epochs are finished"):
        train(_change(config, max_epochs=1), resume=True)


def test_another_test_set_is_reported_on(config: Path) -> None:
    ase.io.write(config.parent / "more.xyz", labelled_frames(2, seed=4), format="extxyz")
    run = train(_change_data(config, test=["more.xyz"]), resume=True)
    errors = json.loads((run / "report" / "errors.json").read_text())
    assert errors["test"]["n_frames"] == 2
    assert "data.test has other files" in (run / "report" / "report.md").read_text()
    run = train(_change_data(config, test=[]), resume=True)
    assert load_record(run).training.test_errors == {}


def test_early_stopping_has_the_patience_of_now(tmp_path: Path) -> None:
    """Lightning takes it from the checkpoint."""
    wild = {"learning_rate": 0.3, "warmup_steps": 0, "gradient_clip": 1e3, "schedule": "plateau"}
    config = write_run(tmp_path, max_epochs=2, early_stopping=50, **wild)
    train(config)
    run = train(_change(config, max_epochs=60, early_stopping=1), resume=True)
    assert len(read_metrics(run / METRICS)["epoch"]) < 40


def test_moved_files_of_the_same_contents_are_the_same_data(config: Path) -> None:
    (config.parent / "train.xyz").rename(config.parent / "renamed.xyz")
    run = train(_change_data(config, train=["renamed.xyz"]), resume=True)
    assert load_record(run).changes == []


def _forget(run: Path, *, finished: bool) -> None:
    """As e3md 0.1.0 left a run."""
    record = json.loads((run / RECORD).read_text())
    del record["settings"], record["changes"]
    (run / RECORD).write_text(json.dumps(record))
    if not finished:
        (run / FINISHED).unlink()


@pytest.mark.parametrize("finished_run", [True, False])
def test_a_run_without_recorded_settings_goes_on(config: Path, finished_run: bool, capsys) -> None:
    _forget(config.parent / "run", finished=finished_run)
    run = train(_change(config, max_epochs=3), resume=True)
    assert "are taken to be unchanged" in capsys.readouterr().out
    assert len(read_metrics(run / METRICS)["epoch"]) == 3
    assert load_record(run).settings is not None


@pytest.mark.parametrize("key", ["learning_rate", "optimizer", "weight_decay", "schedule"])
@pytest.mark.parametrize("finished_run", [True, False])
def test_what_such_a_run_tells_is_compared(config: Path, finished_run: bool, key: str) -> None:
    _forget(config.parent / "run", finished=finished_run)
    with pytest.raises(ConfigError, match=rf"training\.{key}: "):
        train(_change(config, **{key: OTHER[key]}), resume=True)


def test_the_training_set_must_be_read_as_before(config: Path) -> None:
    record = config.parent / "run" / RECORD
    values = json.loads(record.read_text())
    values["statistics"]["scale"] *= 1.01
    record.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="RMS force"):
        train(config, resume=True)


def test_e0s_stay_those_of_the_beginning(config: Path) -> None:
    """Least squares rounds otherwise on other machines."""
    record = config.parent / "run" / RECORD
    values = json.loads(record.read_text())
    values["statistics"]["e0s"][0] += 1e-9
    record.write_text(json.dumps(values))
    run = train(_change(config, max_epochs=3), resume=True)
    assert load_record(run).statistics.e0s[0] == values["statistics"]["e0s"][0]


def _settings(**training: object) -> Settings:
    return Settings(
        data=DataConfig(train=[Path("a.xyz")]),
        training=TrainingConfig(**training),
        sha256={name: [] for name in ("train", "valid", "test", "init_from")},
    )


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ({"batch_size": 4}, {"batch_size": 2, "devices": 2}, True),
        ({"batch_size": 4}, {"batch_size": 4, "devices": 2}, False),
        ({"batch_edges": 800}, {"batch_edges": 400, "num_nodes": 2}, True),
        ({"batch_edges": 800}, {"batch_edges": 400}, False),
        ({"batch_size": 2}, {"batch_edges": 400}, False),
    ],
)
def test_the_frames_of_a_step_stay(before: dict, after: dict, allowed: bool) -> None:
    old, new = _settings(**before), _settings(**after)
    lines = refused(compare_settings(old, new, 1), old.training, new.training)
    assert lines == [] if allowed else "frames of a step" in lines[0]


def test_a_committee_may_only_grow(tmp_path: Path) -> None:
    config = write_run(tmp_path, members=2, max_epochs=1)
    run = train(config)
    with pytest.raises(ConfigError, match=r"training\.members: 1, but .*member_1"):
        train(_change(config, members=1), resume=True)
    with pytest.raises(ConfigError, match=r"training\.learning_rate"):
        train(_change(config, members=2, learning_rate=0.5), resume=True)
    assert torch.load(run / "member_1" / LAST, weights_only=True)["epoch"] == 0


def test_a_single_model_does_not_become_a_committee(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.members: 2, but .* holds a single model"):
        train(_change(config, members=2), resume=True)


def test_the_record_of_a_run_is_a_configuration_again(config: Path) -> None:
    record = load_record(config.parent / "run")
    assert record.settings is not None
    settings = yaml.safe_load(config.read_text())
    assert record.settings.training == Config.model_validate(settings).training


def test_the_curve_of_a_run_that_an_older_version_began(tmp_path: Path) -> None:
    rows = [{"epoch": 0.0, "valid_loss": 2.0}, {"epoch": 1.0, "valid_loss": 1.0, "more": 3.0}]
    write_metrics(tmp_path / "metrics.csv", rows)
    curve = read_metrics(tmp_path / "metrics.csv")
    np.testing.assert_equal(curve["more"], [np.nan, 3.0])
    np.testing.assert_equal(curve["valid_loss"], [2.0, 1.0])
