"""Pictures of a training run and of an evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

from e3md.accuracy.calibration import Calibration, Deviations, energy_pairs, force_pairs
from e3md.accuracy.errors import Compared, ErrorPair, Errors
from e3md.quantities import ENERGY, FORCES, STRESS

DENSE = 1000  # points, from which on a panel shows their density
DENSITY = colormaps["viridis"].resampled(12)


class Parity(NamedTuple):
    """One panel: predictions against references."""

    title: str
    pairs: NDArray[np.float64]  # (n, 2): predicted, reference; NaN without a label
    errors: ErrorPair  # in eV, eV/Å, eV/Å³
    unit: str  # of the pairs
    error_unit: str  # of the errors times 1000


class Spread(NamedTuple):
    """One panel: errors against deviations of a committee."""

    deviation: NDArray[np.float64]  # (n,) eV/Å or eV
    error: NDArray[np.float64]  # (n,) likewise
    found: Calibration
    quantity: str  # and its unit times 1000


class Curve(NamedTuple):
    """One panel: a quantity against the epoch."""

    title: str
    key: str  # columns of the metrics are named by it
    factor: float  # from the unit of the metrics to that of the title


CURVES = (
    Curve("loss", "loss", 1.0),
    Curve(FORCES.title("error"), FORCES.name, 1e3),
    Curve(ENERGY.title("error"), ENERGY.name, 1e3),
    Curve("learning rate", "learning_rate", 1.0),
)


def parity_plots(frames: Sequence[Compared], errors: Errors, folder: Path) -> list[Path]:
    """Predicted against reference: energy per atom, forces by element, stress. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = parity_panels(frames, errors)
    drawn = {folder / f"parity_{name}.png": panels for name, panels in pictures.items() if panels}
    for path, panels in drawn.items():
        _draw_parities(panels, path)
    return list(drawn)


def parity_panels(frames: Sequence[Compared], errors: Errors) -> dict[str, list[Parity]]:
    """Of each quantity; none where it has no label."""
    return {
        "energy": _energy_panels(frames, errors.energy_per_atom),
        "forces": _force_panels(frames, errors.forces_per_element),
        "stress": _stress_panels(frames, errors.stress),
    }


def _energy_panels(frames: Sequence[Compared], found: ErrorPair | None) -> list[Parity]:
    if not found:
        return []
    pairs = np.array([np.array(f.energy) / len(f.symbols) for f in frames])
    offset, said = _energy_offset(frames, pairs[:, 1])
    pairs -= offset[:, None]
    small = np.ptp(pairs[np.isfinite(pairs).all(axis=1)]) < 2.0
    unit, factor = (ENERGY.milli, 1e3) if small else (ENERGY.unit, 1.0)
    return [Parity(f"energy, {said}", factor * pairs, found, unit, ENERGY.milli)]


def _energy_offset(
    frames: Sequence[Compared], reference: NDArray[np.float64]
) -> tuple[NDArray[np.float64], str]:
    """(n_frames,) eV/atom that leave what a model has to tell apart, and their name.

    Of one composition the mean; of several what a sum over elements explains, which would hide the
    rest by its size.
    """
    elements = sorted({s for f in frames for s in f.symbols})
    shares = np.array([[f.symbols.count(e) / len(f.symbols) for e in elements] for f in frames])
    known = np.isfinite(reference)
    mean = float(reference[known].mean())
    rank = np.linalg.matrix_rank(shares[known])
    if rank == 1 or 2 * rank > known.sum():
        return np.full(len(frames), mean), f"relative to {mean:.3f} eV/atom"
    per_element = np.linalg.lstsq(shares[known], reference[known], rcond=None)[0]
    return shares @ per_element, "relative to a sum over elements"


def _force_panels(frames: Sequence[Compared], found: dict[str, ErrorPair]) -> list[Parity]:
    forces = np.stack([np.concatenate([f.forces[k] for f in frames]) for k in (0, 1)], axis=-1)
    symbols = np.concatenate([f.symbols for f in frames])
    return [
        Parity(
            f"force on {s}", forces[symbols == s].reshape(-1, 2), pair, FORCES.unit, FORCES.milli
        )
        for s, pair in found.items()
    ]


def _stress_panels(frames: Sequence[Compared], found: ErrorPair | None) -> list[Parity]:
    if not found:
        return []
    pairs = np.concatenate([np.stack([s.ravel() for s in f.stress], 1) for f in frames if f.stress])
    return [Parity(STRESS.words, 1e3 * pairs, found, STRESS.milli, STRESS.milli)]


