"""Habits of clusters: job variables of Slurm and torchrun, ~ in paths, files as a shell gives them."""

import os
from pathlib import Path

import ase.io
import pytest
import yaml
from typer.testing import CliRunner

from e3md import E3Calculator
from e3md.cli import app
from e3md.commands import repeat_options
from e3md.paths import expand
from e3md.train.config import load_config
from program import Program
from training_data import labelled_frames, write_run

SLURM = {
    "SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "job", "SLURM_NODEID": "0",
    "SLURM_NODELIST": "localhost",
}  # fmt: skip


def _train(config: Path, **variables: str) -> tuple[int | None, str]:
    """Status and errors."""
    process = Program("train", config.name, folder=config.parent, env={**os.environ, **variables})
    said = process.communicate(timeout=300)[1]
    return process.returncode, said


@pytest.mark.parametrize(
    "variables",
    [
        {**SLURM, "SLURM_PROCID": "3", "SLURM_LOCALID": "3"},
        {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "1", "GROUP_RANK": "0"},
    ],
    ids=["task", "torchrun"],
)
def test_a_training_of_one_process_ignores_the_job(tmp_path: Path, variables: dict) -> None:
    status, said = _train(write_run(tmp_path, max_epochs=1), **variables)
    assert status == 0, said
    run = tmp_path / "run"
    for name in ("best.ckpt", "logs/metrics.csv", "report/report.md"):
        assert (run / name).is_file()
    assert list((run / "tensorboard").glob("events*")), "the logger took it for another process"


def test_a_job_that_does_not_fit_several_processes_is_explained(tmp_path: Path) -> None:
    variables = {**SLURM, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    status, said = _train(write_run(tmp_path, max_epochs=1, devices=2), **variables)
    assert status == 1
    assert "training.devices: 2, training.num_nodes: 1 do not fit the job" in said
    assert "Traceback" not in said


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_home_is_expanded_in_every_path_of_a_configuration(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    data = {"train": ["~/a.xyz"], "valid": ["~/b.xyz"], "test": ["~/c.xyz", "d.xyz"]}
    values = {"run_dir": "~/run", "init_from": "~/m.pt", "data": data}
    config.write_text(yaml.safe_dump(values))
    found = load_config(config)
    assert (found.run_dir, found.init_from) == (home / "run", home / "m.pt")
    assert found.data.train == [home / "a.xyz"]
    assert found.data.valid == [home / "b.xyz"]
    assert found.data.test == [home / "c.xyz", tmp_path / "d.xyz"]


def test_home_is_expanded_for_the_calculator(home: Path, make_model) -> None:
    (home / "model.pt").write_bytes(make_model().read_bytes())
    assert E3Calculator("~/model.pt").species == ["Li", "P", "S"]


def test_an_unknown_user_is_named() -> None:
    with pytest.raises(ValueError, match="~nobody-here/model"):
        expand("~nobody-here/model.pt")


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "~/m.pt"], ["evaluate", "~/m.pt", "x.xyz"], ["export", "~/run"],
        ["train", "~/c.yaml"], ["train", "--data=~/a.xyz"], ["check", "~/m.pt"],
        ["bench", "~/m.pt"], ["analyze", "~/x.dump"], ["verify", "~/m.pt", "x.xyz"],
        ["convert", "~/m.pt"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_home_is_expanded_by_every_command(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ase.io.write("x.xyz", labelled_frames(1), format="extxyz")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert str(home) in "".join(done.output.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--data a b c -o run", "--data a --data b --data c -o run"),
        ("--data=a b --valid c d --resume", "--data=a --data b --valid c --valid d --resume"),
        ("--data a --data b c", "--data a --data b --data c"),
        ("--resume config.yaml", "--resume config.yaml"),
        ("-o run --test t", "-o run --test t"),
        ("config.yaml --data a", "config.yaml --data a"),
    ],
)
def test_files_belong_to_the_option_before_them(words: str, expected: str) -> None:
    options = ("--data", "--valid", "--test")
    assert repeat_options(words.split(), options) == expected.split()


def test_several_files_as_a_shell_gives_them(tmp_path: Path, monkeypatch) -> None:
    for name in "abcd":
        frames = labelled_frames(4, seed=ord(name))
        ase.io.write(tmp_path / f"{name}.xyz", frames, format="extxyz")
    monkeypatch.setattr("e3md.train.defaults.EPOCHS", (1, 1))
    names = [str(tmp_path / f"{name}.xyz") for name in "abcd"]
    run = tmp_path / "run"
    words = ["train", "--data", *names[:2], "--test", *names[2:], "-o", str(run)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    data = yaml.safe_load((run / "config.yaml").read_text())["data"]
    assert (data["train"], data["test"]) == (names[:2], names[2:])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "a.xyz", "config.yaml"], "either a configuration file or --data"),
        (["config.yaml", "--test", "a.xyz"], "--valid and --test go with --data"),
    ],
)
def test_a_configuration_and_files_are_not_mixed(words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["train", *words])
    assert done.exit_code == 1
    assert message in done.output
