"""Runs cases, each a damaged file and something that uses it, and says how each ended.

Every case has a process of its own, forked from one that has loaded torch and e3md, so that a crash
or a loop without end is one verdict among others and a case costs little more than its work. The
process that forks must not have started OpenMP's threads (OMP_NUM_THREADS=1, set_num_threads(1)).

    def cases(folder: Path) -> Callable[[int], Case]:
        sound = ...                                # once: the sound file and its result
        def case(seed: int) -> Case:
            rng = np.random.default_rng(seed)      # the seed makes the same case again
            ...
            return Case(seed, "bits", file, lambda: use(file) == sound)
        return case

    tally = fuzz(cases(folder), range(200))
    assert tally.ok, str(tally)
"""

import contextlib
import faulthandler
import os
import pickle
import resource
import select
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, NamedTuple

import torch

POLL = 0.01  # s between two looks at the memory of a case
SHOWN = (ValueError, FileNotFoundError)  # what the command line prints as one line
EXAMPLES = 4  # of each bad verdict that a tally keeps


class Verdict(str, Enum):
    """How a case ended."""

    refused = "refused"  # an error in one line that names the file
    unchanged = "unchanged"  # the result of the sound file
    changed = "changed"  # another result, without a word
    unclear = "unclear"  # an error of too many lines, or that does not name the file
    traceback = "traceback"  # an exception that the command line does not put into words
    crash = "crash"  # a signal, or an exit past Python
    hang = "hang"
    memory = "memory"


GOOD = (Verdict.refused, Verdict.unchanged)


@dataclass(frozen=True)
class Case:
    """A damaged file and what is done with it."""

    seed: int  # makes the same case again
    kind: str  # of damage, as the table of verdicts names it
    file: Path
    use: Callable[[], bool]  # in a process of its own: whether the result is the sound file's
    detail: str = ""  # what exactly was damaged
    lines: int = 1  # that an error may have


@dataclass(frozen=True)
class Limits:
    """What a case may take."""

    seconds: float = 20.0
    bytes: int = 2 << 30  # memory beyond what the process was forked with


class Outcome(NamedTuple):
    """The verdict, and the words it came with."""

    verdict: Verdict
    message: str = ""
    seconds: float = 0.0


def run_case(case: Case, limits: Limits | None = None) -> Outcome:
    """Use the file of a case in a process of its own."""
    limits, start = limits or Limits(), time.monotonic()
    with tempfile.TemporaryFile() as result, tempfile.TemporaryFile() as output:
        before = _private_memory(os.getpid())
        child = os.fork()
        if child == 0:
            _run_in_child(case, result, output)
        stopped, status = _watch(child, limits, before)
        seconds = time.monotonic() - start
        if stopped:
            return Outcome(stopped, _tail(output), seconds)
        if status != 0 or result.seek(0, os.SEEK_END) == 0:
            name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            return Outcome(Verdict.crash, f"{name} {_tail(output)}".strip(), seconds)
        result.seek(0)
        return Outcome(*pickle.load(result), seconds)


def _run_in_child(case: Case, result: IO[bytes], output: IO[bytes]) -> None:
    """Never returns, whatever the case does."""
    status = 3
    try:
        faulthandler.disable()  # pytest's goes on printing to the terminal
        os.setsid()  # so that processes of the case end with it
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        pickle.dump(_judge(case), result)
        result.flush()
        status = 0
    finally:
        os._exit(status)


def _judge(case: Case) -> tuple[Verdict, str]:
    try:
        return (Verdict.unchanged if case.use() else Verdict.changed), ""
    except SHOWN as error:
        text = str(error)
        clear = len(text.splitlines()) <= case.lines and case.file.name in text
        return (Verdict.refused if clear else Verdict.unclear), text
    except MemoryError:
        return Verdict.memory, "MemoryError"
    except BaseException:
        return Verdict.traceback, traceback.format_exc()


def _watch(child: int, limits: Limits, before: int) -> tuple[Verdict | None, int]:
    """Wait for a process; stop it where it takes too much. Its exit status, or minus its signal."""
    poll, deadline = select.poll(), time.monotonic() + limits.seconds
    handle = os.pidfd_open(child)
    poll.register(handle, select.POLLIN)
    stopped = None
    try:
        while not poll.poll(1000 * POLL):
            if time.monotonic() > deadline:
                stopped = Verdict.hang
            elif _private_memory(child) - before > limits.bytes:
                stopped = Verdict.memory
            if stopped:
                os.kill(child, signal.SIGKILL)
                break
    finally:
        os.close(handle)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the case started and left behind
    return stopped, status


def _private_memory(process: int) -> int:
    """Bytes of memory of its own that a process has touched; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def _tail(output: IO[bytes], most: int = 500) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - most))
    return output.read().decode(errors="replace").strip()


@dataclass
class Tally:
    """How many cases of each kind ended how, and the first of each bad verdict."""

    counts: Counter[tuple[str, Verdict]] = field(default_factory=Counter)
    bad: list[tuple[Case, Outcome]] = field(default_factory=list)
    slowest: float = 0.0  # s, of one case

    def add(self, case: Case, outcome: Outcome) -> None:
        self.counts[case.kind, outcome.verdict] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        if outcome.verdict not in GOOD and self.count(outcome.verdict) <= EXAMPLES:
            self.bad.append((case, outcome))

    @property
    def ok(self) -> bool:
        """Whether there were cases, and none of them ended badly."""
        return self.counts.total() > 0 and not self.bad

    def count(self, verdict: Verdict) -> int:
        return sum(n for (_, found), n in self.counts.items() if found is verdict)

    def __str__(self) -> str:
        """A table of kinds and verdicts, and the first bad cases with their seeds."""
        verdicts = [v for v in Verdict if self.count(v)]
        rows = [["", *(v.value for v in verdicts)]]
        for kind in sorted({kind for kind, _ in self.counts}):
            rows.append([kind, *(str(self.counts[kind, v]) for v in verdicts)])
        rows.append(["all", *(str(self.count(v)) for v in verdicts)])
        lines = ["  ".join(f"{cell:>10}" for cell in row) for row in rows]
        lines.append(f"{self.counts.total()} cases, the slowest {self.slowest:.1f} s")
        for case, (verdict, message, _) in self.bad:
            what = f"seed {case.seed}: {verdict.value}: {case.kind} {case.detail}".rstrip()
            lines += [what, *(f"    {line}" for line in message.splitlines()[-12:])]
        return "\n".join(lines)


def fuzz(
    make: Callable[[int], Case],
    seeds: Iterable[int],
    limits: Limits | None = None,
    after_each: Callable[[], None] = lambda: None,
) -> Tally:
    """Run the case of every seed; its file is removed before the next one is made."""
    torch.set_num_threads(1)
    tally = Tally()
    for seed in seeds:
        case = make(seed)
        tally.add(case, run_case(case, limits))
        case.file.unlink(missing_ok=True)
        after_each()
    return tally
