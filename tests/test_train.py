"""A short run learns, reports, exports, repeats, and resumes."""

import hashlib
import json
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from drawing import drawn
from e3md.accuracy.evaluate import evaluate
from e3md.export import export_run
from e3md.train.checkpoint import load_run
from e3md.train.config import ConfigError
from e3md.train.report import read_metrics
from e3md.train.run import METRICS, train
from training_data import labelled_frames, write_run

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with drawn():
        return train(write_run(tmp_path_factory.mktemp("train")))


def test_the_loss_falls(run_dir: Path) -> None:
    losses = read_metrics(run_dir / METRICS)["train_loss"]
    assert len(losses) == 6
    assert losses[-1] < 0.7 * losses[0]


def test_the_curve_has_errors_of_train_beside_those_of_valid(tmp_path: Path) -> None:
    """With weights that hardly move, both are the errors of the same model, as the report has them."""
    path = write_run(tmp_path, max_epochs=1, learning_rate=1e-9)
    settings = yaml.safe_load(path.read_text())
    (tmp_path / "copy.xyz").write_text((tmp_path / "train.xyz").read_text())
    settings["data"] = {"train": ["train.xyz"], "valid": ["copy.xyz"]}
    path.write_text(yaml.safe_dump(settings))
    run = train(path)
    curve = {key: values[0] for key, values in read_metrics(run / METRICS).items()}
    found = json.loads((run / "report" / "errors.json").read_text())["valid"]
    for quantity, name in (("energy_per_atom", "energy"), ("forces", "forces")):
        for error in ("mae", "rmse"):
            expected = pytest.approx(found[quantity][error], rel=1e-3)
            assert curve[f"valid_{name}_{error}"] == expected
            assert curve[f"train_{name}_{error}"] == expected


@pytest.mark.parametrize("arch", ["mace", "schnet", "so3net"])
def test_every_architecture_learns(arch: str, tmp_path: Path) -> None:
    small = {"n_layers": 2, "cutoff": 5.0}
    small |= {"hidden_irreps": "4x0e+4x1o", "l_max": 1} if arch == "mace" else {"channels": 8}
    path = write_run(tmp_path, max_epochs=5)
    settings = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**settings, "model": {"arch": arch, **small}}))
    losses = read_metrics(train(path) / METRICS)["train_loss"]
    assert losses[-1] < 0.9 * losses[0]


def test_the_report_has_errors_curves_and_the_configuration(run_dir: Path) -> None:
    report = run_dir / "report"
    errors = json.loads((report / "errors.json").read_text())
    assert set(errors) == {"valid", "test"}
    assert errors["test"]["n_frames"] == 3
    assert set(errors["test"]["forces_per_element"]) == {"Ar", "Kr"}
    assert errors["test"]["stress"]["mae"] > 0
    pictures = [report / "learning_curves.png", *(report / "test").glob("*.png")]
    assert len(pictures) == 4
    assert all(p.read_bytes().startswith(PNG) for p in pictures)
    assert "| forces | meV/Å |" in (report / "report.md").read_text()
    assert (report / "config.yaml").is_file()


def test_the_exported_model_has_the_reported_errors(run_dir: Path, tmp_path: Path) -> None:
    export_run(run_dir, tmp_path / "model.pt")
    reported = json.loads((run_dir / "report" / "errors.json").read_text())["test"]
    errors = evaluate(tmp_path / "model.pt", run_dir.parent / "test.xyz").model_dump()
    for key in ("energy_per_atom", "forces", "stress"):
        assert errors[key]["mae"] == pytest.approx(reported[key]["mae"], rel=1e-3)
        assert errors[key]["rmse"] == pytest.approx(reported[key]["rmse"], rel=1e-3)


def test_the_record_names_data_seed_and_test_errors(run_dir: Path) -> None:
    record = load_run(run_dir)[3]
    train_file = run_dir.parent / "train.xyz"
    assert [d.file for d in record.data] == ["train.xyz"]
    assert record.data[0].sha256 == hashlib.sha256(train_file.read_bytes()).hexdigest()
    assert record.data[0].n_configurations == 8
    reported = json.loads((run_dir / "report" / "errors.json").read_text())["test"]
    assert record.test_errors["forces_mae"] == reported["forces"]["mae"]


