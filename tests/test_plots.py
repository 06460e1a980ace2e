"""Pictures of errors and of runs: what is drawn, read from the figures."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from e3md.accuracy import plots
from e3md.accuracy.errors import Compared, collect_errors
from e3md.accuracy.plots import learning_curves, parity_plots

E0 = {"H": -13.0, "O": -430.0}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Name of the picture → figure, of all that are saved from here on."""
    found: dict[str, Figure] = {}

    class Watched(Figure):
        def savefig(self, path, **options):
            super().savefig(path, **options)
            found[Path(path).stem] = self

    monkeypatch.setattr(plots, "Figure", Watched)
    return found


def _frames(formulas: list[str], n_repeats: int, spread: float = 0.0) -> list[Compared]:
    """Predictions off by 2 meV/atom and, on O alone, 0.1 eV/Å."""
    rng, frames = np.random.default_rng(0), []
    for symbols in map(list, formulas * n_repeats):
        energy = sum(E0[s] for s in symbols) + len(symbols) * spread * rng.normal()
        forces = rng.normal(size=(len(symbols), 3))
        off = 0.1 * (np.array(symbols) == "O")[:, None]
        frames.append(
            Compared(symbols, (energy + 2e-3 * len(symbols), energy), (forces + off, forces), None)
        )
    return frames


def _titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_energies_of_one_composition_are_relative_to_their_mean(drawn, tmp_path):
    frames = _frames(["HHO"], 30, spread=0.005)
    parity_plots(frames, collect_errors(frames), tmp_path)
    (axes,) = drawn["parity_energy"].axes
    assert "relative to -152" in axes.get_title()
    assert "MAE 2, RMSE 2 meV/atom" in axes.get_title()
    assert axes.get_xlabel() == "reference, meV/atom"
    low, high = axes.get_xlim()
    assert -50 < low < 0 < high < 50
    assert not axes.xaxis.get_major_formatter().get_offset()


def test_energies_of_several_compositions_are_not_hidden_by_their_elements(drawn, tmp_path):
    frames = _frames(["HHO", "HH", "OO", "HOO"], 10, spread=0.005)
    parity_plots(frames, collect_errors(frames), tmp_path)
    (axes,) = drawn["parity_energy"].axes
    assert "relative to a sum over elements" in axes.get_title()
    assert max(map(abs, axes.get_xlim())) < 50  # meV/atom; elements differ by 400 eV


def test_a_few_compositions_are_no_fit(drawn, tmp_path):
    frames = _frames(["HHO", "HH"], 1)
    parity_plots(frames, collect_errors(frames), tmp_path)
    (axes,) = drawn["parity_energy"].axes
    assert "relative to a sum" not in axes.get_title()
    assert "eV/atom" in axes.get_xlabel()


@pytest.mark.parametrize(("n_repeats", "density"), [(20, False), (400, True)])
def test_each_element_has_its_forces(drawn, tmp_path, n_repeats, density):
    frames = _frames(["HHO"], n_repeats)
    parity_plots(frames, collect_errors(frames), tmp_path)
    figure = drawn["parity_forces"]
    h, o = _titles(figure)
    assert h.startswith("force on H")
    assert "MAE 0, RMSE 0 meV/Å" in h
    assert o.startswith("force on O")
    assert "MAE 100, RMSE 100 meV/Å" in o
    cells = [c for axes in figure.axes for c in axes.collections if isinstance(c, PolyCollection)]
    assert len(cells) == 2 * density
    if density:  # every label is counted once
        assert cells[0].get_array().sum() == 2 * 3 * n_repeats
        assert cells[1].get_array().sum() == 3 * n_repeats


def test_labels_that_are_missing_are_left_out(drawn, tmp_path):
    frames = _frames(["HHO"], 5, spread=0.01)
    frames[0] = frames[0]._replace(energy=(1.0, np.nan))
    frames[1].forces[1][:] = np.nan
    files = parity_plots(frames, collect_errors(frames), tmp_path)
    assert [path.name for path in files] == ["parity_energy.png", "parity_forces.png"]
    assert len(drawn["parity_energy"].axes[0].lines[1].get_xdata()) == 4
    assert len(drawn["parity_forces"].axes[0].lines[1].get_xdata()) == 4 * 6


def _columns(n: int) -> dict[str, np.ndarray]:
    falling = np.geomspace(1.0, 0.1, n)
    names = [f"{s}_{q}_{e}" for s in ("train", "valid") for q in ("energy", "forces")
             for e in ("mae", "rmse")]  # fmt: skip
    columns = {name: falling for name in [*names, "train_loss", "learning_rate"]}
    valid = falling.copy()
    valid[-1] = 2.0  # the last epoch is not the best
    return columns | {"epoch": np.arange(n, dtype=float), "valid_loss": valid}


def test_curves_count_epochs_from_one_and_mark_the_best(drawn, tmp_path):
    learning_curves(_columns(7), tmp_path / "curves.png")
    loss, forces, energy, rate = drawn["curves"].axes
    for axes in (loss, forces, energy, rate):
        assert "best epoch, 6" in [text.get_text() for text in axes.get_legend().get_texts()]
        assert list(axes.lines[0].get_xdata()) == [1, 2, 3, 4, 5, 6, 7]
    assert [line.get_label() for line in loss.lines][:2] == ["train", "valid"]
    for axes in (forces, energy):
        labels = [line.get_label() for line in axes.lines][:4]
        assert labels == ["train MAE", "train RMSE", "valid MAE", "valid RMSE"]


def test_curves_of_an_older_run_show_what_it_logged(drawn, tmp_path):
    columns = {k: v for k, v in _columns(4).items() if "rmse" not in k and "train_f" not in k}
    learning_curves(columns, tmp_path / "curves.png")
    forces = drawn["curves"].axes[1]
    assert [line.get_label() for line in forces.lines] == ["valid MAE", "best epoch, 3"]


def test_one_epoch_is_a_point(drawn, tmp_path):
    learning_curves(_columns(1), tmp_path / "curves.png")
    assert {line.get_marker() for line in drawn["curves"].axes[1].lines[:4]} == {"o"}
