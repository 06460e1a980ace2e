"""Figures of the analysis, one function per quantity; each writes one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
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


def plot_rdf(runs: Mapping[str, RadialDistribution], path: Path) -> None:
    """Partial g(r), one panel per pair; several runs (label → result) overlaid."""
    pairs = list(next(iter(runs.values())).partial)
    n_columns = min(3, len(pairs))
    n_rows = -(-len(pairs) // n_columns)
    figure = new_figure(n_columns, n_rows)
    for number, pair in enumerate(pairs):
        axes = figure.add_subplot(n_rows, n_columns, number + 1)
        axes.axhline(1.0, color="0.8", lw=0.8)
        for style, (label, rdf) in zip(_styles(len(runs)), runs.items(), strict=True):
            axes.plot(rdf.r, rdf.partial[pair], label=label, **style)
        axes.set(xlabel="r (Å)", ylabel=f"g(r) {pair[0]}–{pair[1]}", xlim=(0, None), ylim=(0, None))
        if number == 0 and len(runs) > 1:
            axes.legend()
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
        axes.set_title(f"{'–'.join(triple)}, bonds < {item.cutoffs[0]:.2f} Å", fontsize=10)
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
    """MSD of each species against lag; the windows fitted for D shaded.

    Lags beyond half of the run are left out: too few independent origins.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    names = list(species or next(iter(runs.values())).by_species)
    for style, (label, msd) in zip(_styles(len(runs)), runs.items(), strict=True):
        shown = slice(0, max(2, len(msd.lag) // 2 + 1))
        for number, name in enumerate(names):
            color = f"C{number}" if len(names) > 1 else style["color"]
            text = f"{name}, {label}" if len(runs) > 1 else name
            axes.plot(
                msd.lag[shown],
                msd.by_species[name][shown],
                label=text,
                color=color,
                ls=style["ls"],
            )
    for begin, end in sorted({item.window for item in diffusions if item.species in names}):
        axes.axvspan(begin, end, color="0.5", alpha=0.15, lw=0, label="window of the fit of D")
    axes.set(xlabel="lag time (ps)", ylabel="mean square displacement (Å²)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(path)


def plot_diffusion(diffusions: Sequence[Diffusion], path: Path) -> None:
    """D of each species with its error bar, and the values of the blocks behind it."""
    figure = new_figure()
    axes = figure.add_subplot()
    for number, item in enumerate(diffusions):
        spread = number + np.linspace(-0.15, 0.15, len(item.blocks))
        axes.plot(spread, item.blocks, "o", ms=4, color="0.6", label="blocks" if not number else "")
        axes.errorbar(
            number,
            item.coefficient,
            yerr=item.error,
            fmt="s",
            capsize=5,
            color=f"C{number}",
            label="whole run ± standard error" if not number else "",
        )
    axes.axhline(0.0, color="0.8", lw=0.8)
    axes.set_xticks(range(len(diffusions)), [item.species for item in diffusions])
    axes.set(ylabel="D (cm²/s)", xlim=(-0.6, len(diffusions) - 0.4))
    axes.legend()
    figure.savefig(path)


def _styles(n_runs: int) -> list[dict[str, Any]]:
    dashes = ("-", "--", ":", "-.")
    return [{"color": f"C{run}", "ls": dashes[run % len(dashes)]} for run in range(n_runs)]
