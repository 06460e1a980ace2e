"""What is wrong with reference data, in words that name file and frame."""

import re
import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

MAX_LINES = 20  # of errors or warnings of one kind
MAX_LINE = 600  # characters of one; what is quoted in it may be of any length
_QUOTED = 60  # characters of a value
_KEY = re.compile(r"data\.keys\.(energy|forces|stress|virial)\b(?: \(--\1-key\))?")


class DataError(ValueError):
    """Frames that cannot be trained on; the message lists file, frame and reason of each."""


def as_options(text: str) -> str:
    """A hint for a command that has no configuration: `--energy-key` for `data.keys.energy`."""
    return _KEY.sub(r"--\1-key", text)


@contextmanager
def hints_as_options() -> Iterator[None]:
    """The same for what is raised in the block."""
    try:
        yield
    except DataError as error:
        raise DataError(as_options(str(error))) from error


class _Brief(reprlib.Repr):
    """repr of the first few entries, a few levels deep: aliases make 9^9 entries of nine."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 3
        self.maxstring = self.maxother = self.maxlong = _QUOTED


_brief = _Brief()


def brief(value: object) -> str:
    """A value as messages quote it: text as it stands, all else as Python writes it, shortened."""
    if isinstance(value, int) and abs(value) >= 10**_QUOTED:
        return "an integer of many digits"  # Python refuses to write those of more than 4300
    if isinstance(value, np.ndarray | np.generic):
        value = value.item() if value.size == 1 else str(value.ravel()[:_QUOTED])
    text = value if isinstance(value, str) else _brief.repr(value)
    return one_line(text, _QUOTED)


def one_line(text: str, most: int = MAX_LINE) -> str:
    """One line of printable text, cut at its end.

    Files of strangers may hold line ends and a terminal's commands where a name should be.
    """
    text = text if len(text) <= most else text[: most - 3] + "..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def last_line(error: BaseException) -> str:
    """What another program says of a fault: the last line of its message, else its kind."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1].strip(), 200) if lines else type(error).__name__


def raise_listed(errors: Sequence[str]) -> None:
    """One DataError for all unusable frames, if there are any."""
    if errors:
        raise DataError(f"{len(errors)} unusable frame(s):\n  " + "\n  ".join(shorten(errors)))


def shorten(lines: Sequence[str]) -> list[str]:
    """The first lines, each of bounded length, and how many there are in all."""
    shown = [one_line(line) for line in lines[:MAX_LINES]]
    return [*shown, *([f"... {len(lines)} in all"] if lines[MAX_LINES:] else [])]


def some(names: Sequence[str], most: int = 5) -> str:
    """A list for a sentence: the first names, and how many more there are."""
    shown = ", ".join(one_line(name, 2 * _QUOTED) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
