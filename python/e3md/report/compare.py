"""Runs side by side: what differs in their settings, and what came of it."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from e3md.accuracy.plots import best_epoch
from e3md.data.sources import short_names
from e3md.quantities import ENERGY, FORCES, STRESS
from e3md.train.checkpoint import RunRecord, load_record, member_folders
from e3md.train.history import METRICS
from e3md.train.report import read_metrics
from e3md.train.settings import differences

HIDDEN = ("sha256.", "data.")  # settings that the line on the data stands for


class Run(NamedTuple):
    """What a run's folder tells without its weights."""

    name: str
    record: RunRecord
    first: RunRecord  # of the first member of a committee, which has the settings
    columns: dict[str, NDArray[np.float64]]  # of its curve


def compare_runs(folders: Sequence[Path], console: Console) -> None:
    """Print a table with a column for each run, and a warning where they cannot be compared.

    Raises:
        ValueError: for fewer than two runs.
        FileNotFoundError: naming the file of the run that is missing.
        DamagedFileError: naming the file of the run that is damaged.
    """
    names = short_names([folder.resolve() for folder in folders])
    if len(names) < 2:
        raise ValueError("give the folders of two or more runs")
    runs = [_load(folder, name) for folder, name in names.items()]
    table = Table("", *(escape(run.name) for run in runs))
    for part in (_what(runs), _settings(runs), _results(runs)):
        for row in part:
            table.add_row(*map(escape, row))
        table.add_section()
    console.print(table)
    for line in _remarks(runs):
        console.print(f"[yellow]warning:[/] {escape(line)}", soft_wrap=True)


def _load(folder: Path, name: str) -> Run:
    record = load_record(folder)
    first = member_folders(folder, record.members)[0]
    metrics = first / METRICS
    columns = read_metrics(metrics) if metrics.is_file() else {}
    return Run(name, record, load_record(first), columns)


Rows = list[tuple[str, ...]]


def _what(runs: Sequence[Run]) -> Rows:
    return [
        ("architecture", *(run.record.model.arch for run in runs)),
        ("members", *(str(run.record.members) for run in runs)),
        ("training frames", *(_frames(run) for run in runs)),
        ("state", *(run.record.training.state or "not known" for run in runs)),
    ]


def _frames(run: Run) -> str:
    return f"{sum(file.n_configurations for file in run.record.training.data):,}"


def _settings(runs: Sequence[Run]) -> Rows:
    """Of model and training, those in which any two runs differ."""
    every = [_flat(run) for run in runs]
    keys = dict.fromkeys(
        change.key for other in every[1:] for change in differences(every[0], other)
    )
    rows = [(key, *(_text(_value(settings, key)) for settings in every)) for key in keys]
    return [row for row in rows if not row[0].startswith(HIDDEN) and row[0] != "model.arch"]


def _flat(run: Run) -> dict[str, Any]:
    settings = run.first.settings
    return {
        "model": run.record.model.model_dump(mode="json"),
        **(settings.model_dump(mode="json") if settings else {}),
    }


def _value(settings: Mapping[str, Any], key: str) -> Any:
    found: Any = settings
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(value: Any) -> str:
    return "–" if value is None else str(value)


def _results(runs: Sequence[Run]) -> Rows:
    """Errors in the units of the report, hours, speed."""
    best = [best_epoch(run.columns) if run.columns else None for run in runs]
    rows: Rows = [
        ("epochs", *(str(len(run.columns.get("epoch", ()))) for run in runs)),
        ("best epoch", *(_text(number) for number in best)),
    ]
    statistics = ("mae", "rmse")
    for quantity, statistic in product((FORCES, ENERGY), statistics):
        key = f"valid_{quantity.name}_{statistic}"
        found = [_at(run, key, n) for run, n in zip(runs, best, strict=True)]
        rows.append((f"valid {quantity.title(statistic.upper())}", *found))
    for quantity, statistic in product((FORCES, ENERGY, STRESS), statistics):
        key = f"{quantity.error}_{statistic}"
        found = [_milli(run.record.training.test_errors.get(key)) for run in runs]
        rows.append((f"test {quantity.title(statistic.upper())}", *found))
    speeds = [run.record.speed for run in runs]
    rows.append(("hours", *(f"{s.hours:.2g}" if s else "–" for s in speeds)))
    rows.append(
        ("configurations/s", *(f"{s.configurations_per_second:,.1f}" if s else "–" for s in speeds))
    )
    return [row for row in rows if set(row[1:]) != {"–"}]


def _at(run: Run, key: str, epoch: int | None) -> str:
    """At the epoch whose weights are kept."""
    if epoch is None or key not in run.columns:
        return "–"
    return _milli(float(run.columns[key][run.columns["epoch"] == epoch - 1][0]))


def _milli(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{1e3 * value:.2f}"


def _remarks(runs: Sequence[Run]) -> list[str]:
    """What keeps errors from being compared."""
    lines = []
    known = [run for run in runs if run.first.settings]
    if len({_split_of(run) for run in known}) > 1:
        lines.append("the runs were validated on different frames: compare their test errors")
    tested = [run for run in known if run.record.training.test_errors]
    if len({tuple(run.first.settings.sha256["test"]) for run in tested if run.first.settings}) > 1:
        lines.append(
            "the runs were tested on different files: evaluate all on one, `e3md evaluate`"
        )
    if any(run.record.members > 1 for run in runs):
        lines.append("of a committee, curve and errors on valid are those of its first member")
    return lines


def _split_of(run: Run) -> tuple:
    """What decides on the frames of valid."""
    settings = run.first.settings
    assert settings is not None
    valid = tuple(settings.sha256["valid"])
    if valid:
        return valid
    return (*settings.sha256["train"], settings.data.valid_fraction, settings.training.seed)
