"""Figures of the analysis, one function per quantity; each writes one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from e3md.analysis.angles import AngleDistribution
from e3md.analysis.diffusion import Diffusion
from e3md.analysis.msd import MeanSquareDisplacement
from e3md.analysis.rdf import RadialDistribution


def new_figure(n_columns: int = 1, n_rows: int = 1) -> Figure:
    """A figure with its own canvas: no pyplot state, no display needed."""
    figure = Figure(figsize=(5.2 * n_columns, 3.6 * n_rows), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    return figure


def plot_rdf(
    runs: Mapping[str, RadialDistribution],
    path: Path,
    reference: Mapping[str, RadialDistribution] | None = None,
    title: str = "",
) -> None:
    """Partial g(r), one panel per pair; several runs (label → result) overlaid.

    Those of a reference are a thick gray line beneath.
    """
    pairs = list(next(iter(runs.values())).partial)
    n_columns = min(3, len(pairs))
    n_rows = -(-len(pairs) // n_columns)
    figure = new_figure(n_columns, n_rows)
    for number, pair in enumerate(pairs):
        axes = figure.add_subplot(n_rows, n_columns, number + 1)
        axes.axhline(1.0, color="0.8", lw=0.8)
        for label, rdf in (reference or {}).items():
            axes.plot(rdf.r, rdf.partial[pair], label=label, color="0.75", lw=4)
        for style, (label, rdf) in zip(_styles(len(runs)), runs.items(), strict=True):
            axes.plot(rdf.r, rdf.partial[pair], label=label, **style)
        axes.set(xlabel="r (Å)", ylabel=f"g(r) {pair[0]}–{pair[1]}", xlim=(0, None), ylim=(0, None))
        if number == 0 and len(runs) + len(reference or {}) > 1:
            axes.legend(fontsize=8)
    figure.suptitle(title)
    figure.savefig(path)


def plot_angles(
    runs: Mapping[str, Sequence[AngleDistribution]], path: Path, n_columns: int = 3
) -> None:
    """Bond-angle distributions, one panel per triple; several runs overlaid."""
    triples = [item.triple for item in next(iter(runs.values()))]
    n_columns = min(n_columns, len(triples))
    n_rows = -(-len(triples) // n_columns)
    figure = new_figure(n_columns, n_rows)
    for number, triple in enumerate(triples):
        axes = figure.add_subplot(n_rows, n_columns, number + 1)
        for style, (label, items) in zip(_styles(len(runs)), runs.items(), strict=True):
            item = items[number]
            axes.plot(item.angle, item.density, label=label, **style)
        axes.set(xlabel="angle (degrees)", ylabel="density (1/degree)", xlim=(0, 180))
        axes.set_title(f"{'–'.join(triple)}, bonds {item.bonds('Å')}", fontsize=10)
        axes.set_ylim(bottom=0)
        axes.set_xticks(range(0, 181, 30))
        if number == 0 and len(runs) > 1:
            axes.legend()
    figure.savefig(path)


def plot_msd(
    runs: Mapping[str, MeanSquareDisplacement],
    path: Path,
    species: Sequence[str] | None = None,
    diffusions: Sequence[Diffusion] = (),
) -> None:
    """MSD of each species against lag with its 95 % band; what was found for D in the legend.

    Windows fitted for a D are shaded. Lags beyond half of the run are left out: too few
    independent origins.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    draw_msd(axes, runs, species, diffusions)
    figure.savefig(path)


def draw_msd(
    axes: Axes,
    runs: Mapping[str, MeanSquareDisplacement],
    species: Sequence[str] | None = None,
    diffusions: Sequence[Diffusion] = (),
) -> None:
    """See plot_msd."""
    names = list(species or next(iter(runs.values())).by_species)
    found = {item.species: item for item in diffusions if item.species in names}
    for style, (label, msd) in zip(_styles(len(runs)), runs.items(), strict=True):
        shown = slice(0, max(2, len(msd.lag) // 2 + 1))
        for number, name in enumerate(names):
            color = f"C{number}" if len(names) > 1 else style["color"]
            text = f"{name}, {label}" if len(runs) > 1 else name
            text += f": {found[name].text}" if name in found else ""
            lag, mean, half = (
                a[shown] for a in (msd.lag, msd.by_species[name], msd.half_width[name])
            )
            axes.plot(lag, mean, label=text, color=color, ls=style["ls"])
            low = np.maximum(mean - half, 0.0)
            axes.fill_between(lag, low, mean + half, color=color, alpha=0.18, lw=0)
    windows = {item.window for item in found.values() if item.coefficient is not None}
    for number, window in enumerate(sorted(w for w in windows if w)):
        text = "window of the fit of D" if not number else ""
        axes.axvspan(*window, color="0.5", alpha=0.15, lw=0, label=text)
    axes.set(xlabel="lag time (ps)", ylabel="mean square displacement (Å²)")
    axes.set_title("bands: 95 % by the spread over atoms and blocks", fontsize=9)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper left")


def plot_diffusion(diffusions: Sequence[Diffusion], path: Path) -> None:
    """D of each species with its interval and the values of the blocks, or why there is none."""
    figure = new_figure()
    axes = figure.add_subplot()
    axes.axhline(0.0, color="0.8", lw=0.8)
    for number, item in enumerate(diffusions):
        if item.coefficient is None:
            reason = str(item.reason).replace(" (", "\n(")
            place = axes.get_xaxis_transform()
            axes.text(number, 0.5, reason, transform=place, ha="center", color="0.3", fontsize=9)
            continue
        spread = number + np.linspace(-0.15, 0.15, len(item.blocks))
        axes.plot(spread, item.blocks, "o", ms=4, color="0.6")
        axes.errorbar(
            number, item.coefficient, item.half_width, fmt="s", capsize=5, color=f"C{number}"
        )
    axes.set_xticks(range(len(diffusions)), [item.species for item in diffusions])
    axes.set(xlim=(-0.6, len(diffusions) - 0.4))
    if any(item.coefficient is not None for item in diffusions):
        axes.set_ylabel("D (cm²/s)")
        axes.set_title("whole run with its 95 % interval; gray: blocks", fontsize=9)
    else:
        axes.set_yticks([])
        axes.set_title("no diffusion coefficient", fontsize=9)
    figure.savefig(path)


def _styles(n_runs: int) -> list[dict[str, Any]]:
    dashes = ("-", "--", ":", "-.")
    return [{"color": f"C{run}", "ls": dashes[run % len(dashes)]} for run in range(n_runs)]
