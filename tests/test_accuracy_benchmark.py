"""The accuracy benchmark: its protocols are whole, its runs resume, its tables say what was measured."""

import functools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import ase.io
import numpy as np
import pytest
import yaml
from ase.build import bulk

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "accuracy"))

import figures
import md_runs
import tables
import trial
from families import EXPERIMENTS, FAMILIES
from protocols import RECIPES, Experiment, Protocol, TestSet
from records import Result, read_results, write_result
from run import select

from e3md.accuracy.errors import ErrorPair, Errors
from e3md.data.read import read_structures
from e3md.train.config import Config, ConfigError
from training_data import labelled_frames

TestSet.__test__ = False  # no test case of pytest's
BENCHMARK = Path(tables.__file__).parent
PNG = b"\x89PNG"
COLUMNS = [(f, p, n, t) for f in FAMILIES for p in f.protocols() for n, t in p.columns().items()]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_a_configuration_and_is_used(path: Path) -> None:
    settings = yaml.safe_load(path.read_text())
    config = Config.model_validate(settings | {"data": {"train": ["train.xyz"]}})
    used = [e for e in EXPERIMENTS.values() if e.recipe == path.stem]
    assert used
    for experiment in used:
        assert experiment.steps or "max_epochs" in settings["training"]
    assert config.training.seed == 1


def test_names_are_unique_and_recipes_there() -> None:
    assert len(EXPERIMENTS) == sum(len(family.experiments) for family in FAMILIES)
    assert all(experiment.recipe_path.is_file() for experiment in EXPERIMENTS.values())


def test_published_figures_belong_to_columns_and_say_how_they_are_known() -> None:
    for family in FAMILIES:
        columns = {name for f, _, name, _ in COLUMNS if f is family}
        for row in family.published:
            assert row.errors, row.model
            assert set(row.errors) <= columns, row.model
            assert row.source.endswith(("[V]", "[M]")), row.model


@pytest.mark.parametrize(("family", "protocol", "name", "test"), COLUMNS, ids=lambda x: str(x)[:30])
def test_no_protocol_tests_on_a_file_it_trains_on(family, protocol, name, test) -> None:
    assert test.file not in (*protocol.train, *protocol.valid)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.key)
def test_data_files_are_there_and_fit(family, data_dir: Path) -> None:
    read = functools.cache(read_structures)
    for protocol in family.protocols():
        for file in (*protocol.train, *protocol.valid):
            assert (data_dir / file).is_file()
        if protocol.n_train:
            assert len(read(data_dir / protocol.train[-1])) >= protocol.n_train
        for test in protocol.tests:
            frames = read(data_dir / test.file)
            assert all(len(atoms) % protocol.atoms == 0 for atoms in frames)
            if test.config_types:
                assert {a.info["config_type"] for a in frames} > set(test.config_types)


_TESTS = (TestSet("test", "test.xyz"), TestSet("odd", "test.xyz", ("odd",)))
TINY = Experiment(
    "tiny", Protocol("tiny", "tiny", ("train.xyz",), (), _TESTS, n_train=6), "curves_schnet", 9
)  # fmt: skip


class Runs(NamedTuple):
    """A run of seconds on argon and krypton, stopped by the clock, then gone on with."""

    place: trial.Place
    stopped: Result
    finished_early: bool
    resumed: Result


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("accuracy")
    frames = labelled_frames(3, seed=1)
    for number, atoms in enumerate(frames):
        atoms.info["config_type"] = "even" if number % 2 == 0 else "odd"
    ase.io.write(folder / "test.xyz", frames, format="extxyz")
    ase.io.write(folder / "train.xyz", labelled_frames(8), format="extxyz")
    place = trial.Place(folder, folder / "out", folder / "results")
    stopped = trial.perform(TINY, replace(place, minutes=1e-6))
    return Runs(place, stopped, trial.finished(TINY, place), trial.perform(TINY, place))


def test_a_run_is_recorded_resumed_and_left_alone_when_finished(runs: Runs) -> None:
    assert (runs.stopped.epochs, runs.stopped.training["max_epochs"]) == (1, 3)
    assert not runs.finished_early
    assert runs.resumed.epochs == 3
    assert runs.resumed.hours > runs.stopped.hours > 0
    assert trial.finished(TINY, runs.place)
    assert read_results(runs.place.results) == {"tiny": runs.resumed}


def test_a_result_counts_frames_of_each_set(runs: Runs) -> None:
    assert (runs.resumed.n_train, runs.resumed.n_valid) == (5, 1)
    tests = runs.resumed.tests
    assert {label: errors.n_frames for label, errors in tests.items()} == {"test": 3, "odd": 1}
    assert tests["odd"].forces.mae != tests["test"].forces.mae


