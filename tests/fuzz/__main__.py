"""python -m fuzz models -n 10000 --seed 1: many cases; exit status 1 if any ends badly."""

import argparse
import importlib
import tempfile
from pathlib import Path

from rich.progress import Progress

from fuzz.runner import fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("what", choices=("models", "runs", "text"), help="the files to damage")
    parser.add_argument("-n", type=int, default=1000, help="number of cases")
    parser.add_argument("--seed", type=int, default=1, help="of the first case; each next adds 1")
    chosen = parser.parse_args()
    make = importlib.import_module(f"fuzz.{chosen.what}").cases
    with tempfile.TemporaryDirectory() as folder, Progress() as progress:
        bar = progress.add_task(chosen.what, total=chosen.n)
        seeds = range(chosen.seed, chosen.seed + chosen.n)
        tally = fuzz(make(Path(folder)), seeds, after_each=lambda: progress.advance(bar))
    print(tally)
    return 0 if tally.ok else 1


raise SystemExit(main())