def test_speed_and_hours_are_recorded(run_dir: Path) -> None:
    speed = json.loads((run_dir / "record.json").read_text())["speed"]
    assert speed["processes"] == speed["threads"] == 1
    frames, seconds = 6 * 6, 3600 * speed["hours"]
    # training takes a part of the time; validation the rest
    assert 1 < speed["configurations_per_second"] * seconds / frames < 5
    edges_per_frame = speed["edges_per_second"] / speed["configurations_per_second"]
    statistics = load_run(run_dir)[2]
    assert edges_per_frame == pytest.approx(8 * statistics.avg_num_neighbors)
    report = (run_dir / "report" / "report.md").read_text()
    assert re.search(r"Training took \S+ hours on 1 .*configurations/s, [\d,]+ edges/s", report)


def test_without_a_test_set_no_test_errors_are_recorded(tmp_path: Path) -> None:
    config = write_run(tmp_path, max_epochs=1)
    config.write_text(config.read_text().replace("test:\n  - test.xyz", "test: []"))
    run = train(config)
    assert load_run(run)[3].test_errors == {}
    assert set(json.loads((run / "report" / "errors.json").read_text())) == {"valid"}


def test_time_limit_ends_a_run_after_its_epoch(tmp_path: Path) -> None:
    run = train(write_run(tmp_path, max_epochs=100_000, max_time=0.01))
    epochs = read_metrics(run / METRICS)["epoch"]
    assert 1 <= len(epochs) < 1000
    assert (run / "report" / "report.md").is_file()


def test_a_log_file_gets_one_line_per_epoch_and_nothing_else(tmp_path: Path, capfd) -> None:
    train(write_run(tmp_path, max_epochs=2))
    out, err = capfd.readouterr()
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2
    assert re.fullmatch(
        r"epoch 2/2  valid force MAE \S+ meV/Å, energy MAE \S+ meV/atom, train loss \S+, "
        r"[\d,.]+ configurations/s, [\d,]+ edges/s  \(0:00:00 left\)",
        lines[1],
    )
    for noise in ("GPU", "TPU", "tip", "Lightning", "warn"):
        assert noise not in out + err


def test_the_reported_configuration_gives_the_same_weights(run_dir: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load((run_dir / "report" / "config.yaml").read_text())
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**settings, "run_dir": "again"}))
    again = train(config)
    assert again == tmp_path / "again"
    for (name, a), b in zip(
        load_run(run_dir)[0].state_dict().items(),
        load_run(again)[0].state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b), name


def test_a_finished_run_is_not_overwritten(run_dir: Path) -> None:
    with pytest.raises(ConfigError, match="--resume"):
        train(run_dir.parent / "config.yaml")


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_training_in_double_with_adamw(tmp_path: Path, schedule: str) -> None:
    settings = {"dtype": "float64", "optimizer": "adamw", "weight_decay": 1e-4, "max_epochs": 1}
    run = train(write_run(tmp_path, schedule=schedule, early_stopping=5, **settings))
    assert next(load_run(run)[0].parameters()).dtype == torch.float64


def test_fine_tuning_starts_from_the_given_weights(run_dir: Path, tmp_path: Path) -> None:
    export_run(run_dir, tmp_path / "start.pt")
    path = write_run(tmp_path, max_epochs=3, learning_rate=0.002)
    settings = yaml.safe_load(path.read_text())
    del settings["model"]
    path.write_text(yaml.safe_dump({**settings, "init_from": "start.pt"}))
    frames = [shifted(atoms, {"Ar": 3.0, "Kr": -2.0}) for atoms in labelled_frames(8)]
    ase.io.write(tmp_path / "train.xyz", frames, format="extxyz")
    tuned = train(path)
    before, after = (read_metrics(d / METRICS)["train_loss"] for d in (run_dir, tuned))
    assert after[0] < 1.2 * before[-1]
    assert after[-1] < after[0]
    statistics = [load_run(d)[2] for d in (run_dir, tuned)]
    offsets = np.subtract(statistics[1].e0s, statistics[0].e0s)
    np.testing.assert_allclose(offsets, [3.0, -2.0], atol=0.1)


def test_fine_tuning_takes_no_model_section(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    path.write_text(path.read_text() + "init_from: start.pt\n")
    with pytest.raises(ConfigError, match="model and init_from exclude each other"):
        train(path)


def shifted(atoms: Atoms, offsets: dict[str, float]) -> Atoms:
    """The same frame with the energies of another level of theory."""
    labels = dict(atoms.calc.results)
    labels["energy"] += sum(offsets[symbol] for symbol in atoms.symbols)
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms
