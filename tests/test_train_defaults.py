"""`e3md train --data` chooses soundly, says why, and trains by what it wrote."""

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from rich.console import Console
from typer.testing import CliRunner

from conftest import ROOT
from e3md.cli import app
from e3md.data.read import DataError, DataKeys, read_frames
from e3md.train import defaults
from e3md.train.config import Config, ConfigError, DataConfig, load_config
from e3md.train.defaults import choose, configure
from e3md.train.facts import Facts, collect_facts
from training_data import labelled_frames, write_run

LIQUID = Facts(
    species=("H", "O"), n_frames=300, n_atoms=(192, 192.0, 192), n_periodic=300, n_stress=0,
    neighbors=52.0, edges=(9900, 10000.0, 10100), molecules=64.0, threads=2, cuda=False,
)  # fmt: skip
MOLECULE = replace(
    LIQUID, n_frames=1000, n_atoms=(9, 9.0, 9), n_periodic=0, neighbors=8.0, edges=(72, 72.0, 72),
    molecules=1.0,
)  # fmt: skip
MIXED = replace(
    LIQUID, n_frames=200, n_atoms=(2, 50.0, 96), n_stress=200, edges=(60, 1600.0, 2500),
    molecules=0.0,
)  # fmt: skip


def _values(facts: Facts, **options: bool) -> dict[str, object]:
    choices = choose(facts, **options)
    assert all(choice.why for choice in choices)
    return {choice.key: choice.value for choice in choices}


@pytest.mark.parametrize("facts", [LIQUID, MOLECULE, MIXED])
def test_every_choice_is_a_key_of_the_configuration(facts: Facts) -> None:
    settings: dict = {"data": {"train": ["a.xyz"]}, "model": {}, "training": {"loss": {}}}
    for key, value in _values(facts).items():
        *sections, name = key.split(".")
        section = settings
        for part in sections:
            section = section[part]
        section[name] = value
    config = Config.model_validate(settings)
    assert config.model.zbl, "a potential without a core is not safe in MD"


def test_molecules_and_materials_have_models_of_their_own() -> None:
    assert _values(MOLECULE)["model.arch"] == "mace"
    assert _values(replace(MOLECULE, n_periodic=1000))["model.arch"] == "mace", "one in a box"
    for facts in (LIQUID, MIXED, replace(MIXED, n_periodic=1)):
        assert _values(facts)["model.arch"] == "nequip"


def test_the_degree_goes_by_the_kind_of_matter() -> None:
    """As the recipes have it: 1 for molecular liquids, 2 for what is bonded without end."""
    assert _values(LIQUID)["model.l_max"] == 1
    assert _values(replace(LIQUID, molecules=0.0))["model.l_max"] == 2
    recipes = {path.stem: load_config(path).model for path in RECIPES}
    assert recipes["liquids"].l_max == 1
    assert recipes["bulk"].l_max == 2


def test_the_batch_has_some_two_hundred_atoms() -> None:
    assert _values(LIQUID)["training.batch_size"] == 1
    assert _values(MOLECULE)["training.batch_size"] == 22
    few = replace(MOLECULE, n_frames=40)
    assert _values(few)["training.batch_size"] == 1


def test_frames_of_unlike_size_are_packed_by_edges() -> None:
    values = _values(MIXED)
    assert values["training.batch_edges"] == 1.2 * 4 * 1600
    assert "training.batch_size" not in values
    huge = replace(MIXED, edges=(60, 1600.0, 20000))
    assert _values(huge)["training.batch_edges"] == 20000


@pytest.mark.parametrize("facts", [LIQUID, MOLECULE])
def test_the_steps_are_about_the_same_whatever_the_data(facts: Facts) -> None:
    values = _values(facts)
    n_train = facts.n_frames * (1 - values["data.valid_fraction"])
    steps = values["training.max_epochs"] * n_train / values["training.batch_size"]
    assert 20_000 < steps < 40_000


def test_epochs_are_bounded() -> None:
    assert _values(replace(LIQUID, n_frames=10))["training.max_epochs"] == 1000
    assert _values(replace(LIQUID, n_frames=10**6))["training.max_epochs"] == 10


