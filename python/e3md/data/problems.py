"""What is wrong with reference data, in words that name file and frame."""

from collections.abc import Sequence

MAX_LINES = 20  # of errors or warnings of one kind


class DataError(ValueError):
    """Frames that cannot be trained on; the message lists file, frame and reason of each."""


def raise_listed(errors: Sequence[str]) -> None:
    """One DataError for all unusable frames, if there are any."""
    if errors:
        raise DataError(f"{len(errors)} unusable frame(s):\n  " + "\n  ".join(shorten(errors)))


def shorten(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many there are in all."""
    return [*lines[:MAX_LINES], *([f"... {len(lines)} in all"] if lines[MAX_LINES:] else [])]


def some(names: Sequence[str], most: int = 5) -> str:
    """A list for a sentence: the first names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
