"""Pair curves as a picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from e3md.check.pairs import PairCurve
from e3md.check.repulsion import HOLE, WALL

MAX_PANELS = 30
TICKS = (-1000, -100, -10, -1, 0, 1, 10, 100, 1000, 10000)  # eV


def plot_pairs(
    curves: Sequence[PairCurve], path: Path, in_data: Mapping[str, float] | None = None
) -> None:
    """One panel a pair, red where a check does not pass; of many, those that repel least.

    in_data: name of a pair → Å, its shortest distance in the training data, which is marked.
    """
    in_data = in_data or {}
    shown = curves
    if len(curves) > MAX_PANELS:
        shown = sorted(curves, key=lambda curve: (-curve.hole, curve.wall))[:MAX_PANELS]
    columns = min(len(shown), 3 if len(shown) <= 9 else 6)
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(3.0 * columns + 0.6, 2.4 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, curve in zip(grid.flat, shown, strict=False):
        _panel(axes, curve, in_data.get(curve.name))
    figure.suptitle("Two atoms alone", fontsize=11)
    said = "grey: nearer than any bond, where the energy must rise inward"
    if in_data:
        said += "\ndashed: shortest distance in the data; nearer, the model was never shown"
    figure.supxlabel(f"distance, Å\n{said}", fontsize=9)
    figure.supylabel("energy of the pair, eV")
    figure.savefig(path, dpi=150, format=path.suffix[1:] or "png")


def _panel(axes: Axes, curve: PairCurve, shortest: float | None) -> None:
    axes.axhline(0, color="0.7", lw=0.8)
    axes.axvspan(float(curve.r[0]), curve.core, color="0.92", lw=0)
    if shortest is not None:
        axes.axvline(shortest, color="0.3", lw=1, ls="--")
    sound = HOLE.judge(curve.hole) == WALL.judge(curve.wall) == "pass"
    axes.plot(curve.r, curve.energy, lw=1.6, color="C0" if sound else "C3")
    axes.set_yscale("asinh", linear_width=0.3)  # logarithmic far from zero
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(curve.name, fontsize=10)
