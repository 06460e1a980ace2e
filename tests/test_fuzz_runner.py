"""What runs the damaged files sees every way in which one can end."""

import ctypes
import mmap
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.runner import Case, Limits, Outcome, Tally, Verdict, fuzz, run_case

QUICK = Limits(seconds=1.0, bytes=200 << 20)
PATIENT = Limits(seconds=15.0, bytes=200 << 20)  # of ends that a busy machine may delay


def fails(error: BaseException) -> Callable[[], bool]:
    def use() -> bool:
        raise error

    return use


def loops() -> bool:
    while True:
        pass


def fills_memory() -> bool:
    """By pages of its own: the heap may hold what an earlier test freed, which counts as had before."""
    held = mmap.mmap(-1, 2 * PATIENT.bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, len(held), mmap.PAGESIZE):
        held[at] = 1
    return loops()


def leaves_a_process_behind() -> bool:
    subprocess.Popen(["sleep", "60"])
    return True


ENDS: dict[str, tuple[Callable[[], bool], Verdict]] = {
    "equal": (lambda: True, Verdict.unchanged),
    "other": (lambda: False, Verdict.changed),
    "named": (fails(ValueError("damaged.pt: its CRC is wrong")), Verdict.refused),
    "unnamed": (fails(ValueError("index 3 is out of range")), Verdict.unclear),
    "many lines": (fails(ValueError("damaged.pt\n  is wrong")), Verdict.unclear),
    "key": (fails(KeyError("damaged.pt")), Verdict.traceback),
    "interrupt": (fails(KeyboardInterrupt()), Verdict.traceback),
    "no memory": (fails(MemoryError()), Verdict.memory),
    "segfault": (lambda: bool(ctypes.string_at(0)), Verdict.crash),
    "abort": (lambda: bool(os.kill(os.getpid(), signal.SIGABRT)), Verdict.crash),
    "exit": (lambda: os._exit(0), Verdict.crash),
    "loop": (loops, Verdict.hang),
    "big": (fills_memory, Verdict.memory),
    "children": (leaves_a_process_behind, Verdict.unchanged),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_has_its_verdict(end: str, tmp_path: Path) -> None:
    use, verdict = ENDS[end]
    start = time.monotonic()
    limits = QUICK if verdict is Verdict.hang else PATIENT
    outcome = run_case(Case(0, end, tmp_path / "damaged.pt", use), limits)
    assert outcome.verdict is verdict, outcome
    assert time.monotonic() - start < 20


def test_what_a_crash_printed_is_kept(tmp_path: Path) -> None:
    def use() -> bool:
        os.write(2, b"terminate called")
        os.abort()

    outcome = run_case(Case(0, "abort", tmp_path / "damaged.pt", use), QUICK)
    assert outcome.message == "SIGABRT terminate called"


def test_a_tally_names_the_seeds_of_bad_cases(tmp_path: Path) -> None:
    def make(seed: int) -> Case:
        file = tmp_path / f"{seed}.pt"
        file.write_text("damaged")
        return Case(seed, "bits", file, lambda: seed != 7, f"bit {seed}")

    assert fuzz(make, range(7)).ok
    tally = fuzz(make, range(5, 10), QUICK)
    assert not tally.ok
    assert (tally.count(Verdict.unchanged), tally.count(Verdict.changed)) == (4, 1)
    assert "seed 7: changed: bits bit 7" in str(tally)
    assert not list(tmp_path.iterdir())


def test_no_cases_are_not_a_success() -> None:
    tally = Tally()
    assert not tally.ok
    tally.add(Case(0, "bits", Path("x"), lambda: True), Outcome(Verdict.unchanged))
    assert tally.ok
