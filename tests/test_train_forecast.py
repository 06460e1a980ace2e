"""The time a training will take is said before it starts, and learning it changes nothing."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from e3md.cli import app
from e3md.train import forecast
from e3md.train.budget import Budget
from e3md.train.checkpoint import BEST, load_checkpoint
from e3md.train.forecast import duration
from e3md.train.run import train
from fuzz.runs import same
from training_data import write_run


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0123, "0.012 s"), (4.26, "4.3 s"), (42.4, "42 s"), (100, "2 min"), (3500, "58 min"),
        (3590, "1 h"), (6600, "1 h 50 min"), (40_000, "11 h"), (300_000, "3 days"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_epochs_and_their_time() -> None:
    assert forecast.forecast(100, 6.0) == "expected time: 10 min for 100 epochs of 6 s"


def test_it_is_said_before_the_first_epoch(tmp_path: Path, monkeypatch) -> None:
    """Of a machine where every step takes 2 s: 3 batches of training, 1 of validation."""
    clock = iter(np.arange(0, 1000.0, 2.0))
    monkeypatch.setattr(forecast, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    config = write_run(tmp_path, max_epochs=2, threads=1)
    said = CliRunner().invoke(app, ["train", str(config)]).output
    line = said.index("expected time: 16 s for 2 epochs of 8 s; threads: 1")
    assert line < said.index("epoch 1/2")
    config.write_text(config.read_text().replace("max_epochs: 2", "max_epochs: 5"))
    said = CliRunner().invoke(app, ["train", str(config), "--resume"]).output
    assert "expected time: 24 s for 3 epochs of 8 s" in said


def test_the_weights_do_not_depend_on_it(tmp_path: Path, monkeypatch) -> None:
    told = train(write_run(tmp_path / "told", max_epochs=2))
    monkeypatch.setattr(Budget, "on_train_start", lambda *_: None)
    untold = train(write_run(tmp_path / "untold", max_epochs=2))
    one, other = (load_checkpoint(run / BEST)["state_dict"] for run in (told, untold))
    assert same(one, other)
