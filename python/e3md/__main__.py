"""The program `e3md`, which is also `python -m e3md`."""

import sys

from e3md.interrupts import Interrupted, handled


def main() -> None:
    """Run the command line; a signal ends it in words and with the status that a shell expects."""
    with handled():
        try:
            from e3md.cli import app

            app()
        except Interrupted as stopped:
            if stopped.words != "":
                print(stopped.words or "interrupted", file=sys.stderr)
            sys.exit(stopped.status)


if __name__ == "__main__":
    main()
