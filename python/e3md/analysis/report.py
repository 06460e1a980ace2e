"""All analyses of one trajectory, written as CSV and PNG files."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from e3md.analysis import plots
from e3md.analysis.angles import (
    BOND,
    AngleDistribution,
    angle_distribution,
    bonded_triples,
)
from e3md.analysis.diffusion import Diffusion, diffusion_coefficient
from e3md.analysis.drift import drift_note
from e3md.analysis.msd import MeanSquareDisplacement, mean_square_displacement
from e3md.analysis.periodic import FloatArray
from e3md.analysis.rdf import RadialDistribution, radial_distribution
from e3md.analysis.trajectory import Trajectory
from e3md.files import write_text

_RARE = 0.01  # angles of one central atom: chance encounters


@dataclass(frozen=True)
class AnalysisOptions:
    """What to compute. Lengths in Å, times in ps."""

    r_max: float = 8.0  # largest distance of g(r)
    # a-b-c → cutoff of its bonds, or of b-a and b-c; None: triples that are bonded
    angles: Mapping[tuple[str, str, str], float | tuple[float, float]] | None = None
    window: tuple[float, float] | None = None  # lags of the diffusion fit; None: automatic
    n_blocks: int = 5  # parts of the trajectory behind the error bar of D
    remove_drift: bool = True  # measure displacements from the center of mass
    skip: float = 0.0  # equilibration left out at the start


@dataclass(frozen=True)
class Analysis:
    """Results of `analyze`. What the trajectory does not allow is absent, with the reason."""

    rdf: RadialDistribution | None
    angles: list[AngleDistribution]
    msd: MeanSquareDisplacement | None
    diffusion: list[Diffusion]
    notes: list[str]  # what was found in the file, what was left out and why, and warnings
    files: list[Path]


def analyze(
    trajectory: Trajectory,
    output: str | Path,
    options: AnalysisOptions | None = None,
    console: Console | None = None,
) -> Analysis:
    """g(r), bond angles, MSD and D of a trajectory: CSV and PNG into `output`, a summary printed.

    Args:
        trajectory: see read_trajectory.
        output: directory, made if absent.
        options: defaults where None.
        console: where to print the summary; standard output by default.

    Raises:
        ValueError: options that do not fit the trajectory (unknown species, nothing left after
            `skip`, a window longer than a block).
    """
    options = options or AnalysisOptions()
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    trajectory = _skip(trajectory, options.skip)
    notes = list(trajectory.notes)
    rdf = _rdf(trajectory, options, notes)
    angles = _angles(trajectory, rdf, options, notes)
    msd, diffusion = _dynamics(trajectory, options, notes)
    files = _write(output, rdf, angles, msd, diffusion)
    analysis = Analysis(rdf, angles, msd, diffusion, notes, files)
    _print_summary(analysis, trajectory, output, console or Console())
    return analysis


def _skip(trajectory: Trajectory, skip: float) -> Trajectory:
    start = int(np.searchsorted(trajectory.time, trajectory.time[0] + skip - 1e-9))
    if start >= trajectory.n_frames:
        length = trajectory.time[-1] - trajectory.time[0]
        raise ValueError(f"skip = {skip:g} ps leaves nothing of the {length:g} ps trajectory")
    return trajectory.select(start)


def _rdf(
    trajectory: Trajectory, options: AnalysisOptions, notes: list[str]
) -> RadialDistribution | None:
    if not all(trajectory.pbc):
        notes.append("g(r): left out, the system is not periodic in three directions")
        return None
    return radial_distribution(trajectory, options.r_max, n_bins=round(options.r_max / 0.05))


def _angles(
    trajectory: Trajectory,
    rdf: RadialDistribution | None,
    options: AnalysisOptions,
    notes: list[str],
) -> list[AngleDistribution]:
    requests = options.angles
    if requests is None:
        requests = bonded_triples(rdf) if rdf is not None else {}
        if not requests:
            notes.append(
                "angles: left out, no two species are bonded (first minimum of g(r) within "
                f"{BOND:g} times their covalent radii); give triples (AnalysisOptions.angles)"
            )
    found = [angle_distribution(trajectory, triple, cut) for triple, cut in requests.items()]
    if options.angles is None:  # O-H-O of water has its bonds, but not at one atom
        found = [item for item in found if item.angles_per_center > _RARE]
    return found


def _dynamics(
    trajectory: Trajectory, options: AnalysisOptions, notes: list[str]
) -> tuple[MeanSquareDisplacement | None, list[Diffusion]]:
    if trajectory.n_frames < 2:
        notes.append("MSD and D: left out, the trajectory has one frame")
        return None, []
    if options.remove_drift and (note := drift_note(trajectory)):
        notes.append(note)
    msd = mean_square_displacement(trajectory, options.remove_drift)
    diffusion = [
        diffusion_coefficient(
            trajectory, name, options.window, options.n_blocks, options.remove_drift
        )
        for name in msd.by_species
    ]
    notes.extend(_diffusion_notes(diffusion))
    return msd, diffusion


def _diffusion_notes(diffusion: list[Diffusion]) -> list[str]:
    none = [item for item in diffusion if item.coefficient is None]
    if not none:
        return []
    return [
        f"D: none for {', '.join(item.species for item in none)}; a longer run, or later lags "
        "(AnalysisOptions.window), may show one. MSD ~ τ^2: atoms still fly freely, τ^1: they "
        "diffuse, τ^0: they stay in cages"
    ]


def _write(
    output: Path,
    rdf: RadialDistribution | None,
    angles: list[AngleDistribution],
    msd: MeanSquareDisplacement | None,
    diffusion: list[Diffusion],
) -> list[Path]:
    files = []
    if rdf is not None:
        columns = {"r_A": rdf.r, "total": rdf.total}
        columns |= {"-".join(pair): g for pair, g in rdf.partial.items()}
        columns |= {f"n_{a}-{b}": n for (a, b), n in rdf.coordination.items()}
        files += [_csv(output / "rdf.csv", columns), output / "rdf.png"]
        plots.plot_rdf({"": rdf}, files[-1])
    if angles:
        columns = {"angle_degree": angles[0].angle}
        columns |= {f"{'-'.join(a.triple)}({a.bonds('A')})": a.density for a in angles}
        files += [_csv(output / "angles.csv", columns), output / "angles.png"]
        plots.plot_angles({"": angles}, files[-1])
    if msd is not None:
        columns = {"lag_ps": msd.lag, "total_A2": msd.total}
        for name, values in msd.by_species.items():
            columns |= {f"{name}_A2": values, f"{name}_half_width_95_A2": msd.half_width[name]}
        files += [_csv(output / "msd.csv", columns), output / "msd.png"]
        plots.plot_msd({"": msd}, files[-1], diffusions=diffusion)
    if diffusion:
        files += [
            _diffusion_csv(output / "diffusion.csv", diffusion),
            _diffusion_json(output / "diffusion.json", diffusion),
            output / "diffusion.png",
        ]
        plots.plot_diffusion(diffusion, files[-1])
    return files


def _csv(path: Path, columns: Mapping[str, FloatArray]) -> Path:
    table = np.column_stack(list(columns.values()))
    np.savetxt(path, table, fmt="%.8g", delimiter=",", header=",".join(columns), comments="")
    return path


def _diffusion_csv(path: Path, diffusion: list[Diffusion]) -> Path:
    """One row per species; the reason stands where there is no coefficient."""
    rows = [_diffusion_row(item) for item in diffusion]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: "" if v is None else v for k, v in row.items()} for row in rows])
    write_text(path, text.getvalue())
    return path


def _diffusion_json(path: Path, diffusion: list[Diffusion]) -> Path:
    rows = [_diffusion_row(item) for item in diffusion]
    write_text(path, json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    return path


def _diffusion_row(item: Diffusion) -> dict[str, str | float | None]:
    begin, end = item.window or (None, None)

    def rounded(value: float | None) -> float | None:
        return None if value is None else float(f"{value:.6g}")

    return {
        "species": item.species,
        "D_cm2_per_s": item.reason or rounded(item.coefficient),
        "half_width_95": rounded(item.half_width),
        "window_begin_ps": rounded(begin),
        "window_end_ps": rounded(end),
        "exponent": rounded(item.exponent),
        "exponent_half_width_95": rounded(item.exponent_half_width),
        "n_blocks": item.n_blocks,
        "n_hops": rounded(item.n_hops),
    }


def _print_summary(
    analysis: Analysis, trajectory: Trajectory, output: Path, console: Console
) -> None:
    length = trajectory.time[-1] - trajectory.time[0]
    title = f"{trajectory.n_atoms} atoms, {trajectory.n_frames} frames, {length:g} ps"
    table = Table("quantity", "value", title=title)
    if analysis.rdf is not None:
        for pair, g in analysis.rdf.partial.items():
            peak = int(np.argmax(g))
            value = f"highest peak {g[peak]:.2f} at {analysis.rdf.r[peak]:.2f} Å"
            table.add_row(f"g(r) {'-'.join(pair)}", value)
    for item in analysis.angles:
        peak = int(np.argmax(item.density))
        per_center = f"{item.angles_per_center:.2f} per {item.triple[1]}"
        value = f"most likely {item.angle[peak]:.0f}°; {per_center}"
        table.add_row(f"angle {'-'.join(item.triple)} ({item.bonds('Å')})", value)
    for d in analysis.diffusion:
        table.add_row(f"D {d.species}", d.text if d.coefficient is None else _d_and_basis(d))
    console.print(table)
    for note in analysis.notes:
        console.print(f"note: {note}", style="yellow", highlight=False)
    console.print(f"{len(analysis.files)} files in {output}", highlight=False)


def _d_and_basis(d: Diffusion) -> str:
    begin, end = d.window or (0.0, 0.0)
    hops = "" if d.n_hops is None else f" and {d.n_hops:.0f} hops"
    return (
        f"{d.text} (95 %), from {d.n_blocks} blocks{hops}; MSD ~ τ^{d.exponent:.2f} "
        f"at {begin:g}-{end:g} ps"
    )
