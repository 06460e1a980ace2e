"""A killed process or a full disk leaves the last good checkpoint, and --resume goes on from it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from e3md.train.checkpoint import LAST, AtomicCheckpointIO, load_run
from e3md.train.config import ConfigError
from e3md.train.report import read_metrics
from e3md.train.run import train
from training_data import write_run

TRAIN = (
    "import sys, torch; torch.set_num_threads(1); from e3md.train.run import train; "
    "train(sys.argv[1])"
)


def _kill_after_first_checkpoint(config: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(config)], stdout=subprocess.DEVNULL
    )
    last = config.parent / "run" / LAST
    deadline = time.monotonic() + 120
    while not last.is_file():
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint within two minutes"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_run_resumes_to_the_same_weights_and_curve(tmp_path: Path) -> None:
    whole = train(write_run(tmp_path / "whole", max_epochs=30))
    config = write_run(tmp_path / "killed", max_epochs=30)
    _kill_after_first_checkpoint(config)
    reached = torch.load(tmp_path / "killed" / "run" / LAST, weights_only=False)["epoch"]
    assert reached < 29, "the run finished before it was killed: it proves nothing"
    resumed = train(config, resume=True)

    for a, b in zip(*(load_run(r)[0].state_dict().values() for r in (whole, resumed)), strict=True):
        assert torch.equal(a, b)
    curves = []
    for run in (whole, resumed):
        columns = read_metrics(run / "logs" / "metrics.csv")
        seen = np.isfinite(columns["valid_loss"])
        curves.append(dict(zip(columns["epoch"][seen], columns["valid_loss"][seen], strict=True)))
    # what was logged after the last checkpoint and before the kill is logged again, alike
    assert curves[1].items() <= curves[0].items()
    assert max(curves[1]) == 29


def test_a_full_disk_leaves_the_last_checkpoint_intact(tmp_path: Path, monkeypatch) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / LAST
    io.save_checkpoint({"epoch": 1}, path)

    def full(_, handle) -> None:
        handle.write(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="No space left"):
            io.save_checkpoint({"epoch": 2}, path)
    assert torch.load(path)["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == [LAST]


def test_nothing_to_resume_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to resume from"):
        train(write_run(tmp_path), resume=True)


def test_a_run_folder_without_a_checkpoint_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run_dir of `e3md train`"):
        load_run(tmp_path)
