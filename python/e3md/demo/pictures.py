"""Pictures of the demo: both engines beside each other, and beside ab initio MD."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from e3md.analysis import (
    MeanSquareDisplacement,
    RadialDistribution,
    Trajectory,
    mean_square_displacement,
    radial_distribution,
)
from e3md.analysis.periodic import FloatArray
from e3md.analysis.plots import draw_msd, new_figure, plot_rdf

REFERENCE = Path(__file__).parent / "rdf_ab_initio.csv"
REFERENCE_NAME = "ab initio, 520 K"
PARTED = 0.1  # Å, root mean square over atoms: the paths are no longer one


def read_reference() -> RadialDistribution:
    """g(r) of the ab initio MD of the shipped structure."""
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    columns = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
    r, total = columns.pop("r"), columns.pop("total")
    partial = {(a, b): columns[f"{a}-{b}"] for a, b in (key.split("-") for key in columns)}
    return RadialDistribution(r, total, partial, {}, 1000)


def draw_rdf(runs: Mapping[str, Trajectory], with_reference: bool, title: str, path: Path) -> None:
    """g(r) of every pair, the ab initio one in gray beneath."""
    reference = read_reference()
    width = float(reference.r[1] - reference.r[0])
    r_max = float(reference.r[-1]) + width / 2
    found = {name: radial_distribution(run, r_max, len(reference.r)) for name, run in runs.items()}
    plot_rdf(found, path, {REFERENCE_NAME: reference} if with_reference else {}, title)


def draw_dynamics(runs: Mapping[str, Trajectory], title: str, path: Path) -> None:
    """MSD of each engine with its band; beside it how far the two paths are from each other."""
    figure = new_figure(1 + (len(runs) > 1))
    axes = figure.subplots(1, 1 + (len(runs) > 1), squeeze=False)[0]
    msds = {name: mean_square_displacement(run) for name, run in runs.items()}
    draw_msd(axes[0], msds, _mobile(msds))
    if len(runs) > 1:
        first, second = runs.values()
        _draw_parting(axes[1], first.time, distance(first, second))
    figure.suptitle(title, fontsize=10)
    figure.savefig(path)


def _mobile(msds: Mapping[str, MeanSquareDisplacement]) -> list[str] | None:
    """Lithium alone where there is some."""
    return ["Li"] if all("Li" in msd.by_species for msd in msds.values()) else None


def distance(first: Trajectory, second: Trajectory) -> FloatArray:
    """(n_frames,) Å, root mean square over atoms between two runs from the same start.

    The axes of one may be rotated, as LAMMPS wants them, and its lattice vectors sheared by others.
    """
    turn = _axes(second.lattices()[0]).T @ _axes(first.lattices()[0])
    difference = second.displacements() @ turn - first.displacements()
    return np.sqrt(np.square(difference).sum(axis=2).mean(axis=1))


def _axes(lattice: FloatArray) -> FloatArray:
    """Rows: along the first vector, in the plane of the first two, across it."""
    return np.linalg.solve(np.linalg.cholesky(lattice @ lattice.T), lattice)


def parted_after(first: Trajectory, second: Trajectory) -> float | None:
    """ps until two runs from the same start are PARTED; None: they never are."""
    apart = np.flatnonzero(distance(first, second) > PARTED)
    return float(first.time[apart[0]] - first.time[0]) if len(apart) else None


def _draw_parting(axes: Axes, time: FloatArray, apart: FloatArray) -> None:
    axes.plot(time[1:] - time[0], apart[1:], color="0.3")
    axes.axhline(PARTED, color="C3", lw=0.8, ls="--")
    parted = np.flatnonzero(apart > PARTED)
    when = f"{time[parted[0]] - time[0]:.2g} ps" if len(parted) else "longer than this run"
    axes.set_title(f"one path for {when}, then two samples of the same physics", fontsize=9)
    axes.set(xlabel="time (ps)", ylabel="distance of the two paths (Å, rms)", yscale="log")
    axes.set_xlim(left=0)
