"""A pytest plugin that puts E3Calculator in the place of ASE's EMT, before ASE's tests import it.

E3MD_IN_EMT_PLACE names the model file; without it EMT stays. E3MD_OUTCOMES names the JSON file that
takes the outcome of each test, and of one that failed the type and the first line of its error.
"""

import json
import os
from pathlib import Path
from typing import Any

import ase.calculators.emt
import pytest

from e3md import E3Calculator

MODEL, OUTCOMES = "E3MD_IN_EMT_PLACE", "E3MD_OUTCOMES"


class EMT(E3Calculator):
    """Called as EMT is; in double precision, as EMT's is."""

    def __init__(self, **_options: Any) -> None:
        super().__init__(os.environ[MODEL], dtype="float64")


if MODEL in os.environ:
    ase.calculators.emt.EMT = EMT

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