def _draw_parities(panels: Sequence[Parity], path: Path) -> None:
    n_columns = min(len(panels), 4)
    n_rows = -(-len(panels) // n_columns)
    figure = Figure(figsize=(4.4 * n_columns, 4.2 * n_rows), layout="constrained")
    for number, panel in enumerate(panels, 1):
        draw_parity(figure.add_subplot(n_rows, n_columns, number), panel)
    figure.savefig(path, dpi=150 if n_rows < 5 else 80)


def draw_parity(axes: Axes, panel: Parity) -> None:
    """Points beside the diagonal, or their density where they are many."""
    predicted, reference = panel.pairs[np.isfinite(panel.pairs).all(axis=1)].T
    low, high = min(predicted.min(), reference.min()), max(predicted.max(), reference.max())
    margin = 0.04 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="0.6", lw=1, zorder=0)
    if len(reference) < DENSE:
        size = 8 if len(reference) < DENSE / 10 else 4
        axes.plot(reference, predicted, ".", ms=size, alpha=0.5, mew=0)
    else:
        cells = axes.hexbin(
            reference, predicted, gridsize=70, bins="log", mincnt=1, extent=(*limits, *limits),
            cmap=DENSITY, lw=0,
        )  # fmt: skip
        axes.figure.colorbar(cells, ax=axes, label="points", shrink=0.8)
    axes.set(xlabel=f"reference, {panel.unit}", ylabel=f"predicted, {panel.unit}")
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.ticklabel_format(useOffset=False)  # readable: the numbers themselves
    mae, rmse = 1e3 * panel.errors.mae, 1e3 * panel.errors.rmse
    axes.set_title(f"{panel.title}\nMAE {mae:.3g}, RMSE {rmse:.3g} {panel.error_unit}", fontsize=10)


def calibration_plot(frames: Sequence[Compared], found: Deviations, path: Path) -> Path:
    """Error against deviation of forces and energies of a committee, with the means of the bins."""
    known = calibration_panels(frames, found)
    figure = Figure(figsize=(4.2 * len(known), 4.2), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(known), squeeze=False)[0], known, strict=True):
        draw_calibration(axes, panel)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def calibration_panels(frames: Sequence[Compared], found: Deviations) -> list[Spread]:
    """Of forces and energies, where they have labels."""
    panels = [
        (force_pairs(frames), found.forces, f"{FORCES.words}, {FORCES.milli}"),
        (energy_pairs(frames), found.energy_per_atom, f"{ENERGY.words}, {ENERGY.milli}"),
    ]
    return [Spread(*pairs, bins, quantity) for pairs, bins, quantity in panels if bins]


def draw_calibration(axes: Axes, panel: Spread) -> None:
    """Both axes logarithmic and alike, with the diagonal."""
    deviation, error, found, quantity = panel
    axes.plot(1e3 * deviation, 1e3 * error, ".", ms=2, alpha=0.3, color="0.6", rasterized=True)
    bins = np.array([(b.deviation, b.error) for b in found.bins]) * 1e3
    axes.plot(*bins.T, "o-", ms=4, label="root mean square, bins")
    limits = _decades(1e3 * np.concatenate([deviation, error]))
    axes.plot(limits, limits, "--", color="0.3", lw=1, label="error = deviation")
    axes.set(xlabel=f"deviation of the {quantity}", ylabel=f"error of the {quantity}")
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    axes.legend(frameon=False)


def _decades(values: NDArray[np.float64]) -> tuple[float, float]:
    """Limits of a logarithmic axis for nearly all values, two decades apart or more."""
    low, high = np.quantile(values[values > 0], [0.01, 1.0]) if (values > 0).any() else (1.0, 1.0)
    widen = max(1.2, np.sqrt(100 * low / high))
    return float(low / widen), float(high * widen)


def learning_curves(columns: dict[str, NDArray[np.float64]], path: Path) -> Path:
    """Loss, errors and learning rate against the epoch, train beside valid, the best epoch marked.

    A quantity that was not logged, by its column or as NaN, is left out.
    """
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    for axes, curve in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
        draw_curve(axes, columns, curve)
    figure.savefig(path, dpi=150)
    return path


def draw_curve(axes: Axes, columns: dict[str, NDArray[np.float64]], curve: Curve) -> None:
    """Epochs are counted from 1, as everywhere that a user reads them."""
    epoch, (title, key, factor) = columns["epoch"] + 1, curve
    for number, part in enumerate(("train", "valid")):
        for suffix, style in (("", "-"), ("_mae", "-"), ("_rmse", "--")):
            values = columns.get(f"{part}_{key}{suffix}")
            label = f"{part} {suffix[1:].upper()}".strip()
            _curve(axes, epoch, values, factor, label=label, color=f"C{number}", ls=style)
    _curve(axes, epoch, columns.get(key), factor, color="0.3")
    best = best_epoch(columns)
    if best is not None:
        axes.axvline(best, color="0.6", lw=0.8, ls=":", label=f"best epoch, {best}")
    axes.set(xlabel="epoch", ylabel=title, yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _plain_ticks(axes)
    axes.legend(frameon=False, fontsize=8)


def _plain_ticks(axes: Axes) -> None:
    """Numbers as 300 and not 3 × 10², between the decades too where there are few."""
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter("{x:.4g}")
    axes.yaxis.set_minor_formatter("{x:.4g}" if high < 15 * low else NullFormatter())


def best_epoch(columns: dict[str, NDArray[np.float64]]) -> int | None:
    """That of the weights which are kept, counted from 1; None before any is."""
    loss = columns["valid_loss"]
    known = np.isfinite(loss).any()
    return int(columns["epoch"][np.nanargmin(loss)]) + 1 if known else None


def _curve(
    axes: Axes,
    epoch: NDArray[np.float64],
    values: NDArray[np.float64] | None,
    factor: float,
    **style: Any,
) -> None:
    if values is None:
        return
    seen = np.isfinite(values) & (values > 0)
    marker = "o" if seen.sum() < 2 else ""  # one epoch makes no line
    if seen.any():
        axes.plot(epoch[seen], factor * values[seen], marker=marker, ms=4, **style)
