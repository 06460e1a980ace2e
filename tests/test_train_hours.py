"""A run of so many hours takes them, and can be prolonged from before its learning rate fell."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from e3md.cli import app
from e3md.train.checkpoint import BEST, LAST, STABLE, load_checkpoint
from e3md.train.config import MOST_EPOCHS, TrainingConfig
from e3md.train.history import METRICS
from e3md.train.report import read_metrics
from e3md.train.run import train
from e3md.train.schedule import FALL, is_settled, rate
from fuzz.runs import same
from training_data import write_run


@pytest.mark.parametrize("schedule", ["cosine", "stable"])
def test_rates_rise_and_fall_to_zero(schedule) -> None:
    rates = [rate(schedule, step, 1000, 9) for step in range(1001)]
    assert rates[0] == pytest.approx(0.1, rel=1e-3)
    assert rates[-1] == 0.0
    assert max(rates) <= 1.0
    assert (np.diff(rates[9:]) <= 0).all()


def test_a_stable_rate_falls_in_the_last_fifth() -> None:
    settled = [is_settled("stable", step, 1000) for step in range(1001)]
    assert settled.index(True) == round((1 - FALL) * 1000) + 1
    assert {rate("stable", step, 1000, 0) for step in range(801)} == {1.0}
    assert rate("stable", 850, 1000, 0) == pytest.approx(0.5)
    assert [is_settled("cosine", step, 1000) for step in (99, 101)] == [False, True]
    assert not is_settled("plateau", 1000, 1000)


@pytest.mark.parametrize("schedule", ["cosine", "stable", "plateau"])
def test_a_run_takes_its_hours(schedule: str, tmp_path: Path) -> None:
    config, begin = write_run(tmp_path, max_epochs=MOST_EPOCHS, schedule=schedule), time.monotonic()
    run = train(config, hours=3.0 / 3600)
    assert time.monotonic() - begin < 15.0  # the report included
    curve = read_metrics(run / METRICS)
    spent = load_checkpoint(run / LAST)["callbacks"]["Budget"]["seconds"]
    assert 1.5 < spent < 5.0
    assert len(curve["epoch"]) > 10
    falls = curve["learning_rate"][-1] < 0.3 * max(curve["learning_rate"])
    assert falls == (schedule != "plateau")


def test_fewer_epochs_may_be_set_beside_hours(tmp_path: Path) -> None:
    run = train(write_run(tmp_path, max_epochs=3, hours=1.0))
    assert len(read_metrics(run / METRICS)["epoch"]) == 3


def test_a_longer_run_goes_on_from_before_the_fall(tmp_path: Path) -> None:
    """With the weights of one that was never shorter."""
    config = write_run(tmp_path / "short", max_epochs=10, schedule="stable", threads=1)
    run = train(config)
    assert load_checkpoint(run / STABLE)["epoch"] + 1 == 8
    best = load_checkpoint(run / BEST)["callbacks"]
    config.write_text(config.read_text().replace("max_epochs: 10", "max_epochs: 20"))
    said = CliRunner().invoke(app, ["train", str(config), "--resume"]).output
    assert "going on from epoch 8, before the learning rate fell" in said
    once = train(write_run(tmp_path / "long", max_epochs=20, schedule="stable", threads=1))
    one, other = (load_checkpoint(folder / LAST) for folder in (run, once))
    assert same(one["state_dict"], other["state_dict"])
    curves = [read_metrics(folder / METRICS)["valid_loss"] for folder in (run, once)]
    np.testing.assert_array_equal(*curves)
    score = next(v for k, v in best.items() if k.startswith("BestCheckpoint"))["best_model_score"]
    kept = next(v for k, v in one["callbacks"].items() if k.startswith("BestCheckpoint"))
    assert kept["best_model_score"] <= score


def test_hours_prolong_a_run_that_is_finished(tmp_path: Path) -> None:
    config = write_run(tmp_path, max_epochs=10, schedule="stable", threads=1)
    run = train(config)
    done = CliRunner().invoke(app, ["train", str(config), "--resume", "--hours", "0.001"])
    assert done.exit_code == 0, done.output
    assert "training.max_epochs 10 -> 10000000" in done.output
    assert len(read_metrics(run / METRICS)["epoch"]) > 10
    assert json.loads((run / "record.json").read_text())["settings"]["training"]["hours"] == 0.001
    assert (
        "are spent"
        in CliRunner().invoke(app, ["train", str(config), "--resume", "--hours", "1e-7"]).output
    )


def test_a_stopped_run_of_hours_ends_as_it_would_have(tmp_path: Path) -> None:
    config = write_run(tmp_path, max_epochs=MOST_EPOCHS, hours=2.0 / 3600, threads=1)
    run = train(config)
    epochs = load_checkpoint(run / LAST)["callbacks"]["Budget"]["epochs"]
    assert len(read_metrics(run / METRICS)["epoch"]) == epochs
    train(config, resume=True)
    assert len(read_metrics(run / METRICS)["epoch"]) == epochs


def test_hours_stand_for_epochs() -> None:
    assert TrainingConfig(hours=2).max_epochs == MOST_EPOCHS
    assert TrainingConfig(hours=2, max_epochs=7).max_epochs == 7
    assert TrainingConfig(hours=2).length() == "2 hours"
    assert TrainingConfig(max_epochs=MOST_EPOCHS).length() == str(MOST_EPOCHS)


def test_minutes_end_a_run_whatever_its_schedule(tmp_path: Path) -> None:
    run = train(write_run(tmp_path, max_epochs=100_000, max_time=0.02))
    curve = read_metrics(run / METRICS)
    assert 1 < len(curve["epoch"]) < 1000
    assert curve["learning_rate"][-1] > 0.99 * max(curve["learning_rate"])


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "1e9"])
def test_hours_that_are_none(hours: str, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["train", str(write_run(tmp_path)), "--hours", hours])
    assert said.exit_code == 1
    assert "--hours" in said.output
