"""What a file holds, plain or compressed, as long as it is of a size that data have."""

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e3md.data.problems import DataError, last_line

OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open,
}  # fmt: skip
_MAGIC = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\0": ".xz", b"BZh": ".bz2"}
_CHUNK = 2**24  # bytes
_SMALL = 2**28  # bytes that any file may unpack to
_RATIO = 100  # of packed to unpacked beyond that; numbers do not pack to a twentieth
_IN_MEMORY = 6  # bytes for each byte of text, while its frames are made
HEAD = 2**16  # bytes that tell what a file is


def check_file(path: Path) -> None:
    """Refuse what is no file, or cannot be read.

    Raises:
        DataError: that says what is there instead.
    """
    try:
        if path.is_dir():
            raise DataError(f"{path}: a folder; name its files, such as '{path}/*.xyz'")
        if not path.exists():
            raise DataError(f"{path}: no such file")
        if not path.is_file():
            raise DataError(f"{path}: no ordinary file")
    except OSError as error:  # a name too long, a folder that may not be searched
        raise DataError(f"{path}: {error.strerror}") from error


def is_packed(path: Path) -> bool:
    """By the name, or by what the file begins with."""
    return bool(_packing(path))


def head(path: Path) -> bytes:
    """The first bytes of the unpacked file.

    Raises:
        DataError: for a file that cannot be read.
    """
    with _opened(path) as (handle, _):
        return bytes(handle.read(HEAD))


def unpacked(path: Path) -> bytes:
    """All bytes of the unpacked file.

    Raises:
        DataError: for a file that cannot be read, that unpacks to much more than numbers do, or
            that does not fit into the memory of this machine.
    """
    chunks, n_bytes = [], 0
    with _opened(path) as (handle, size):
        _check_memory(path, size)
        while chunk := handle.read(_CHUNK):
            n_bytes += len(chunk)
            if n_bytes > max(_SMALL, _RATIO * size):
                raise DataError(
                    f"{path}: {size} bytes that unpack to more than {n_bytes // 10**6} million: no "
                    "file of numbers does that"
                )
            _check_memory(path, n_bytes)
            chunks.append(chunk)
    return b"".join(chunks)


def machine_memory() -> int:
    """Bytes of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _check_memory(path: Path, n_bytes: int) -> None:
    if _IN_MEMORY * n_bytes > machine_memory():
        raise DataError(
            f"{path}: {n_bytes / 1e9:.1f} GB of text, which takes {_IN_MEMORY} times as much memory "
            f"to read; this machine has {machine_memory() / 1e9:.0f} GB: split the file"
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, int]]:
    """The file for reading, unpacked, and its size on disk."""
    check_file(path)
    try:
        with OPENERS.get(_packing(path), open)(path, "rb") as handle:
            yield handle, path.stat().st_size
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path}: not readable ({last_line(error)})") from error


def _packing(path: Path) -> str:
    """Suffix of the compression, "" if there is none."""
    with path.open("rb") as handle:
        start = handle.read(6)
    found = next((suffix for magic, suffix in _MAGIC.items() if start.startswith(magic)), "")
    return found or (path.suffix if path.suffix in OPENERS else "")