def test_an_interrupted_run_ends_as_an_uninterrupted_one(runs: Runs, tmp_path: Path) -> None:
    whole = trial.perform(TINY, replace(runs.place, output=tmp_path, results=tmp_path))
    assert runs.resumed.tests == whole.tests


def test_a_changed_recipe_does_not_go_on_in_the_folder_of_the_old(runs: Runs) -> None:
    longer = replace(TINY, steps=30)
    assert not trial.finished(longer, runs.place)
    with pytest.raises(ValueError, match="another recipe"):
        trial.perform(longer, runs.place)


def test_errors_are_those_of_the_exported_file_in_float64(runs: Runs) -> None:
    model, data = runs.place.output / "tiny" / "model.pt", runs.place.data / "test.xyz"
    single = trial.evaluate(model, data, dtype="float32").forces.mae
    assert runs.resumed.tests["test"] == trial.evaluate(model, data, dtype="float64")
    assert runs.resumed.tests["test"].forces.mae != single
    assert runs.resumed.tests["test"].forces.mae == pytest.approx(single, rel=1e-3)


def test_patterns_select_experiments_and_a_wrong_one_is_an_error() -> None:
    assert select(["mlearn_*", "water"]) == [*(n for n in EXPERIMENTS if "mlearn" in n), "water"]
    assert select(None) == list(EXPERIMENTS)
    with pytest.raises(ConfigError, match=r"nothing_\*"):
        select(["nothing_*"])


def made_up(experiment: Experiment, forces: float, energy: float) -> Result:
    pair = ErrorPair(mae=forces, rmse=2 * forces)
    errors = Errors(
        n_frames=1,
        energy_per_atom=ErrorPair(mae=energy, rmse=2 * energy),
        forces=pair,
        forces_per_element={"Li": pair},
        stress=ErrorPair(mae=0.0125, rmse=0.02) if "mlearn" in experiment.name else None,
    )
    settings = yaml.safe_load(experiment.recipe_path.read_text())
    config = Config.model_validate(settings | {"data": {"train": ["t.xyz"]}})
    return Result(
        name=experiment.name, protocol=experiment.protocol.name, recipe=experiment.recipe,
        architecture=config.model.arch,
        hyperparameters=config.model.model_dump(mode="json", exclude={"arch"}),
        training=config.training.model_dump(mode="json"), seed=5, n_train=77, n_valid=1,
        epochs=12, n_weights=54321, hours=1.234, threads=1, machine="a machine", versions={},
        tests={test.label: errors for test in experiment.protocol.tests}, date="2000-01-01",
    )  # fmt: skip


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(f"before\n\n{tables.BEGIN}\nold\n{tables.END}\n\nafter\n")
    return path


@pytest.mark.usefixtures("pictures")
def test_tables_show_ours_beside_the_published_in_their_units(tmp_path: Path, page: Path) -> None:
    for number, experiment in enumerate(EXPERIMENTS.values()):
        write_result(made_up(experiment, 0.1 + 0.001 * number, 0.001), tmp_path / "results")
    tables.main(tmp_path / "results", page)
    text = page.read_text()
    rows = {
        key: json.loads((tmp_path / "tables.json").read_text())[key] for key in ("md17", "3bpa")
    }
    aspirin = rows["md17"][0]["cells"]["md17_aspirin"]
    position = list(EXPERIMENTS).index("md17_aspirin")
    assert aspirin["energy"] == pytest.approx(21.0)  # meV per molecule, MAE
    assert aspirin["forces"] == pytest.approx(100 + position)
    assert rows["3bpa"][0]["cells"]["3bpa"]["energy"] == pytest.approx(54.0)  # RMSE, 27 atoms
    assert "| SchNet | 16 / 58.5 | 3.5 / 16.9 | 5.2 / 24.7 |" in text
    assert " / 12.5 |" in text  # stress, meV/Å³
    assert "| 54,321 | 77 | 12 of 300 | 1.23 | 1 | 5 | a machine |" in text
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    for name in ("learning_curves", "forces"):
        assert (tmp_path / "pictures" / f"accuracy_{name}.png").read_bytes().startswith(PNG)
        assert f"](pictures/accuracy_{name}.png)" in text
    tables.main(tmp_path / "results", page)
    assert page.read_text() == text


def test_only_families_with_results_are_shown(tmp_path: Path, page: Path) -> None:
    write_result(made_up(EXPERIMENTS["water"], 0.1, 0.001), tmp_path / "results")
    tables.main(tmp_path / "results", page)
    headings = [line for line in page.read_text().splitlines() if line.startswith("## ")]
    assert headings == ["## Water: 64 molecules", "## Our runs"]


def test_a_page_without_markers_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("text\n")
    with pytest.raises(ValueError, match="expected the lines"):
        tables.main(tmp_path / "results", tmp_path / "page.md")


