"""A killed process or a full disk leaves the last good checkpoint, and --resume goes on from it."""

import signal
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

from e3md.train.checkpoint import BEST, LAST, RECORD, AtomicCheckpointIO, load_run
from e3md.train.config import ConfigError
from e3md.train.module import PotentialTraining
from e3md.train.report import read_metrics
from e3md.train.run import METRICS, train
from program import Program
from training_data import labelled_frames, write_run


def _kill_after_first_checkpoint(config: Path) -> None:
    process = Program("train", config.name, folder=config.parent)
    last = config.parent / "run" / LAST
    deadline = time.monotonic() + 120
    while not last.is_file():
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint within two minutes"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def _reached(run: Path) -> int:
    return torch.load(run / LAST, weights_only=True)["epoch"]


def _assert_same(whole: Path, resumed: Path) -> None:
    """Weights and the whole curve, to the last bit."""
    for a, b in zip(*(load_run(r)[0].state_dict().values() for r in (whole, resumed)), strict=True):
        assert torch.equal(a, b)
    curves = [(run / METRICS).read_text() for run in (whole, resumed)]
    assert curves[0] == curves[1]


def test_a_killed_run_resumes_to_the_same_weights_and_curve(tmp_path: Path) -> None:
    whole = train(write_run(tmp_path / "whole", max_epochs=30))
    config = write_run(tmp_path / "killed", max_epochs=30)
    _kill_after_first_checkpoint(config)
    reached = _reached(tmp_path / "killed" / "run")
    assert reached < 29, "the run finished before it was killed: it proves nothing"
    _assert_same(whole, train(config, resume=True))


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "plateau", "patience": 1, "learning_rate": 0.05, "early_stopping": 20},
        {"learning_rate": 0.3, "warmup_steps": 0, "gradient_clip": 1e3, "max_time": 60.0},
    ],
)
def test_a_run_that_does_not_improve_resumes_from_its_last_epoch(
    tmp_path: Path, monkeypatch, settings: dict
) -> None:
    """With steps so large that most epochs are no better than the best so far."""
    whole = train(write_run(tmp_path / "whole", max_epochs=12, **settings))
    losses = read_metrics(whole / METRICS)["valid_loss"]
    assert np.diff(losses).max() > 0, "every epoch improved: it proves nothing"
    worse = int(np.argmax(losses > np.minimum.accumulate(losses)))

    config = write_run(tmp_path / "stopped", max_epochs=12, **settings)
    step = PotentialTraining.training_step

    def stop(self, batch, index):
        if self.current_epoch == worse + 1 and index == 1:
            raise InterruptedError
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(PotentialTraining, "training_step", stop)
        with pytest.raises(InterruptedError):
            train(config)
    assert _reached(tmp_path / "stopped" / "run") == worse
    _assert_same(whole, train(config, resume=True))


def test_a_run_folder_that_was_moved_keeps_its_best_weights(tmp_path: Path, monkeypatch) -> None:
    run = train(write_run(tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    config, best = tmp_path / "new" / "config.yaml", tmp_path / "new" / "run" / BEST
    before = best.read_bytes()
    assert not run.exists()
    # two more epochs that end in nonsense weights
    config.write_text(config.read_text().replace("max_epochs: 6", "max_epochs: 8"))
    step = PotentialTraining.on_train_batch_end

    def spoil(self, *arguments):
        step(self, *arguments)
        with torch.no_grad():
            for parameter in self.average.parameters():
                parameter.mul_(3.0)

    monkeypatch.setattr(PotentialTraining, "on_train_batch_end", spoil)
    train(config, resume=True)
    assert _reached(tmp_path / "new" / "run") == 7
    assert best.read_bytes() == before


def test_a_finished_run_can_be_resumed_for_its_report(tmp_path: Path) -> None:
    config = write_run(tmp_path, max_epochs=2)
    report = train(config) / "report" / "report.md"
    text = report.read_text()
    report.unlink()
    train(config, resume=True)
    assert report.read_text() == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("channels: 8", "channels: 4"), r"model\.channels: 4, was 8"),
        (("warmup_steps: 2", "warmup_steps: 2\n  seed: 9"), r"training\.seed: 9, was 1"),
        (
            ("warmup_steps: 2", "warmup_steps: 2\n  dtype: float64"),
            r"training\.dtype: float64, was float32",
        ),
        (None, r"data\.train: other contents"),
    ],
)
def test_another_model_or_other_data_cannot_resume(
    tmp_path: Path, change: tuple[str, str] | None, message: str
) -> None:
    config = write_run(tmp_path, max_epochs=1)
    record = train(config) / RECORD
    before = record.read_text()
    if change:
        assert change[0] in config.read_text()
        config.write_text(config.read_text().replace(*change))
    else:
        ase.io.write(tmp_path / "train.xyz", labelled_frames(8, seed=5), format="extxyz")
    with pytest.raises(ConfigError, match=message):
        train(config, resume=True)
    assert record.read_text() == before


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


def test_a_disk_that_fills_up_during_training_leaves_a_run_to_resume(
    tmp_path: Path, monkeypatch
) -> None:
    whole = train(write_run(tmp_path / "whole"))
    config = write_run(tmp_path / "full")
    save = torch.save

    def fill_up(checkpoint, handle) -> None:
        if isinstance(checkpoint, dict) and checkpoint.get("epoch") == 3:
            handle.write(b"half a checkpoint")
            raise OSError(28, "No space left on device")
        save(checkpoint, handle)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fill_up)
        with pytest.raises(OSError, match="No space left"):
            train(config)
    assert _reached(tmp_path / "full" / "run") == 2
    _assert_same(whole, train(config, resume=True))


def test_nothing_to_resume_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to resume from"):
        train(write_run(tmp_path), resume=True)


def test_a_run_folder_without_a_checkpoint_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run_dir of `e3md train`"):
        load_run(tmp_path)
