"""Model files in use: each is loaded once per process, whoever asks for it."""

import weakref
from pathlib import Path

from e3md._core import Potential, references_forced

_Key = tuple[str, str, str | None, bool, tuple[int, ...]]
_in_use: weakref.WeakValueDictionary[_Key, Potential] = weakref.WeakValueDictionary()


def load_potential(path: str, device: str, dtype: str | None) -> Potential:
    """The potential of a model file, shared with whatever else in this process uses that file.

    Sharing is safe: a potential does not change, and may be evaluated in several threads at once.
    A file that was written again since is another file.

    Raises:
        ValueError: for a model file, device or dtype that cannot be used; the text says why.
    """
    key = (path, device, dtype, references_forced(), _identity(path))
    found = _in_use.get(key)
    if found is None:
        found = Potential(path, device, dtype)
        _in_use[key] = found
    return found


def _identity(path: str) -> tuple[int, ...]:
    """What changes when a file is replaced, or written in place; empty where there is none."""
    try:
        status = Path(path).stat()
    except OSError:  # Potential says it better
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
