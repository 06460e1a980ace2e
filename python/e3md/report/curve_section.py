"""Learning curves of a run, one picture per quantity and member."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from e3md.accuracy.plots import CURVES, Curve, best_epoch, draw_curve
from e3md.report.content import Picture, Section
from e3md.report.svg import inline_svg

Columns = Mapping[str, NDArray[np.float64]]  # of metrics.csv


def curve_section(runs: Mapping[str, Columns]) -> Section:
    """runs: name → metrics; a single one may have an empty name."""
    text, pictures = [], []
    for number, (name, columns) in enumerate(runs.items()):
        best, epochs = best_epoch(dict(columns)), len(columns["epoch"])
        kept = f"the weights of epoch {best} are kept" if best else "no epoch has a loss"
        text.append(f"{name}: {epochs} epochs, {kept}" if name else f"{epochs} epochs, {kept}.")
        pictures += [
            _picture(name, columns, curve, f"curve-{number}-{curve.key}") for curve in CURVES
        ]
    text.append(
        "Errors of train are those of each batch as it was met, with weights that still jump from step to "
        "step; those of valid are of the averaged weights. That train errors, of energies above all, "
        "lie higher does not mean more than that."
    )
    return Section("curves", "Learning curves", text, pictures=pictures)


def _picture(name: str, columns: Columns, curve: Curve, key: str) -> Picture:
    figure = Figure(figsize=(4.6, 3.6), layout="constrained")
    draw_curve(figure.add_subplot(), dict(columns), curve)
    caption = f"{name}: {curve.title}" if name else curve.title
    said = f"{caption} against the epoch. {'; '.join(_ends(columns, curve))}"
    return Picture(inline_svg(figure, key, said), caption)


def _ends(columns: Columns, curve: Curve) -> Sequence[str]:
    """First and last value of each line."""
    found = []
    for part in ("train_", "valid_", ""):
        values = columns.get(f"{part}{curve.key}", columns.get(f"{part}{curve.key}_mae"))
        if values is None:
            continue
        known = values[np.isfinite(values)] * curve.factor
        if len(known):
            what = part.removesuffix("_") or curve.title
            found.append(f"{what} from {known[0]:.3g} to {known[-1]:.3g}")
    return found
