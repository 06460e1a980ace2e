"""Errors of a model on each set: tables by quantity, element and kind, and pictures."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from e3md.accuracy.calibration import collect_deviations
from e3md.accuracy.errors import ErrorPair, Errors, collect_errors, error_rows
from e3md.accuracy.plots import calibration_panels, draw_calibration, draw_parity, parity_panels
from e3md.quantities import ENERGY, FORCES, STRESS
from e3md.report.content import Picture, Section, Table
from e3md.report.evaluated import Evaluated, errors_by_kind
from e3md.report.svg import inline_svg

MOST_KINDS = 30  # rows of a table


def error_sections(sets: Sequence[Evaluated], weights: str) -> list[Section]:
    """What there is to say; of committees the calibration too.

    weights: which ones were evaluated, a sentence.
    """
    errors = [collect_errors(one.compared) for one in sets]
    tables = [_quantities(sets, errors), *(_kinds(one) for one in sets)]
    text = [weights, *(f"{one}. {_relative(one)}" for one in sets)]
    sections = [
        Section("errors", "Errors", text, tables),
        Section("parity", "Predictions against references", pictures=_parities(sets, errors)),
    ]
    if sets[0].compared[0].deviation is not None:
        sections.append(_calibration(sets))
    return sections


def _quantities(sets: Sequence[Evaluated], errors: Sequence[Errors]) -> Table:
    rows = [{row[:2]: row[2:] for row in error_rows(found)} for found in errors]
    quantities = dict.fromkeys(key for some in rows for key in some)
    header = [f"{one.name} {statistic}" for one in sets for statistic in ("MAE", "RMSE")]
    lines = [
        (*key, *(cell for some in rows for cell in some.get(key, ("–", "–")))) for key in quantities
    ]
    return Table("Errors by quantity and element", ("quantity", "unit", *header), lines)


def _kinds(one: Evaluated) -> Table:
    """The kinds with the largest errors of the forces first."""
    found = list(errors_by_kind(one).items())
    found.sort(key=lambda item: item[1].forces.rmse if item[1].forces else 0.0, reverse=True)
    caption = f"Errors on {one.name} by configuration type or composition"
    if len(found) > MOST_KINDS:
        caption += f": the {MOST_KINDS} worst of {len(found)}"
    titles = [q.title(statistic) for q in (ENERGY, FORCES) for statistic in ("MAE", "RMSE")]
    header = ["type", "frames", *titles]
    stress = any(e.stress for _, e in found)
    rows = [
        (kind, str(e.n_frames), *_milli(e.energy_per_atom), *_milli(e.forces))
        + ((_milli(e.stress)[1],) if stress else ())
        for kind, e in found[:MOST_KINDS]
    ]
    header += [STRESS.title("RMSE")] if stress else []
    return Table(caption, header, rows)


def _milli(pair: ErrorPair | None) -> tuple[str, str]:
    return (f"{1e3 * pair.mae:.2f}", f"{1e3 * pair.rmse:.2f}") if pair else ("–", "–")


def _relative(one: Evaluated) -> str:
    """The error of the forces beside their size, which is what makes it small or large."""
    predicted, reference = (np.concatenate([f.forces[k] for f in one.compared]) for k in (0, 1))
    known = np.isfinite(reference)
    if not known.any():
        return "No forces are labelled."
    size = float(np.sqrt(np.mean(reference[known] ** 2)))
    error = float(np.sqrt(np.mean((predicted - reference)[known] ** 2)))
    if size == 0:
        return "All forces are zero."
    return f"The RMSE of the forces is {100 * error / size:.1f} % of their RMS, {size:.3f} eV/Å."


def _parities(sets: Sequence[Evaluated], errors: Sequence[Errors]) -> list[Picture]:
    pictures = []
    for number, (one, found) in enumerate(zip(sets, errors, strict=True)):
        panels = [p for some in parity_panels(one.compared, found).values() for p in some]
        for k, panel in enumerate(panels):
            mae, rmse = 1e3 * panel.errors.mae, 1e3 * panel.errors.rmse
            caption = f"{one.name}: {panel.title}"
            alternative = (
                f"Predicted against reference, {caption}: MAE {mae:.3g}, RMSE {rmse:.3g} "
                f"{panel.error_unit}, on the diagonal where they agree"
            )
            draw = _with(draw_parity, panel)
            pictures.append(_picture(draw, f"parity-{number}-{k}", caption, alternative))
    return pictures


def _calibration(sets: Sequence[Evaluated]) -> Section:
    """Whether the deviation of the members tells the error."""
    rows, pictures = [], []
    for number, one in enumerate(sets):
        for k, panel in enumerate(
            calibration_panels(one.compared, collect_deviations(one.compared))
        ):
            quantity = panel.quantity.partition(",")[0]
            caption = f"{one.name}: {quantity}"
            ratio, rank = (_plain(v) for v in (panel.found.ratio, panel.found.rank_correlation))
            rows.append((caption, str(len(panel.error)), ratio, rank))
            alternative = f"Error against deviation, {caption}: ratio {ratio}, rank {rank}"
            draw = _with(draw_calibration, panel)
            pictures.append(_picture(draw, f"calibration-{number}-{k}", caption, alternative))
    header = ("quantity", "labels", "RMS error / RMS deviation", "rank correlation")
    text = ["A ratio of 1 means that the deviation of the members can be taken for the error."]
    table = Table("Error against the deviation of the members", header, rows)
    return Section("calibration", "Calibration", text, [table], pictures)


def _plain(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _with(draw: Callable[..., None], panel: object) -> Callable[[Axes], None]:
    return lambda axes: draw(axes, panel)


def _picture(draw: Callable[[Axes], None], name: str, caption: str, alternative: str) -> Picture:
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    draw(figure.add_subplot())
    return Picture(inline_svg(figure, name, alternative), caption)
