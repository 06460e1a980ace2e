"""Pictures of the tables: learning curves, and our force errors among the published."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter
from protocols import Family

from e3md.analysis.plots import new_figure


def draw_learning_curves(family: Family, rows: Sequence[Any], path: Path) -> None:
    """Force MAE against the number of training frames, both logarithmic.

    A line joins what was measured here, at three sizes or more; quoted values stand alone.
    """
    sizes = {protocol.name: protocol.n_train for protocol in family.protocols()}
    figure = new_figure()
    axes = figure.add_subplot()
    for number, row in enumerate(rows):
        points = sorted((sizes[name], cell.forces) for name, cell in row.cells.items())
        style = (
            {"color": f"C{number}", "marker": "o"} if row.ours else {"color": "0.4", "marker": "s"}
        )
        style["ls"] = "-" if row.ours and len(points) > 2 else ""
        axes.plot(*np.array(points).T, label=row.model, ms=4, **style)
    axes.set(xscale="log", yscale="log", xlabel="training frames", ylabel="force MAE (meV/Å)")
    _plain_ticks(axes.yaxis, (1, 1.5, 2, 3, 5, 7))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(sizes.values()), [str(n) for n in sizes.values()])
    axes.grid(alpha=0.3)
    axes.legend(
        fontsize=7, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.45, -0.16)
    )
    figure.savefig(path)


def draw_comparison(families: Sequence[tuple[Family, Sequence[Any]]], path: Path) -> None:
    """One line per column of each table: published force errors in gray, ours in color."""
    lines = [
        (f"{family.key} {name.removeprefix(family.key).strip('_/')}".strip(), name, rows)
        for family, rows in families
        for protocol in family.protocols()
        for name in protocol.columns()
        if any(row.ours and name in row.cells for row in rows)
    ]
    figure = new_figure(n_columns=1.5, n_rows=max(0.5, len(lines) / 9))
    axes = figure.add_subplot()
    for at, (_, name, rows) in enumerate(lines):
        _name_best(axes, at, name, rows)
        for row in rows:
            error = row.cells[name].forces if name in row.cells else None
            if error is not None:
                style = (
                    {"color": "C3", "marker": "D", "zorder": 3} if row.ours else {"color": "0.6"}
                )
                axes.plot(error, at, ls="", **{"marker": "o", **style})
    axes.set_yticks(range(len(lines)), [label for label, *_ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set(xscale="log", xlabel="test force error (meV/Å), MAE or RMSE as the source defines")
    _plain_ticks(axes.xaxis)
    axes.grid(axis="x", alpha=0.3)
    axes.plot([], [], "D", color="C3", label="e3md")
    axes.plot([], [], "o", color="0.6", label="published")
    axes.legend(fontsize=8, ncols=2, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path)


def _name_best(axes: Any, at: int, name: str, rows: Sequence[Any]) -> None:
    published = [
        (row.cells[name].forces, row.model)
        for row in rows
        if not row.ours and name in row.cells and row.cells[name].forces is not None
    ]
    if published:
        axes.annotate(
            min(published)[1], (min(published)[0], at), (0, 4), textcoords="offset points",
            fontsize=5, color="0.4",
        )  # fmt: skip


def _plain_ticks(axis: Any, subs: Sequence[float] = (1, 2, 5)) -> None:
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_locator(NullLocator())
