"""A pytest plugin that puts E3Calculator in the place of ASE's EMT, before ASE's tests import it.

E3MD_IN_EMT_PLACE names the model file; without it EMT stays. E3MD_OUTCOMES names the JSON file that
takes the outcome of each test, and of one that failed the type and the first line of its error. A
test may take five minutes (all of them take EMT half a minute): some relax without a limit of steps,
and what a small model has learned of EMT need not have a minimum where EMT has one.
"""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.calculators.emt
import pytest

from e3md import E3Calculator

LIMIT = 300  # s
MODEL, OUTCOMES = "E3MD_IN_EMT_PLACE", "E3MD_OUTCOMES"


class EMT(E3Calculator):
    """Called as EMT is; in double precision, as EMT's is."""

    def __init__(self, **_options: Any) -> None:
        super().__init__(os.environ[MODEL], dtype="float64")


if MODEL in os.environ:
    ase.calculators.emt.EMT = EMT


class NotOver(BaseException):
    """Of a test in its time; nothing may catch it."""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise NotOver(f"not over in {LIMIT} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)


_outcomes: dict[str, list[str]] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Any:
    report = (yield).get_result()
    if report.when == "call" or report.outcome != "passed":
        error = call.excinfo
        words = str(error.value).strip().splitlines() if error else []
        kind = error.typename if error and report.failed else ""
        _outcomes[item.nodeid.split("ase/test/")[-1]] = [report.outcome, kind, *words[:1]]
        Path(os.environ[OUTCOMES]).write_text(json.dumps(_outcomes, indent=1))
