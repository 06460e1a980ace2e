"""Which files, and which of their frames: globs, and `FILE@10:20` as ASE writes it."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from e3md.data.problems import DataError, brief

_SELECTION = re.compile(r"(.+)@(-?[0-9]{1,12}|(?:-?[0-9]{0,12}:){1,2}-?[0-9]{0,12})")


class Source(NamedTuple):
    """A file and the frames that are meant."""

    file: Path
    frames: slice | int  # 3: the fourth, -1: the last


def source_of(path: Path) -> Source:
    """`a.traj@:10` are the first ten frames of a.traj, unless there is a file of that name.

    Raises:
        DataError: for a step of zero.
    """
    found = _SELECTION.fullmatch(path.name)
    if not found or path.exists():
        return Source(path, slice(None))
    file = path.with_name(found[1])
    if ":" not in found[2]:
        return Source(file, int(found[2]))
    parts = [int(part) if part else None for part in found[2].split(":")]
    if parts[2:] == [0]:
        raise DataError(f"{path}: a step of 0 frames")
    return Source(file, slice(*parts))


def expand_globs(paths: Sequence[Path]) -> list[Path]:
    """Every file that a pattern such as runs/*/OUTCAR or runs/*.traj@-1 matches, by name.

    Raises:
        DataError: for a pattern that matches nothing.
    """
    return [file for path in paths for file in _expanded(path)]


def _expanded(path: Path) -> list[Path]:
    if not glob.has_magic(str(path)) or path.exists():
        return [path]
    pattern, at, selection = str(path), "", ""
    if found := _SELECTION.fullmatch(path.name):
        pattern, at, selection = str(path.with_name(found[1])), "@", found[2]
    files = sorted(file for file in glob.glob(pattern, recursive=True) if not Path(file).is_dir())
    if not files:
        raise DataError(f"no file matches {brief(str(path))}")
    return [Path(f"{file}{at}{selection}") for file in files]


def short_names(paths: Sequence[Path]) -> dict[Path, str]:
    """The bare name of each, or the whole path where two folders have a file of that name."""
    names = [path.name for path in dict.fromkeys(paths)]
    return {path: path.name if names.count(path.name) == 1 else str(path) for path in paths}
