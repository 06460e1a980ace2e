"""Damaged data files, configurations and dumps; more: `PYTHONPATH=tests python -m fuzz text -n 2000`."""

from pathlib import Path

from fuzz.runner import Verdict, fuzz
from fuzz.text import cases


def test_damaged_texts_are_refused_by_name_or_read_in_peace(tmp_path: Path) -> None:
    tally = fuzz(cases(tmp_path), range(200))
    assert tally.ok, tally
    assert tally.count(Verdict.refused) > 100, tally
    assert tally.count(Verdict.unchanged) > 10, tally
