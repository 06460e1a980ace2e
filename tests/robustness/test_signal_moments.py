"""Ctrl-C at twenty moments of a training, half of them in writes: words, and a run that goes on.

Of longer runs, by random moments from outside: `PYTHONPATH=tests python -m fuzz.kills -n 200`.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from e3md import files
from e3md.interrupts import Interrupted, handled
from e3md.train.checkpoint import BEST, LAST, load_checkpoint
from e3md.train.module import PotentialTraining
from e3md.train.progress import TrainingProgress
from e3md.train.run import train
from fuzz.runs import same
from training_data import write_run

MOMENTS = 20
EPOCHS = 3
WRITES = ((torch, "save"), (files.os, "fsync"), (files.os, "replace"))
WORK = (
    (PotentialTraining, "training_step"),
    (PotentialTraining, "validation_step"),
    (TrainingProgress, "on_train_epoch_end"),
)
AFTER = re.compile(
    rf"stopped by SIGINT after epoch (\d) of {EPOCHS}: continue with `e3md train \S+ --resume`\n"
    r"to use the best weights so far: `e3md export \S+ -o model.pt`"
)
BEFORE = "stopped by SIGINT before the end of epoch 1: nothing is saved yet, start again with `e3md"


class Clock:
    """Counts the calls of some functions, and sends a signal at one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, places: Any, moment: int = -1) -> None:
        self.moment = moment
        self.calls = 0
        for owner, name in places:
            patch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, function: Callable) -> Callable:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self.moment:
                os.kill(os.getpid(), signal.SIGINT)
            return function(*arguments, **options)

        return counted


def _moments(folder: Path, places: Any, number: int) -> Iterator[int]:
    """Some calls of those that a whole run makes, evenly spread."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch, places)
        train(write_run(folder, max_epochs=EPOCHS))
    assert clock.calls > number
    return (1 + k * (clock.calls - 1) // number for k in range(number))


@pytest.mark.parametrize("places", [WRITES, WORK], ids=["in writes", "in between"])
def test_ctrl_c_at_any_moment(tmp_path: Path, places: Any) -> None:
    whole = tmp_path / "whole"
    for moment in _moments(whole, places, MOMENTS // 2):
        folder = tmp_path / f"at {moment}".replace(" ", "_")
        config = write_run(folder, max_epochs=EPOCHS)
        with pytest.MonkeyPatch.context() as patch:
            Clock(patch, places, moment)
            with pytest.raises(Interrupted) as stopped, handled():
                train(config)
        assert stopped.value.status == 130
        begun = (folder / "run" / LAST).exists()
        words = AFTER.fullmatch(str(stopped.value.words))
        assert bool(words) == begun, stopped.value.words
        if words:
            assert load_checkpoint(folder / "run" / LAST)["epoch"] + 1 == int(words[1])
        else:
            assert str(stopped.value.words).startswith(BEFORE)
        assert not list((folder / "run").rglob(".*"))
        train(config, resume=begun)
        _assert_same(whole / "run", folder / "run")


def _assert_same(one: Path, other: Path) -> None:
    for name in (BEST, LAST):
        a, b = (load_checkpoint(run / name) for run in (one, other))
        assert a["epoch"] == b["epoch"]
        assert same(a["state_dict"], b["state_dict"])
