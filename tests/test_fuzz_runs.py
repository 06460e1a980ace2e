"""Damaged checkpoints and caches; more of them: `PYTHONPATH=tests python -m fuzz runs -n 500`."""

from pathlib import Path

from fuzz.runner import Verdict, fuzz
from fuzz.runs import cases


def test_damaged_checkpoints_and_caches_are_refused_by_name_or_read_as_they_were(
    tmp_path: Path,
) -> None:
    tally = fuzz(cases(tmp_path), range(60))
    assert tally.ok, tally
    assert tally.count(Verdict.refused) > 30, tally
