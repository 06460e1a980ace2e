"""Small files that are whole or absent."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write beside the target, then rename: a full disk leaves the old file as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
