"""A training killed at random moments ends as one that was not; more of them:
`PYTHONPATH=tests python -m fuzz.kills -n 50`."""

from pathlib import Path

from fuzz.kills import kill_runs


def test_a_training_that_is_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    outcome = kill_runs(3, seed=3, folder=tmp_path, epochs=15)
    assert outcome.kills.total() == 3
    assert not outcome.problems, outcome.problems
