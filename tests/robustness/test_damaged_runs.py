"""Damaged, missing and unwritable files of a run are named in one line, and what can go on does."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from e3md.cli import app
from e3md.files import DamagedFileError
from e3md.train.checkpoint import BEST, LAST, RECORD, load_run
from e3md.train.committee import FINISHED
from e3md.train.run import METRICS, train
from training_data import write_run


def _flip(data: bytes) -> bytes:
    """One bit of the largest record of an archive; what pads records to 64 bytes is not looked at."""
    at = len(data) // 2
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            record = max(archive.infolist(), key=lambda info: info.file_size)
            at = data.index(archive.read(record)) + record.file_size // 2
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


FAULTS = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "bit": _flip,
    "text": lambda data: b"<html>\xff</html>\n",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of five epochs, never disturbed."""
    return train(write_run(tmp_path_factory.mktemp("whole"), max_epochs=5))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a run that stopped after three of five epochs."""
    from e3md.train.module import PotentialTraining

    config, step = write_run(tmp_path, max_epochs=5), PotentialTraining.training_step

    def stop(self, batch, index):
        if self.current_epoch == 3:
            raise InterruptedError
        return step(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PotentialTraining, "training_step", stop)
        with pytest.raises(InterruptedError):
            train(config)
    return config


def _damage(path: Path, fault: str) -> None:
    path.write_bytes(FAULTS[fault](path.read_bytes()))


def _resume(config: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["train", str(config), "--resume"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


def _assert_same(whole: Path, run: Path) -> None:
    for a, b in zip(*(load_run(r)[0].state_dict().values() for r in (whole, run)), strict=True):
        assert torch.equal(a, b)
    assert (whole / METRICS).read_text() == (run / METRICS).read_text()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", [LAST, BEST, "cache", METRICS])
def test_a_run_goes_on_without_what_it_can_make_again(
    config: Path, whole: Path, name: str, fault: str
) -> None:
    run = config.parent / "run"
    for path in (run / name).iterdir() if name == "cache" else [run / name]:
        _damage(path, fault)
        damaged = path.name
    status, output = _resume(config)
    assert status == 0, output
    assert damaged in output or name == METRICS
    _assert_same(whole, run)


@pytest.mark.parametrize("name", [LAST, BEST])
def test_a_run_goes_on_without_a_checkpoint_that_is_gone(config: Path, whole, name: str) -> None:
    """As after a kill between the first two writes."""
    run = config.parent / "run"
    (run / name).unlink()
    status, output = _resume(config)
    assert status == 0, output
    assert f"{name} is missing" in output
    _assert_same(whole, run)


@pytest.mark.parametrize("fault", ["empty", "cut", "text"])
def test_a_damaged_record_is_named(config: Path, fault: str) -> None:
    record = config.parent / "run" / RECORD
    _damage(record, fault)
    status, output = _resume(config)
    assert status == 1
    assert output.startswith(f"error: {record} is damaged: ")
    with pytest.raises(DamagedFileError, match=RECORD):
        load_run(record.parent)


def test_two_damaged_checkpoints_are_both_named(config: Path) -> None:
    run = config.parent / "run"
    for name in (LAST, BEST):
        _damage(run / name, "empty")
    status, output = _resume(config)
    assert status == 1
    assert f"{run / LAST} is damaged" in output
    assert f"{run / BEST} is damaged" in output


def test_a_checkpoint_of_something_else_is_named(config: Path) -> None:
    run = config.parent / "run"
    torch.save({"epoch": 3}, run / BEST)
    with pytest.raises(DamagedFileError, match=f"{run / BEST} is damaged: no checkpoint of"):
        load_run(run)


def test_best_weights_of_another_model_are_named(config: Path, tmp_path_factory) -> None:
    other = write_run(tmp_path_factory.mktemp("other"), max_epochs=1)
    other.write_text(other.read_text().replace("channels: 8", "channels: 4"))
    run = config.parent / "run"
    (run / BEST).write_bytes((train(other) / BEST).read_bytes())
    with pytest.raises(DamagedFileError, match=f"{run / BEST} does not hold the model") as raised:
        load_run(run)
    assert "\n" not in str(raised.value)


def test_a_damaged_mark_of_the_end_is_written_again(tmp_path: Path) -> None:
    config = write_run(tmp_path, max_epochs=2)
    mark = train(config) / FINISHED
    sound = mark.read_text()
    _damage(mark, "text")
    assert _resume(config)[0] == 0
    assert mark.read_text() == sound


def test_temporaries_of_dead_processes_are_removed(config: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    run = config.parent / "run"
    left = [run / f".last.ckpt.{process.pid}", run / "cache" / f"{'0a' * 16}.{process.pid}"]
    for path in left:
        path.write_text("half")
    assert _resume(config)[0] == 0
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_a_run_dir_that_is_a_file(tmp_path: Path, kind: str) -> None:
    config = write_run(tmp_path)
    (tmp_path / ("run" if kind == "file" else "above")).write_text("mine")
    if kind != "file":
        config.write_text(config.read_text().replace("run_dir: run", "run_dir: above/run"))
    done = CliRunner().invoke(app, ["train", str(config)])
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1
    assert str(tmp_path) in done.output


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    config = write_run(tmp_path)
    config.write_text(config.read_text().replace("run_dir: run", f"run_dir: {small_disk}/run"))
    (small_disk / "ballast").write_bytes(bytes(150_000))
    done = CliRunner().invoke(app, ["train", str(config)])
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith(f"error: cannot write {small_disk}/run/")
    assert done.output.splitlines()[-1].endswith("No space left on device")
    assert not list(small_disk.rglob(".*"))


def test_a_disk_that_is_read_only(tmp_path: Path, small_disk: Path) -> None:
    config = write_run(tmp_path)
    config.write_text(config.read_text().replace("run_dir: run", f"run_dir: {small_disk}"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = CliRunner().invoke(app, ["train", str(config)])
    assert done.exit_code == 1
    assert done.output == f"error: cannot write {small_disk}: Read-only file system\n"
