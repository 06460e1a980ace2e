"""The one atomic write, what it may leave behind, and the one way to open an archive of torch.save."""

import io
import os
import pickle
import re
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from e3md.interrupts import hold

# what write_bytes names its temporaries, and what e3md 0.1.0 did in a run and in its cache
TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)@(?P<host>[^/]+)\.tmp")
OLD_TEMPORARY = re.compile(r"(\..+\.(ckpt|json|csv|md|yaml)|[0-9a-f]{32})\.(?P<pid>\d+)")
ABANDONED = 24 * 3600  # s without a change: nobody writes this file any more


class WriteError(OSError):
    """A file that could not be written; the message is one line and names it."""


class DamagedFileError(ValueError):
    """A file that is not what was once written; the message is one line and names it."""


def write_text(path: str | Path, text: str) -> None:
    """`write_bytes` of a text in UTF-8."""
    write_bytes(path, text.encode())


def save_archive(path: str | Path, contents: Any) -> None:
    """`write_bytes` of what torch.save makes."""
    # in memory first: torch's writer can abort the process where a disk is full
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    write_bytes(path, buffer.getbuffer())


def write_bytes(path: str | Path, data: bytes | memoryview) -> None:
    """Write beside the target, flush to disk, then rename: the file is whole or as it was.

    Neither a kill nor a full disk in between harms an older file; other signals wait. Links are
    followed, missing folders made; a device or a pipe, such as /dev/stdout, is written to as it is.

    Raises:
        WriteError: naming the file and the reason.
    """
    path = Path(path)
    with _named(path):
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            with hold():
                _replace(path.resolve(), data)


def make_folder(path: Path) -> None:
    """With its parents; nothing is said if it is there and can be written to.

    Raises:
        WriteError: naming it and the reason.
    """
    with _named(path):
        path.mkdir(parents=True, exist_ok=True)
        # a folder of a disk that is read-only is there, and shows it only by this
        trial = path / f".trial.{os.getpid()}@{socket.gethostname()}.tmp"
        trial.touch()
        trial.unlink()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the operating system as a WriteError."""
    try:
        yield
    except OSError as error:
        found = WriteError(f"cannot write {path}: {error.strerror or error}")
        found.errno = error.errno
        raise found from error


def _replace(target: Path, data: bytes | memoryview) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # cut, as a file's name may be as long as the file system allows
    temporary = target.with_name(f".{target.name[:40]}.{os.getpid()}@{socket.gethostname()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def remove_leftovers(folders: Iterable[Path]) -> list[Path]:
    """Delete temporaries of writes that a kill cut short; returns them.

    Those of a process that runs stay, and those of another machine for a day: folders may be shared.
    """
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    gone = [path for path in found if _is_leftover(path)]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def _is_leftover(path: Path) -> bool:
    match = TEMPORARY.fullmatch(path.name) or OLD_TEMPORARY.fullmatch(path.name)
    if not match or path.is_dir():
        return False
    if match.groupdict().get("host", socket.gethostname()) != socket.gethostname():
        return time.time() - path.stat().st_mtime > ABANDONED
    pid = int(match["pid"])
    # in a container every start has the same number: what bears ours is of an earlier one
    return pid == os.getpid() or not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def load_archive(path: str | Path) -> Any:
    """What torch.save wrote, if every record of it is as it was written; tensors on the CPU.

    Raises:
        DamagedFileError: naming the file and what is wrong with it.
        OSError: if it is not there or may not be read.
    """
    path = Path(path)
    with path.open("rb") as handle:
        if not handle.read(1):
            raise DamagedFileError(f"{path} is damaged: it is empty")
    _check_records(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise DamagedFileError(f"{path} is damaged: {_first_line(error)}") from None


def _check_records(path: Path) -> None:
    """Compare each record with its CRC-32."""
    import e3md.ops  # noqa: F401  loads libe3md before _core asks for it
    from e3md._core import check_archive

    try:
        check_archive(str(path))
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from None


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
