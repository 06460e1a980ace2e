"""Pictures of a training run and of an evaluation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from e3md.calibration import Calibration, Deviations, energy_pairs, force_pairs
from e3md.errors import Compared, Errors


def parity_plots(frames: Sequence[Compared], errors: Errors, folder: Path) -> list[Path]:
    """Predicted against reference: energy per atom, forces by element, stress. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    energies = np.array([np.array(f.energy) / len(f.symbols) for f in frames])
    forces = [np.concatenate([f.forces[k] for f in frames]) for k in (0, 1)]
    symbols = np.concatenate([f.symbols for f in frames])
    by_element = {
        str(s): np.stack([part[symbols == s].ravel() for part in forces], axis=1)
        for s in np.unique(symbols)
    }
    stress = [np.stack([s.ravel() for s in f.stress], axis=1) for f in frames if f.stress]
    pictures = (
        ("energy", {"": energies}, "energy, eV/atom", errors.energy_per_atom, "meV/atom"),
        ("forces", by_element, "force component, eV/Å", errors.forces, "meV/Å"),
        ("stress", {"": np.concatenate(stress or [np.zeros((0, 2))])}, "stress, eV/Å³",
         errors.stress, "meV/Å³"),
    )  # fmt: skip
    return [
        _parity(groups, quantity, found.mae, unit, folder / f"parity_{name}.png")
        for name, groups, quantity, found, unit in pictures
        if found
    ]


def _parity(
    groups: dict[str, NDArray[np.float64]], quantity: str, mae: float, unit: str, path: Path
) -> Path:
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    everything = np.concatenate(list(groups.values()))
    everything = everything[np.isfinite(everything).all(axis=1)]
    low, high = everything.min(), everything.max()
    axes.plot([low, high], [low, high], color="0.6", lw=1, zorder=0)
    groups = {name: points for name, points in groups.items() if np.isfinite(points).any()}
    for name, points in groups.items():
        axes.plot(points[:, 1], points[:, 0], ".", ms=2.5, alpha=0.5, label=name, rasterized=True)
    if len(groups) > 1:
        axes.legend(markerscale=4, frameon=False)
    axes.set(xlabel=f"reference {quantity}", ylabel=f"predicted {quantity}")
    axes.set_title(f"MAE {1e3 * mae:.2f} {unit}", fontsize=11)
    axes.set_aspect("equal", adjustable="datalim")
    figure.savefig(path, dpi=150)
    return path


def calibration_plot(frames: Sequence[Compared], found: Deviations, path: Path) -> Path:
    """Error against deviation of forces and energies of a committee, with the means of the bins."""
    panels = [
        (force_pairs(frames), found.forces, "force, meV/Å"),
        (energy_pairs(frames), found.energy_per_atom, "energy, meV/atom"),
    ]
    known = [(pairs, bins, quantity) for pairs, bins, quantity in panels if bins]
    figure = Figure(figsize=(4.2 * len(known), 4.2), layout="constrained")
    for axes, (pairs, bins, quantity) in zip(
        figure.subplots(1, len(known), squeeze=False)[0], known, strict=True
    ):
        _calibration(axes, *pairs, bins, quantity)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def _calibration(
    axes: Axes,
    deviation: NDArray[np.float64],
    error: NDArray[np.float64],
    found: Calibration,
    quantity: str,
) -> None:
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
    """Loss, errors and learning rate against the epoch; NaN where a quantity was not logged."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = [
        ("loss", {"train": ("train_loss", 1.0), "valid": ("valid_loss", 1.0)}),
        (
            "error on valid",
            {
                "forces, meV/Å": ("valid_forces_mae", 1e3),
                "energy, meV/atom": ("valid_energy_mae", 1e3),
            },
        ),
        ("learning rate", {"": ("learning_rate", 1.0)}),
    ]
    for axes, (title, lines) in zip(figure.subplots(1, 3), panels, strict=True):
        for label, (key, factor) in lines.items():
            values = columns[key] * factor
            seen = np.isfinite(values) & (values > 0)
            axes.plot(columns["epoch"][seen], values[seen], label=label)
        axes.set(xlabel="epoch", ylabel=title, yscale="log")
        if len(lines) > 1:
            axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    return path
