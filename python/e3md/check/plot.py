"""Pair curves as a picture."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from e3md.check.pairs import PairCurve

mpl.use("Agg")

MAX_PANELS = 30


def plot_pairs(curves: Sequence[PairCurve], path: Path) -> None:
    """One panel a pair; of many pairs, those with the deepest holes and the lowest walls."""
    worst = sorted(curves, key=lambda curve: (-curve.hole, curve.wall))[:MAX_PANELS]
    shown = [curve for curve in curves if curve in worst] if len(curves) > MAX_PANELS else curves
    columns = min(len(shown), 3 if len(shown) <= 9 else 6)
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(3.0 * columns + 0.6, 2.4 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, curve in zip(grid.flat, shown, strict=False):
        _panel(axes, curve)
    figure.supxlabel("distance, Å")
    figure.supylabel("energy of the pair, eV (linear within ±1)")
    figure.savefig(path, dpi=150)


def _panel(axes: Axes, curve: PairCurve) -> None:
    axes.axhline(0, color="0.7", lw=0.8)
    axes.axvspan(float(curve.r[0]), curve.core, color="0.92", lw=0)
    axes.plot(curve.r, curve.energy, lw=1.6)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_title(curve.name, fontsize=10)
