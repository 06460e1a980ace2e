"""What `analyze` writes: a number and its interval, or in its place the reason, everywhere alike."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "diffusion"))

import walks

from e3md.analysis import Trajectory, analyze, mean_square_displacement, plots

RNG = np.random.default_rng


@pytest.fixture
def mixture() -> Trajectory:
    """Lithium that diffuses among sulfur that does not."""
    moving, caged = walks.brownian(RNG(0), 400, 20), walks.caged(RNG(1), 400, 20, 0.3, 0.2)
    run = walks.trajectory(np.concatenate([moving, caged], axis=1))
    return Trajectory(("Li",) * 20 + ("S",) * 20, run.positions, run.cells, run.pbc, run.time)


def _texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gets all texts of the figures that are saved from here on."""
    found: list[str] = []
    new_figure = plots.new_figure

    def watched(*size: int):
        figure = new_figure(*size)
        save = figure.savefig

        def savefig(path: Path) -> None:
            save(path)
            texts = (item.get_text() for item in figure.findobj(lambda a: hasattr(a, "get_text")))
            found.extend(text.replace("\n", " ") for text in texts)

        figure.savefig = savefig
        return figure

    monkeypatch.setattr(plots, "new_figure", watched)
    return found


def test_the_reason_stands_wherever_the_number_would(mixture, tmp_path, monkeypatch):
    drawn, console = _texts(monkeypatch), Console(width=160, record=True)
    result = analyze(mixture, tmp_path, console=console)
    (li, sulfur) = result.diffusion
    assert sulfur.reason.startswith("not diffusive (τ^0.0")
    with (tmp_path / "diffusion.csv").open() as file:
        rows = {row["species"]: row for row in csv.DictReader(file)}
    entries = {e["species"]: e for e in json.loads((tmp_path / "diffusion.json").read_text())}
    assert float(rows["Li"]["D_cm2_per_s"]) == pytest.approx(li.coefficient, rel=1e-5)
    assert entries["Li"]["D_cm2_per_s"] == pytest.approx(li.coefficient, rel=1e-5)
    assert entries["Li"]["half_width_95"] == pytest.approx(li.half_width, rel=1e-5)
    assert rows["S"]["D_cm2_per_s"] == entries["S"]["D_cm2_per_s"] == sulfur.reason
    assert rows["S"]["half_width_95"] == ""
    assert entries["S"]["half_width_95"] is entries["S"]["n_hops"] is None
    said = console.export_text()
    assert f"{li.text} (95 %), from 5 blocks and {li.n_hops:.0f} hops" in said
    assert f"│ {sulfur.reason}" in said
    assert "D: none for S;" in said
    assert f"S: {sulfur.reason}" in drawn  # beside the MSD
    assert f"Li: {li.text}" in drawn
    assert sulfur.reason in drawn  # in the place of the bar


def test_runs_too_short_for_any_fit_say_so(mixture, tmp_path):
    result = analyze(mixture.select(0, 12), tmp_path, console=Console(quiet=True))
    assert [d.reason for d in result.diffusion] == ["too short (12 frames)"] * 2
    assert "Li,too short (12 frames),,,,,,0," in (tmp_path / "diffusion.csv").read_text()


def test_bands_of_the_msd_hold_the_msd():
    held = []
    for seed in range(60):
        path = walks.brownian(RNG(seed), 200, 20)
        msd = mean_square_displacement(walks.trajectory(path), remove_drift=False)
        off = msd.by_species["Li"] - 6 * 0.5 * msd.lag
        held.append((np.abs(off) < msd.half_width["Li"])[[10, 50, 100]])
    assert np.mean(held, axis=0).min() > 0.86  # 95 %, less three standard deviations of 60 walks


def test_only_bonded_triples_have_angles(tmp_path):
    rng, frames = RNG(0), []
    water = molecule("H2O")
    for _ in range(60):
        copies = []
        for center in 3.4 * np.array(list(np.ndindex(3, 3, 3))):
            one = water.copy()
            one.rotate(rng.uniform(0, 360), rng.normal(size=3))
            one.rattle(0.03, rng=rng)
            copies.append(one.positions + center + rng.normal(0, 0.3, 3))
        frames.append(np.concatenate(copies))
    cells = np.broadcast_to(10.2 * np.eye(3), (60, 3, 3)).copy()
    run = Trajectory(("O", "H", "H") * 27, np.array(frames), cells, (True,) * 3, np.arange(60.0))
    result = analyze(run, tmp_path, console=Console(quiet=True))
    assert [item.triple for item in result.angles] == [("H", "O", "H")]
    assert result.angles[0].angles_per_center == pytest.approx(1)
    assert result.angles[0].cutoffs[0] < 1.3 * (0.66 + 0.31)


def test_atoms_without_bonds_have_no_angles_and_say_so(tmp_path):
    argon = bulk("Ar", "fcc", a=5.4, cubic=True).repeat(3)
    positions = argon.positions + RNG(0).normal(0, 0.2, (20, len(argon), 3))
    cells = np.broadcast_to(argon.cell.array, (20, 3, 3)).copy()
    run = Trajectory(tuple(argon.symbols), positions, cells, (True,) * 3, np.arange(20.0))
    result = analyze(run, tmp_path, console=Console(quiet=True))
    assert not result.angles
    assert any("angles: left out, no two species are bonded" in note for note in result.notes)
