"""Pictures take three quarters of a short training: tests draw those that they look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_draw = Figure.savefig


def leave_out() -> None:
    """From now on pictures are empty files."""
    Figure.savefig = _touch


@contextmanager
def drawn() -> Iterator[None]:
    """In the block pictures are drawn."""
    Figure.savefig = _draw
    try:
        yield
    finally:
        leave_out()


def _touch(_: Figure, file: Any, **__: Any) -> None:
    if isinstance(file, str | Path):
        Path(file).touch()
