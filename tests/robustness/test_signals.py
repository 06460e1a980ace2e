"""A signal ends a command with the status a shell expects, in words, and leaves nothing half done."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e3md.export import export_run
from e3md.files import write_text
from e3md.interrupts import WARNING, Interrupted, handled, hold, said
from e3md.model_file import UNFINISHED
from e3md.train.checkpoint import BEST, LAST, AtomicCheckpointIO, load_checkpoint, load_record
from e3md.train.committee import FINISHED
from e3md.train.run import train
from program import Program
from training_data import write_run

PATIENCE = 120  # s
Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    """start(*command, **options): a Program that ends with its test, whatever that finds."""
    started: list[Program] = []

    def begin(*command: str, **options: Any) -> Program:
        started.append(Program(*command, **options))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


def _after_epoch(process: Program) -> None:
    process.wait_for(lambda said: "epoch 1/" in said, PATIENCE)


@pytest.mark.parametrize(
    ("signum", "status"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129), ("SIGUSR1", 0)]
)
def test_training(start: Start, tmp_path: Path, signum: str, status: int) -> None:
    write_run(tmp_path, max_epochs=2000, threads=1)
    process = start("train", "config.yaml", folder=tmp_path)
    _after_epoch(process)
    process.send_signal(getattr(signal, signum))
    said_last = process.communicate(timeout=PATIENCE)[1]
    run = tmp_path / "run"
    epochs = load_checkpoint(run / LAST)["epoch"] + 1
    assert process.returncode == status
    assert said_last.splitlines() == [
        f"stopped by {signum} after epoch {epochs} of 2000: continue with "
        "`e3md train config.yaml --resume`",
        "to use the best weights so far: `e3md export run -o model.pt`",
    ]
    assert load_record(run).training.state == UNFINISHED
    assert not (run / FINISHED).exists()
    assert not list(run.rglob(".*"))


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_before_the_training(tmp_path: Path, seconds: float) -> None:
    """While it imports, and reads."""
    write_run(tmp_path, max_epochs=2000)
    process = subprocess.Popen(
        [sys.executable, "-m", "e3md", "train", "config.yaml"], cwd=tmp_path, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # shells ignore it in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    said_last = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130
    assert len(said_last.splitlines()) in (1, 2)
    assert "interrupted" in said_last or "stopped by SIGINT" in said_last


def test_what_nohup_ignores_stays_ignored(start: Start, tmp_path: Path) -> None:
    write_run(tmp_path, max_epochs=2)

    process = start("train", "config.yaml", folder=tmp_path, ignored=[signal.SIGHUP])
    _after_epoch(process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert (tmp_path / "run" / FINISHED).is_file()


def _signal_me(signum: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("name", [BEST, LAST])
def test_a_save_is_finished_first(tmp_path: Path, monkeypatch, name: str) -> None:
    """Of the first epoch: both checkpoints are there afterwards."""
    save = AtomicCheckpointIO.save_checkpoint

    def signalled(self, checkpoint, path, storage_options=None) -> None:
        if Path(path).name == name:
            _signal_me()
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", signalled)
    with pytest.raises(Interrupted) as stopped, handled():
        train(write_run(tmp_path, max_epochs=5))
    assert stopped.value.words
    assert stopped.value.words.startswith("stopped by SIGTERM after epoch 1 of 5: continue with")
    for checkpoint in (BEST, LAST):
        assert load_checkpoint(tmp_path / "run" / checkpoint)["epoch"] == 0


def test_while_the_data_are_read(tmp_path: Path, monkeypatch) -> None:
    def read(*_: object) -> None:
        _signal_me(WARNING)

    monkeypatch.setattr("e3md.train.run.prepare_data", read)
    config = write_run(tmp_path)
    with pytest.raises(Interrupted) as stopped, handled(WARNING):
        train(config)
    assert stopped.value.status == 0
    assert f"nothing is saved yet, start again with `e3md train {config}`" in str(
        stopped.value.words
    )


def test_the_warning_is_not_passed_to_slurm(tmp_path: Path, monkeypatch) -> None:
    """Lightning would have the job start again: `scontrol requeue`."""
    from lightning.pytorch.plugins.environments import SLURMEnvironment

    from e3md.train.config import TrainingConfig
    from e3md.train.parallel import cluster

    monkeypatch.setattr(SLURMEnvironment, "detect", lambda: True)
    (environment,) = cluster(TrainingConfig(devices=2))
    assert isinstance(environment, SLURMEnvironment)
    assert not environment.auto_requeue


def test_an_unfinished_run_says_so_when_it_is_exported(tmp_path: Path, monkeypatch) -> None:
    from e3md._core import read_metadata
    from e3md.train.module import PotentialTraining

    step = PotentialTraining.training_step

    def signalled(self, batch, index):
        if self.current_epoch == 2:
            _signal_me()
        return step(self, batch, index)

    config = write_run(tmp_path, max_epochs=5)
    with monkeypatch.context() as patch:
        patch.setattr(PotentialTraining, "training_step", signalled)
        with pytest.raises(Interrupted), handled():
            train(config)
    model = tmp_path / "model.pt"
    assert export_run(tmp_path / "run", model).startswith("unfinished, weights of epoch ")
    assert "unfinished, weights of epoch " in read_metadata(str(model)).json
    train(config, resume=True)
    assert "unfinished" not in export_run(tmp_path / "run", model)
    assert '"state": "finished"' in read_metadata(str(model)).json


def _held(done: list[str]) -> None:
    with hold():
        _signal_me(signal.SIGINT)
        done.append("whole")
    done.append("cut")


def test_signals_wait_for_what_must_not_be_cut() -> None:
    done: list[str] = []
    with pytest.raises(Interrupted) as stopped, handled(), said("in a test"):
        _held(done)
    assert done == ["whole"]
    assert (stopped.value.status, stopped.value.words) == (130, "stopped by SIGINT in a test")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _fail_with_a_signal_waiting() -> None:
    _signal_me()
    raise ValueError("the cause")


def test_an_error_is_told_though_a_signal_waits() -> None:
    with pytest.raises(ValueError, match="the cause"), handled(), hold():
        _fail_with_a_signal_waiting()


def test_threads_write_files_too(tmp_path: Path) -> None:
    thread = threading.Thread(target=write_text, args=(tmp_path / "a", "text"))
    with handled():
        thread.start()
        thread.join()
    assert (tmp_path / "a").read_text() == "text"
