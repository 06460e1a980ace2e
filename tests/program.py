"""`e3md` in processes of its own, forked from one that has imported torch and Lightning: 7 s saved each.

How a process starts from nothing is tested with `python -m e3md` (test_signals, test_recipes).
"""

import fcntl
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import drawing

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["e3md.cli", "e3md.train.run"])


class _Inherited:
    """An open file that goes along to another process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.number),)


def _received(handle: Any) -> _Inherited:
    return _Inherited(handle.detach())


class Program:
    """As subprocess.Popen of `python -m e3md ARGUMENTS`, but its pictures are empty files.

    terminal: descriptor of the terminal that it runs in; without one, output is kept here.
    ignored: signals that it is started with ignoring, as nohup does.
    """

    def __init__(
        self, *arguments: str, folder: Path, env: Mapping[str, str] | None = None,
        terminal: int | None = None, ignored: Sequence[signal.Signals] = (),
    ) -> None:  # fmt: skip
        self._said = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115  of its lifetime
        with open(os.devnull) as null:
            files = [null.fileno(), *(file.fileno() for file in self._said)]
            if terminal is not None:
                files = [terminal] * 3
            self._process = _FORKS.Process(
                target=_run,
                args=(arguments, folder, dict(os.environ if env is None else env), terminal is not None,
                      ignored, *map(_Inherited, files)),
            )  # fmt: skip
            self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def output(self) -> str:
        """All that it has printed so far."""
        return self._text(0)

    def _text(self, number: int) -> str:
        file = self._said[number].fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode()

    def wait_for(self, condition: Callable[[str], bool], timeout: float) -> None:
        """Until its output is as asked.

        Raises:
            TimeoutError: if it is not, or the process has ended.
        """
        end = time.monotonic() + timeout
        while not condition(self.output()):
            if self.returncode is not None or time.monotonic() > end:
                raise TimeoutError(self.output() + self._text(1))
            time.sleep(0.01)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(self.output() + self._text(1))
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it printed and what it told as errors, once it has ended."""
        self.wait(timeout)
        return self.output(), self._text(1)

    def send_signal(self, signum: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(
    arguments: Sequence[str], folder: Path, environment: dict[str, str], in_terminal: bool,
    ignored: Sequence[signal.Signals], *files: _Inherited,
) -> None:  # fmt: skip
    if in_terminal:
        os.setsid()
    for number, file in enumerate(files):
        os.dup2(file.number, number)
    if in_terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which servers of forks ignore
    for signum in ignored:
        signal.signal(signum, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["e3md", *arguments]
    drawing.leave_out()
    runpy.run_module("e3md", run_name="__main__", alter_sys=True)
