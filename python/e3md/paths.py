"""Paths as users write them."""

from pathlib import Path


def expand(path: str | Path) -> Path:
    """The path with ~ or ~user at its beginning replaced by the home folder, as a shell does.

    Raises:
        ValueError: for a user who is not known here.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: {error}") from None
