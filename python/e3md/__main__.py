"""The program `e3md`, which is also `python -m e3md`."""

import sys
import warnings
from pathlib import Path
from typing import Any

from e3md.interrupts import Interrupted, handled


def main() -> None:
    """Run the command line; a signal ends it in words and with the status that a shell expects."""
    warnings.filterwarnings("once", module="e3md")
    warnings.showwarning = _in_a_line(warnings.showwarning)
    with handled():
        try:
            from e3md.cli import app

            app()
        except Interrupted as stopped:
            if stopped.words != "":
                print(stopped.words or "interrupted", file=sys.stderr)
            sys.exit(stopped.status)


def _in_a_line(elsewhere: Any) -> Any:
    """Our own warnings without the line of code that gives them, which says nothing to a user."""

    def show(message: Warning | str, category: Any, filename: str, *rest: Any) -> None:
        ours = Path(filename).is_relative_to(Path(__file__).parent)
        if ours or category.__module__.startswith("e3md."):
            print(f"warning: {message}", file=sys.stderr)
        else:
            elsewhere(message, category, filename, *rest)

    return show


if __name__ == "__main__":
    main()
