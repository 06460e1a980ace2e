"""Files are whole or as they were, name themselves when they cannot be written, and leave nothing."""

import errno
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from conftest import random_statistics, small_config
from e3md.export import save_model
from e3md.files import (
    ABANDONED,
    DamagedFileError,
    WriteError,
    load_archive,
    remove_leftovers,
    save_archive,
    write_bytes,
    write_text,
)
from e3md.model import build_model
from e3md.model_file import TrainingRecord


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch, step) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(WriteError) as raised:
        write_text(path, "new")
    assert str(raised.value) == f"cannot write {path}: No space left on device"
    assert raised.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a.json"]


def test_permissions_are_those_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_links_are_followed_and_folders_made(tmp_path: Path) -> None:
    link = tmp_path / "link.pt"
    link.symlink_to(tmp_path / "far" / "model.pt")
    write_bytes(link, b"1")
    write_bytes(link, b"2")
    assert link.is_symlink()
    assert (tmp_path / "far" / "model.pt").read_bytes() == b"2"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_name_as_long_as_a_name_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)
    write_text(path, "text")
    assert _names(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", ["folder", "file as folder"])
def test_what_cannot_be_written_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path if kind == "folder" else tmp_path / "file" / "a.json"
    with pytest.raises(WriteError, match=f"cannot write {path}: "):
        write_text(path, "text")


def _ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    gone, here, host = _ended_process(), os.getppid(), socket.gethostname()
    dead = [
        f".last.ckpt.{gone}@{host}.tmp", f".last.ckpt.{gone}", f"{'0a' * 16}.{gone}",
        f".record.json.{os.getpid()}@{host}.tmp",  # of an earlier process with our number
        f".old.json.{here}@elsewhere.tmp",
    ]  # fmt: skip
    alive = [
        f".best.ckpt.{here}@{host}.tmp", f".best.ckpt.{here}", f".best.ckpt.{gone}@elsewhere.tmp",
        "best.ckpt", f".notes.{gone}", ".gitignore", f"{gone}",
    ]  # fmt: skip
    for name in dead + alive:
        (tmp_path / name).write_text("x")
    past = time.time() - 2 * ABANDONED
    os.utime(tmp_path / f".old.json.{here}@elsewhere.tmp", (past, past))
    removed = remove_leftovers([tmp_path, tmp_path / "missing"])
    assert sorted(path.name for path in removed) == sorted(dead)
    assert _names(tmp_path) == sorted(alive)


def _damage(data: bytes, how: str) -> bytes:
    if how == "cut":
        return data[: len(data) // 2]
    if how == "bit":
        at = data.index(torch.full((50,), 7.0).numpy().tobytes()) + 3
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    return {"empty": b"", "text": b"not an archive\n"}[how]


@pytest.mark.parametrize("how", ["cut", "bit", "empty", "text"])
def test_a_damaged_archive_is_named(tmp_path: Path, how: str) -> None:
    path = tmp_path / "last.ckpt"
    save_archive(path, {"weights": torch.full((50,), 7.0), "epoch": 3})
    assert load_archive(path)["epoch"] == 3
    path.write_bytes(_damage(path.read_bytes(), how))
    with pytest.raises(DamagedFileError, match=f"{path} is damaged") as raised:
        load_archive(path)
    assert "\n" not in str(raised.value)


def test_a_folder_or_no_file_is_no_archive(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(OSError, match=str(path)):
            load_archive(path)


def test_a_model_file_is_whole_or_as_it_was_on_a_full_disk(tmp_path: Path, monkeypatch) -> None:
    config, statistics = small_config("schnet"), random_statistics(("Li",))
    path = tmp_path / "model.pt"
    path.write_text("older")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"cannot write .*model\.pt: No space left on device"):
        save_model(
            build_model(config, statistics, torch.float32),
            config,
            statistics,
            TrainingRecord(),
            path,
        )
    assert path.read_text() == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
