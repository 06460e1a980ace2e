"""`e3md compare` puts runs side by side."""

import re
import shutil
from pathlib import Path

from typer.testing import CliRunner

from e3md.cli import app
from e3md.train.checkpoint import load_record
from e3md.train.run import train
from training_data import write_run


def _compare(*folders: Path) -> dict[str, list[str]]:
    """Rows of the table."""
    result = CliRunner().invoke(app, ["compare", *map(str, folders)], env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    lines = [
        re.split("[│┃]", line)[1:-1] for line in result.output.splitlines() if line[:1] in "│┃"
    ]
    rows = {head.strip(): [cell.strip() for cell in cells] for head, *cells in lines}
    return rows | {"said": re.findall("warning: (.*)", result.output)}


def test_settings_that_differ_and_errors_are_shown(tmp_path: Path) -> None:
    one = train(write_run(tmp_path / "a", max_epochs=2))
    two = train(write_run(tmp_path / "b", max_epochs=2, learning_rate=0.001))
    rows = _compare(one, two)
    assert rows["training.learning_rate"] == ["0.01", "0.001"]
    assert "training.max_epochs" not in rows
    assert rows["epochs"] == ["2", "2"]
    for k, folder in enumerate((one, two)):
        error = load_record(folder).training.test_errors["forces_mae"]
        assert rows["test force MAE, meV/Å"][k] == f"{1e3 * error:.2f}"
    assert rows["said"] == []


def test_other_frames_are_warned_of(tmp_path: Path) -> None:
    one = train(write_run(tmp_path / "a", max_epochs=1))
    two = train(write_run(tmp_path / "b", max_epochs=1, seed=2))
    assert any("validated on different frames" in line for line in _compare(one, two)["said"])


def test_an_unfinished_run_has_its_place(tmp_path: Path) -> None:
    one = train(write_run(tmp_path / "a", max_epochs=1))
    two = shutil.copytree(one, tmp_path / "b")
    record = two / "record.json"
    record.write_text(record.read_text().replace('"finished"', '"unfinished"'))
    assert _compare(one, two)["state"] == ["finished", "unfinished"]


def test_one_run_is_not_compared(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", str(tmp_path), str(tmp_path)])
    assert result.exit_code == 1
    assert "two or more runs" in result.output


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", str(tmp_path), str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "record.json" in result.output
