"""Train and test the published protocols.

    python benchmarks/accuracy/run.py --data DIR -o OUT [--only NAME ...] [--threads 1] [--minutes M]

Each experiment has a folder in OUT and, when its training is over, a file in results/. A finished
one is left alone; an unfinished one goes on where it stopped. `tables.py` makes docs/accuracy.md.
"""

from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

import typer
from families import EXPERIMENTS
from records import RESULTS, Result
from rich.console import Console
from trial import DEFAULT_MINUTES, Place, finished, perform

from e3md.train.config import ConfigError

Only = Annotated[list[str] | None, typer.Option(help="names, or patterns such as 'curves_*'")]


def select(patterns: list[str] | None) -> list[str]:
    """Names that match any pattern, in the order of the families.

    Raises:
        ConfigError: for a pattern that matches none.
    """
    for pattern in patterns or []:
        if not any(fnmatch(name, pattern) for name in EXPERIMENTS):
            raise ConfigError(f"--only {pattern}: none of {', '.join(EXPERIMENTS)}")
    return [n for n in EXPERIMENTS if patterns is None or any(fnmatch(n, p) for p in patterns)]


def main(
    data: Annotated[Path, typer.Option(envvar="E3MD_DATA", help="folder of the data sets")],
    output: Annotated[Path, typer.Option("-o", "--output", help="folder of runs and models")],
    only: Only = None,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    minutes: Annotated[
        float, typer.Option(help="of training per experiment, over all sessions")
    ] = DEFAULT_MINUTES,
    results: Annotated[Path, typer.Option(help="folder of the JSON files")] = RESULTS,
) -> None:
    """Train and test the published protocols."""
    console, failed = Console(highlight=False), []
    place = Place(data, output.resolve(), results, threads, minutes)
    for name in select(only):
        experiment = EXPERIMENTS[name]
        if finished(experiment, place):
            console.print(f"{name}: finished before")
            continue
        console.rule(name)
        try:
            console.print(summary(perform(experiment, place)), soft_wrap=True)
        except ValueError as error:  # the next one may do better
            console.print(f"[red]{name} failed:[/] {error}")
            failed.append(name)
    if failed:
        raise typer.Exit(1)


def summary(result: Result) -> str:
    """One line."""
    errors = ", ".join(
        f"{label}: {1e3 * e.forces.mae:.2f} meV/Å, {1e3 * e.energy_per_atom.mae:.3f} meV/atom"
        for label, e in result.tests.items()
    )
    done = f"{result.epochs}/{result.training['max_epochs']} epochs in {result.hours:.2f} h"
    return f"{result.name}: MAE {errors}; {done}"


if __name__ == "__main__":
    typer.run(main)
