"""A short run learns, reports, exports, repeats, and resumes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from e3md import E3Calculator
from e3md.evaluate import evaluate
from e3md.export import export_run
from e3md.train.checkpoint import load_run
from e3md.train.config import ConfigError
from e3md.train.report import read_metrics
from e3md.train.run import train
from training_data import labelled_frames, write_run

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(write_run(tmp_path_factory.mktemp("train")))


def test_the_loss_falls(run_dir: Path) -> None:
    losses = read_metrics(run_dir / "logs" / "metrics.csv")["train_loss"]
    losses = losses[np.isfinite(losses)]
    assert len(losses) == 6
    assert losses[-1] < 0.7 * losses[0]


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
    data, found = run_dir.parent / "test.xyz", tmp_path / "errors.json"
    evaluate(tmp_path / "model.pt", data, json_path=found, plots_dir=tmp_path / "plots")
    errors = json.loads(found.read_text())
    for key in ("energy_per_atom", "forces", "stress"):
        assert errors[key]["mae"] == pytest.approx(reported[key]["mae"], rel=1e-3)
        assert errors[key]["rmse"] >= errors[key]["mae"]
    assert len(list((tmp_path / "plots").glob("*.png"))) == 3
    atoms = labelled_frames(1)[0]
    atoms.calc = E3Calculator(tmp_path / "model.pt")
    assert np.isfinite(atoms.get_forces()).all()


def test_same_seed_same_weights(run_dir: Path, tmp_path: Path) -> None:
    again = train(write_run(tmp_path))
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