def test_the_committed_page_has_markers_and_results_are_of_known_runs() -> None:
    text = (tables.ROOT / "docs" / "accuracy.md").read_text()
    assert text.count(tables.BEGIN) == text.count(tables.END) == 1
    assert set(read_results(BENCHMARK / "results")) <= set(EXPERIMENTS)


PLAN = md_runs.Plan(
    temperature=300.0, length=0.04, equilibration=0.01, interval=5, segment=0.02
)  # fmt: skip


def test_molecular_dynamics_in_segments_is_that_of_one_run(tmp_path: Path, make_model) -> None:
    pytest.importorskip("lammps")
    model, atoms = make_model(species=("Li", "S")), bulk("LiS", "rocksalt", a=5.2, cubic=True) * 2
    parts = md_runs.simulate(atoms, model, PLAN, tmp_path / "parts")
    assert PLAN.segments() == [20, 40, 50]
    whole = md_runs.simulate(atoms, model, replace(PLAN, segment=9.0), tmp_path / "whole")
    np.testing.assert_allclose(parts.time, np.arange(10, 51, 5) * 1e-3, atol=1e-9)
    np.testing.assert_allclose(parts.positions, whole.positions, atol=1e-5)
    (tmp_path / "parts" / "50.restart").unlink()
    again = md_runs.simulate(atoms, model, PLAN, tmp_path / "parts")
    np.testing.assert_allclose(again.positions, parts.positions, atol=1e-5)
    longer = md_runs.simulate(atoms, model, replace(PLAN, length=0.05), tmp_path / "parts")
    np.testing.assert_allclose(longer.positions[:9], parts.positions, atol=1e-5)
    with pytest.raises(ValueError, match="another model or plan"):
        md_runs.simulate(atoms, model, replace(PLAN, temperature=400.0), tmp_path / "parts")


@pytest.mark.parametrize("folder", ["lips", "water_pbe0ts"])
def test_our_g_of_the_data_is_the_reference_curve(folder: str, data_dir: Path) -> None:
    """Same bins and same normalization: frames of the data give the curve of the data."""
    from e3md.analysis import radial_distribution
    from e3md.analysis.reading import from_atoms

    reference = md_runs.read_reference(data_dir / folder / "rdf_aimd.csv")
    frames = read_structures(data_dir / folder / "test.xyz.xz")
    found = radial_distribution(from_atoms(frames, folder, 1.0), *md_runs.bins(reference))
    np.testing.assert_allclose(found.r, reference.r, atol=1e-9)
    assert max(md_runs.deviations(found, reference).values()) < 0.12


@pytest.mark.parametrize("name", ["lips", "water"])
def test_md_writes_record_and_pictures(
    name: str, tmp_path: Path, data_dir: Path, make_model
) -> None:
    pytest.importorskip("lammps")
    from e3md.demo import MODEL_PATH

    model = MODEL_PATH if name == "lips" else make_model(species=("H", "O"))
    length = ["--length", "0.06", "--equilibration", "0.002", "--interval", "1"]
    folders = ["-o", tmp_path / "run", "--results", tmp_path, "--pictures", tmp_path]
    command = [sys.executable, BENCHMARK / "md.py", name, model, "--data", data_dir]
    done = subprocess.run(
        [str(word) for word in (*command, *folders, *length)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (record,) = md_runs.read_md_records(tmp_path).values()
    assert record.length == 0.06
    assert record.sentence() in done.stdout
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    wanted = ["msd", "rdf"] if name == "lips" else ["rdf"]
    assert pictures == [f"accuracy_{name}_{kind}.png" for kind in wanted]


def test_only_three_measured_points_make_a_line(tmp_path: Path, monkeypatch) -> None:
    family = next(f for f in FAMILIES if f.key == "curves")
    names = [p.name for p in family.protocols()]
    cells = {name: tables.Cell(1.0, 50.0 - 5 * n) for n, name in enumerate(names)}
    two = dict(list(cells.items())[:2])
    rows = [
        tables.Row("ours", True, "", cells),
        tables.Row("ours, two sizes", True, "", two),
        tables.Row("quoted", False, "", two),
        tables.Row("quoted often", False, "", cells),
    ]
    made: list[Any] = []
    new_figure = figures.new_figure
    monkeypatch.setattr(figures, "new_figure", lambda: made.append(new_figure()) or made[-1])
    figures.draw_learning_curves(family, rows, tmp_path / "curves.png")
    lines = {line.get_label(): line.get_linestyle() for line in made[0].axes[0].lines}
    assert len(cells) > 2
    assert lines == {
        "ours": "-",
        "ours, two sizes": "None",
        "quoted": "None",
        "quoted often": "None",
    }
