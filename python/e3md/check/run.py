"""The checks in order, their lines, and the files written."""

import json
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from e3md.calculator import NotFinished, StressNotTrained
from e3md.check.cost import memory, speed
from e3md.check.derivatives import forces, stress
from e3md.check.dynamics import drift
from e3md.check.pairs import shortest_in_data
from e3md.check.plot import plot_pairs
from e3md.check.repulsion import hole, wall
from e3md.check.result import CheckResult, Status
from e3md.check.smoothness import cutoff
from e3md.check.subject import Subject, read_subject
from e3md.check.symmetry import inversion, rotation
from e3md.check.tables import tables
from e3md.check.training import training
from e3md.files import write_text
from e3md.neighbors import cell_volume

Check = Callable[[Subject], CheckResult]
CHECKS: tuple[Check, ...] = (
    training, rotation, inversion, cutoff, hole, wall, forces, stress, drift, tables, speed, memory,
)  # fmt: skip
COLORS: dict[Status, str] = {"pass": "green", "warn": "yellow", "fail": "bold red"}


def applicable(subject: Subject) -> list[Check]:
    """All checks, in order; stress only where the cell has a volume."""
    has_volume = np.isfinite(cell_volume(subject.atoms.cell.array))
    return [check for check in CHECKS if check is not stress or has_volume]


def run_checks(subject: Subject) -> Iterator[CheckResult]:
    """What each of them finds."""
    for check in applicable(subject):
        yield _guarded(check, subject)


def _guarded(check: Check, subject: Subject) -> CheckResult:
    """A check that cannot be finished, as where an energy is not finite, fails."""
    try:
        with _told_by_the_first_check():
            return check(subject)
    except (ValueError, RuntimeError) as error:
        return CheckResult(check.__name__, "fail", math.nan, math.nan, str(error))


@contextmanager
def _told_by_the_first_check() -> Iterator[None]:
    """Warnings that its line holds are not given."""
    with warnings.catch_warnings():
        for category in (NotFinished, StressNotTrained):
            warnings.simplefilter("ignore", category)
        yield


@_told_by_the_first_check()
def check_and_print(
    model: Path, structure: Path | None, picture: Path, json_path: Path | None
) -> bool:
    """Print a line per check, draw the pair curves, optionally write JSON; True if none fails.

    Raises:
        ValueError: for a file that is no e3md model, or a structure that it cannot evaluate.
    """
    console = Console()
    with console.status("reading the model and its first evaluation"):
        subject = read_subject(model, structure)
    what = structure or "a rattled crystal"
    console.print(
        f"{model} on {what}: {subject.atoms.get_chemical_formula()}",
        highlight=False,
        soft_wrap=True,
    )
    results = []
    for check in applicable(subject):
        with console.status(f"checking: {check.__name__}"):
            results.append(_guarded(check, subject))
        _print(results[-1], console)
    if json_path:
        write_text(json_path, to_json(results))
    picture.parent.mkdir(parents=True, exist_ok=True)
    known = {c.name: shortest_in_data(subject.record.training, c.species) for c in subject.curves}
    plot_pairs(subject.curves, picture, {name: r for name, r in known.items() if r})
    console.print(f"pair curves: {picture}", highlight=False, soft_wrap=True)
    return all(result.status != "fail" for result in results)


def to_json(results: list[CheckResult]) -> str:
    """A list of objects; a figure that could not be had is null."""
    rows = [asdict(result) for result in results]
    for row in rows:
        row |= {k: None for k in ("value", "threshold") if math.isnan(row[k])}
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def _print(result: CheckResult, console: Console) -> None:
    figure = f"{result.value:>8.2g} (limit {result.threshold:g})"
    if math.isnan(result.value):
        figure = "no figure"
    color = COLORS[result.status]
    console.print(
        f"[{color}]{result.status}[/]  {result.name:<9} {figure}: ", end="", highlight=False
    )
    console.print(result.message, highlight=False, markup=False, soft_wrap=True)
