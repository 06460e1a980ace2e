"""A program in a terminal of some width, and what its user sees there."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable
from pathlib import Path

from program import Program

TOKENS = re.compile(r"\x1b\[(?P<number>\d*)[\d;?]*(?P<code>[A-Za-z])|(?P<text>[^\x1b])", re.DOTALL)
KEPT = (
    "PATH",
    "HOME",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "TMPDIR",
)  # COLUMNS, NO_COLOR... are not


class Screen:
    """Rows of text, without colors; keeps rows that scrolled away. Columns do not limit it."""

    def __init__(self) -> None:
        self.rows = [""]
        self.seen: set[str] = set()  # rows that a user could read at any time
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        """Take what the program wrote: text, and the few controls that a live display needs."""
        for token in TOKENS.finditer(text):
            if token["code"] == "A":
                self.row = max(0, self.row - int(token["number"] or 1))
            elif token["code"] == "K":
                self.seen.add(self.rows[self.row])
                self.rows[self.row] = ""
            elif token["text"]:
                self._put(token["text"])

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self.row, self.column = self.row + 1, 0
            self.rows += [""] * (self.row + 1 - len(self.rows))
        else:
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + letter + row[self.column + 1 :]
            self.column += 1


class Terminal:
    """A pseudo-terminal with a program of ours in it: `python -m e3md ...`."""

    def __init__(self, *arguments: str, columns: int, folder: Path) -> None:
        self.control, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = Program(
            *arguments, folder=folder, terminal=inside,
            env={key: os.environ[key] for key in KEPT if key in os.environ}
            | {"TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(inside)
        self.screen = Screen()

    @property
    def seen(self) -> set[str]:
        """Rows that a user could read at any time."""
        return self.screen.seen

    def type(self, keys: str) -> None:
        """Press keys: "\\x03" is Ctrl-C."""
        os.write(self.control, keys.encode())

    def watch(
        self, until: Callable[[list[str]], bool] = lambda _: False, limit: float = 400
    ) -> int:
        """Follow the output until rows are as asked, or to the end; returns the status then.

        Raises:
            TimeoutError: with what is on the screen.
        """
        end, rest = time.monotonic() + limit, b""
        while time.monotonic() < end:
            ready, _, _ = select.select([self.control], [], [], 1.0)
            if not ready:
                continue
            try:
                data = rest + os.read(self.control, 65536)
            except OSError:  # the program has ended
                os.close(self.control)
                return self.process.wait(timeout=limit)
            text = data.decode(errors="ignore")
            rest = data[len(text.encode()) :]
            self.screen.feed(text)
            self.screen.seen.update(self.screen.rows[-5:])
            if until(self.screen.rows):
                return 0
        self.process.kill()
        raise TimeoutError("\n".join(self.screen.rows))
