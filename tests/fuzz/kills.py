"""Trainings that are killed at random moments end with the weights and curve of one that was not.

    PYTHONPATH=tests python -m fuzz.kills -n 50 --seed 1

Each run is killed several times and resumed each time; every fifth kill is aimed at the write of a
checkpoint, the others fall anywhere between the start of the program and its end.
"""

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from e3md.train.checkpoint import BEST, LAST, RECORD
from e3md.train.history import METRICS
from fuzz.runs import same
from program import Program
from training_data import write_run

# SIGKILL leaves -9, as nobody can answer to it
STATUS = {
    signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 0,
}  # fmt: skip
# after an epoch how to go on and how to export, before it how to start again
WORDS = re.compile(
    r"interrupted$|stopped by SIG\w+ (after epoch \d+ of \d+: continue with `e3md train .* --resume`\n"
    r"to use the best weights so far: `e3md export .*`|before .*: .*start again with .*)$"
)
KILLS_PER_RUN = 5
PATIENCE = 300  # s for anything, on a machine that is busy


@dataclass
class Outcome:
    """What became of the kills."""

    kills: Counter[str] = field(default_factory=Counter)  # by signal and place
    problems: list[str] = field(default_factory=list)


def kill_runs(
    n: int, seed: int, folder: Path, epochs: int = 40, after_each: Callable[[str], None] = print
) -> Outcome:
    """Kill trainings n times in all.

    epochs: of a run; with more of them more kills fall into epochs.
    """
    choose, outcome = random.Random(seed), Outcome()
    whole = write_run(folder / "whole", max_epochs=epochs, threads=1).parent
    started = time.monotonic()
    _finish(_start(whole, resume=False))
    duration = time.monotonic() - started
    while (left := n - outcome.kills.total()) > 0:
        run = folder / f"run_{outcome.kills.total()}"
        write_run(run, max_epochs=epochs, threads=1)
        for _ in range(min(left, KILLS_PER_RUN)):
            _kill_once(run, duration, choose, outcome)
        resumed = _finish(_start(run, resume=_began(run)))
        if resumed:
            outcome.problems.append(f"{run.name}: did not resume: {resumed}")
        else:
            outcome.problems += [f"{run.name}: {line}" for line in _differences(whole, run)]
        after_each(f"{outcome.kills.total()} kills, {len(outcome.problems)} problems")
    return outcome


def _kill_once(folder: Path, duration: float, choose: random.Random, outcome: Outcome) -> None:
    signum = choose.choice(list(STATUS))
    aimed = choose.random() < 0.2
    process = _start(folder, resume=_began(folder))
    place = "in a write" if aimed else "anywhere"
    if aimed:
        _wait_for_write(folder, process)
    else:
        time.sleep(choose.uniform(0.1, 0.8) * duration)
    ended = process.poll() is not None
    process.send_signal(signum)
    said = process.communicate(timeout=PATIENCE)[1]
    place = "after its end" if ended else place
    outcome.kills[f"{signum.name} {place}"] += 1
    # one that had ended, or was about to, has its own status
    if process.returncode not in (STATUS[signum], 0, *_too_early(signum, said)):
        outcome.problems.append(f"{signum.name} {place}: status {process.returncode}: {said}")
    if "Traceback" in said:
        outcome.problems.append(f"{signum.name} {place}: {said}")
    if process.returncode == STATUS[signum] and said and not WORDS.search(said):
        outcome.problems.append(f"{signum.name} {place}: words: {said}")


def _too_early(signum: signal.Signals, said: str) -> list[int]:
    """Before the program handles signals Python or the system answers; nothing is begun then."""
    return [] if said else [-signum]


def _start(folder: Path, resume: bool) -> Program:
    command = ["train", "config.yaml", *(["--resume"] if resume else [])]
    return Program(*command, folder=folder, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _began(folder: Path) -> bool:
    return any((folder / "run" / name).exists() for name in (LAST, BEST))


def _wait_for_write(folder: Path, process: Program) -> None:
    """Until a checkpoint is being written, or the training ended."""
    deadline = time.monotonic() + PATIENCE
    run = folder / "run"
    while process.poll() is None and time.monotonic() < deadline:
        if any(".ckpt." in entry for entry in _entries(run)):
            return


def _entries(folder: Path) -> Iterator[str]:
    return iter(os.listdir(folder)) if folder.is_dir() else iter(())


def _finish(process: Program) -> str:
    """Wait; what it said if it failed."""
    said = process.communicate(timeout=PATIENCE)[1]
    return f"status {process.returncode}: {said}" if process.returncode else ""


def _differences(whole: Path, killed: Path) -> list[str]:
    """Weights, optimizer and curve to the last bit; files that should not be there."""
    found = []
    for name in (BEST, LAST):
        one, other = (torch.load(f / "run" / name, weights_only=True) for f in (whole, killed))
        if one["epoch"] != other["epoch"] or not same(one["state_dict"], other["state_dict"]):
            found.append(f"{name} differs")
        if not same(one["optimizer_states"], other["optimizer_states"]):
            found.append(f"the optimizer in {name} differs")
    if len({(f / "run" / METRICS).read_text() for f in (whole, killed)}) > 1:
        found.append(f"{METRICS} differs")
    if '"finished"' not in (killed / "run" / RECORD).read_text():
        found.append(f"{RECORD} does not say that it is finished")
    left = [path.name for path in (killed / "run").rglob(".*")]
    return found + [f"left behind: {name}" for name in left]


def main() -> None:
    """Print figures; status 1 if a run differs, fails or shows a traceback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=50, help="kills")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_runs(arguments.n, arguments.seed, Path(folder))
    for what, count in sorted(outcome.kills.items()):
        print(f"{count:4d}  {what}")
    print(f"{outcome.kills.total()} kills, {len(outcome.problems)} problems")
    print("\n".join(outcome.problems))
    sys.exit(bool(outcome.problems))


if __name__ == "__main__":
    main()