def test_the_cutoff_follows_the_density_of_what_is_periodic() -> None:
    assert _values(LIQUID)["model.cutoff"] == 5.0
    assert _values(replace(LIQUID, neighbors=95.0))["model.cutoff"] == 4.5
    assert _values(replace(LIQUID, neighbors=300.0))["model.cutoff"] == 4.0
    assert _values(replace(LIQUID, neighbors=10.0))["model.cutoff"] == 6.0
    assert _values(MOLECULE)["model.cutoff"] == 5.0


def test_the_held_out_part_is_a_tenth_within_bounds() -> None:
    def held(n: int) -> float:
        return round(n * _values(replace(LIQUID, n_frames=n))["data.valid_fraction"])

    assert [held(n) for n in (10, 30, 300, 100_000)] == [2, 5, 30, 500]
    assert "data.valid_fraction" not in _values(LIQUID, holds_out=False)


def test_stress_and_gpu_are_used_where_they_are() -> None:
    assert _values(MIXED)["training.loss.stress"] == 1.0
    assert "training.loss.stress" not in _values(MOLECULE)
    assert _values(replace(LIQUID, cuda=True))["training.device"] == "cuda"


def test_facts_of_a_file(tmp_path: Path) -> None:
    frames = labelled_frames(4)
    for atoms in frames[:3]:
        atoms.calc.results.pop("stress")
    alone = Atoms("Xe", info={"energy": -1.0, "config_type": "IsolatedAtom"})
    ase.io.write(tmp_path / "a.xyz", [*frames, alone], format="extxyz")
    facts = collect_facts(read_frames([tmp_path / "a.xyz"], DataKeys()))
    assert facts.species == ("Ar", "Kr")
    assert (facts.n_frames, facts.n_atoms, facts.n_stress) == (4, (8, 8.0, 8), 1)
    assert facts.n_periodic == 4
    assert facts.neighbors == pytest.approx(12, abs=1)
    assert facts.edges[1] == pytest.approx(8 * facts.neighbors)
    with pytest.raises(DataError, match="only isolated atoms"):
        collect_facts(read_frames([tmp_path / "a.xyz"], DataKeys())[4:])


def test_what_is_written_is_what_was_chosen(tmp_path: Path) -> None:
    name = "data: [with] 'signs' & spaces.xyz"
    ase.io.write(tmp_path / name, labelled_frames(10), format="extxyz")
    data = DataConfig(train=[tmp_path / name], keys=DataKeys(energy="energy"))
    path = configure(data, tmp_path / "run", False, Console(quiet=True))
    config = load_config(path)
    assert config.run_dir == tmp_path / "run"
    assert config.data.train == data.train
    assert config.data.keys == data.keys
    written = yaml.safe_load(path.read_text())
    facts = collect_facts(read_frames(data.train, data.keys))
    for choice in choose(facts):
        value: object = written
        for part in choice.key.split("."):
            value = value[part]  # type: ignore[index]
        assert value == choice.value
        assert choice.why in path.read_text()
    with pytest.raises(ConfigError, match="is there already"):
        configure(data, tmp_path / "run", False, Console(quiet=True))


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_train_needs_no_configuration(tmp_path: Path, monkeypatch) -> None:
    for name, some in (("train", 20), ("test", 3)):
        ase.io.write(tmp_path / f"{name}.xyz", labelled_frames(some), format="extxyz")
    monkeypatch.setattr(defaults, "EPOCHS", (1, 2))
    files = ["--data", tmp_path / "train.xyz", "--test", tmp_path / "test.xyz"]
    said = _run(*files, "-o", tmp_path / "run")
    for word in ("model.zbl", "safety", "training.batch_size", "max_epochs", "errors on test"):
        assert word in said
    run = tmp_path / "run"
    assert (run / "report" / "report.md").is_file()
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("max_epochs: 2", "max_epochs: 3"))
    assert "epoch 3/3" in _run(*files, "-o", run, "--resume")
    again = tmp_path / "again"
    again.mkdir()
    (again / "config.yaml").write_text(text)
    _run(again / "config.yaml")
    assert np.loadtxt(again / "logs" / "metrics.csv", delimiter=",", skiprows=1).shape == (2, 12)


