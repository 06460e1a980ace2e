"""Signals that end a command: they wait for what must not be cut, and arrive as Interrupted."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WARNING = signal.SIGUSR1  # what Slurm is asked to send some time before the limit


class Interrupted(BaseException):
    """A signal ended the command; no Exception, so that nothing takes it for a failure.

    words: what is said of it, one or more lines; None where nobody knew more than that it came.
    status: of the process, as a shell has it; 0 after a warning, which a job may go on from.
    """

    def __init__(self, signum: signal.Signals) -> None:
        super().__init__(signum.name)
        self.signum = signum
        self.words: str | None = None
        self.status = 0 if signum == WARNING else 128 + signum


@dataclass
class _Arrived:
    signum: signal.Signals | None = None  # the first that came: it decides on the words and status
    raised: bool = False
    held: int = 0  # blocks that must not be cut, one in another


_arrived = _Arrived()


@contextmanager
def handled(*more: signal.Signals) -> Iterator[None]:
    """In the block, ENDING and `more` raise Interrupted; what the caller ignores (nohup) stays so.

    A second Ctrl-C ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _arrived
    before = {signum: signal.getsignal(signum) for signum in (*ENDING, *more)}
    if _arrive not in before.values():
        _arrived = _Arrived()
    try:
        for signum, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(signum, _arrive)
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def take_back() -> None:
    """Handle signals again that a library took for itself."""
    for signum in (*ENDING, WARNING):
        handler = signal.getsignal(signum)
        if callable(handler) and handler not in (_arrive, signal.default_int_handler):
            signal.signal(signum, _arrive)


def _arrive(signum: int, _: FrameType | None) -> None:
    if _arrived.signum is not None:
        return
    _arrived.signum = signal.Signals(signum)
    # torchrun passes on a Ctrl-C that its processes have had already
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not _arrived.held:
        stop_if_asked()


@contextmanager
def hold() -> Iterator[None]:
    """Signals wait for the end of the block."""
    _arrived.held += 1
    try:
        yield
    finally:
        _arrived.held -= 1
    if not _arrived.held:
        stop_if_asked()


def asked() -> signal.Signals | None:
    """The signal that came and waits."""
    return None if _arrived.raised else _arrived.signum


def stop_if_asked() -> None:
    """End here what a signal asked to end.

    Raises:
        Interrupted: once.
    """
    signum = asked()
    if signum is not None:
        stop(signum)


def stop(signum: signal.Signals) -> NoReturn:
    """End here as if the signal had come; those that come from now on change nothing.

    Raises:
        Interrupted: always.
    """
    _arrived.signum, _arrived.raised = signum, True
    raise Interrupted(signum)


@contextmanager
def said(words: str) -> Iterator[None]:
    """What to say of an interruption of the block, unless the place it came from knows better."""
    try:
        yield
    except Interrupted as stopped:
        if stopped.words is None:
            stopped.words = f"stopped by {stopped.signum.name} {words}"
        raise