def test_a_quick_look_fits_its_time(tmp_path: Path, monkeypatch) -> None:
    ase.io.write(tmp_path / "train.xyz", labelled_frames(10), format="extxyz")
    monkeypatch.setattr(defaults, "QUICK", 0.001)
    _run("--data", tmp_path / "train.xyz", "--quick", "-o", tmp_path / "run")
    config = load_config(tmp_path / "run" / "config.yaml")
    assert (config.model.channels, config.training.hours) == (16, 0.001)
    assert config.model.zbl


def test_quick_goes_with_data(tmp_path: Path) -> None:
    assert "--quick goes with --data" in _fails(write_run(tmp_path), "--quick")
    assert "--quick takes five minutes" in _fails("--data", "x.xyz", "--quick", "--hours", "1")


def _fails(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert done.exit_code == 1
    return done.output


def _commands(text: str) -> list[list[str]]:
    """What a message says to type, as `e3md train ...`."""
    quoted = [part for part in text.split("`") if part.startswith("e3md train ")]
    lines = [line for line in text.splitlines() if line.startswith("  e3md train ")]
    return [shlex.split(command)[2:] for command in (*quoted, *lines)]


def test_what_train_says_to_do_works_when_done(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    ase.io.write(folder / "train.xyz", labelled_frames(10), format="extxyz")
    monkeypatch.setattr(defaults, "EPOCHS", (1, 1))
    monkeypatch.chdir(folder)
    data = ["--data", "train.xyz"]
    said = _run(*data)
    # a copy in a new folder
    make, copy = next(line for line in said.splitlines() if "mkdir" in line).split(";")
    subprocess.run(shlex.split(make), check=True)
    subprocess.run(shlex.split(copy), check=True)
    (again,) = _commands(said)
    assert again == ["run-2/config.yaml"]
    assert "epoch 1/1" in _run(*again)
    # the same again, which the folder refuses
    (resume,) = _commands(_fails(*data))
    assert resume == ["run/config.yaml", "--resume"]
    assert "errors on valid" in _run(*resume)
    # interrupted before the first epoch
    Path("new").mkdir()
    shutil.copy("run/config.yaml", "new")
    (start,) = _commands(_fails(*data, "-o", "new"))
    assert "epoch 1/1" in _run(*start)


def test_a_folder_with_another_run_gets_no_configuration(tmp_path: Path) -> None:
    config = write_run(tmp_path, max_epochs=1)
    _run(config)
    said = _fails("--data", tmp_path / "train.xyz", "-o", tmp_path / "run")
    assert "holds a run already: choose another folder with -o" in said
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_resuming_with_other_files_is_refused(tmp_path: Path, monkeypatch) -> None:
    for name in ("train", "more"):
        ase.io.write(tmp_path / f"{name}.xyz", labelled_frames(10), format="extxyz")
    monkeypatch.setattr(defaults, "EPOCHS", (1, 1))
    monkeypatch.chdir(tmp_path)
    _run("--data", "train.xyz")
    assert "--data:" in _fails("--data", "more.xyz", "--resume")
    assert "--test:" in _fails("--data", "train.xyz", "--test", "more.xyz", "--resume")
    assert "--energy-key" in _fails("--data", "train.xyz", "--energy-key", "e", "--resume")
    _run("--data", "train.xyz", "--resume")


def test_a_file_given_twice_leaves_no_configuration(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "train.xyz", labelled_frames(10), format="extxyz")
    path = tmp_path / "train.xyz"
    assert "more than once" in _fails("--data", path, "--test", path, "-o", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments", [[], ["config.yaml", "--data", "a.xyz"]])
def test_train_takes_a_configuration_or_data(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["train", *arguments])
    assert done.exit_code == 1
    assert "either a configuration file or --data" in done.output


RECIPES = sorted((ROOT / "examples" / "training").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_and_is_commented(path: Path) -> None:
    config = load_config(path)
    assert path.read_text().startswith("# ")
    assert config.run_dir.resolve().parent == ROOT / "runs"


def test_there_are_recipes() -> None:
    assert {"molecules", "bulk", "liquids"} <= {path.stem for path in RECIPES}
