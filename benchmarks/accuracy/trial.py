"""One experiment: written configuration, training, export, test, record."""

import datetime
import math
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from ase import Atoms
from ase.io import write
from protocols import Experiment, Protocol, TestSet
from records import Result, write_result

from e3md import __version__
from e3md.accuracy.errors import Errors
from e3md.accuracy.evaluate import evaluate
from e3md.bench import processor
from e3md.data.read import read_frames, read_structures
from e3md.data.split import split
from e3md.export import export_run
from e3md.files import write_text
from e3md.train.checkpoint import LAST, load_run
from e3md.train.config import Config, load_config
from e3md.train.report import read_metrics
from e3md.train.run import METRICS, train

DEFAULT_MINUTES = 10 * 24 * 60.0


@dataclass(frozen=True)
class Place:
    """Where things are and how much of the machine a run may take."""

    data: Path
    output: Path  # one folder per experiment
    results: Path
    threads: int = 1
    minutes: float = DEFAULT_MINUTES  # of training, for each experiment, over all sessions


def finished(experiment: Experiment, place: Place) -> bool:
    """The result of this recipe with all its epochs is there, whichever machine it is from."""
    path = place.results / f"{experiment.name}.json"
    if not path.is_file():
        return False
    result = Result.model_validate_json(path.read_text())
    config = Config.model_validate({"data": {"train": ["-"]}, **_recipe(experiment)})
    model, training = config.model.model_dump(mode="json"), config.training.model_dump(mode="json")
    return (
        all(model[key] == value for key, value in result.hyperparameters.items())
        and all(training[key] == value for key, value in result.training.items())
        and result.epochs >= config.training.max_epochs
    )


def perform(experiment: Experiment, place: Place) -> Result:
    """Train, or go on where an earlier session stopped; export; test; write the result.

    Raises:
        ValueError: if the folder holds a run of another configuration, or training fails.
    """
    folder = place.output / experiment.name
    folder.mkdir(parents=True, exist_ok=True)
    path = write_configuration(experiment, place)
    config = load_config(path)
    train(path, resume=(config.run_dir / LAST).is_file())
    model = folder / "model.pt"
    print(export_run(config.run_dir, model))
    tests = {test.label: _test(model, test, place, folder) for test in experiment.protocol.tests}
    result = _record(experiment, config, tests)
    write_result(result, place.results)
    return result


def write_configuration(experiment: Experiment, place: Place) -> Path:
    """The recipe with data, threads and time filled in, in the experiment's folder.

    Raises:
        ValueError: if it says otherwise than the configuration of the run that is there.
    """
    folder = place.output / experiment.name
    path, settings = folder / "config.yaml", _recipe(experiment)
    if (folder / "run" / LAST).is_file():
        before = yaml.safe_load(path.read_text())
        if _science(before) != _science(settings):
            raise ValueError(
                f"{folder}: holds a run of another recipe; restore the recipe, or remove the folder"
            )
    settings |= {"run_dir": "run", "data": _data(experiment.protocol, place.data, folder)}
    settings["training"] |= {"threads": place.threads, "max_time": place.minutes}
    write_text(path, yaml.safe_dump(settings, sort_keys=False))
    return path


def _recipe(experiment: Experiment) -> dict[str, Any]:
    """Sections model and training, with max_epochs from the steps where the experiment has them."""
    settings = yaml.safe_load(experiment.recipe_path.read_text())
    if experiment.steps:
        n_train = experiment.protocol.n_train
        assert n_train is not None, "steps need a number of frames"
        per_epoch = math.ceil(n_train / settings["training"]["batch_size"])
        settings["training"]["max_epochs"] = math.ceil(experiment.steps / per_epoch)
    return settings


def _science(settings: dict[str, Any]) -> tuple[Any, Any]:
    """What decides the weights: neither threads, nor time, nor where files lie."""
    training = {k: v for k, v in settings["training"].items() if k not in ("threads", "max_time")}
    return settings["model"], training


def _data(protocol: Protocol, data: Path, folder: Path) -> dict[str, list[str]]:
    return {
        "train": _files(protocol.train, protocol.n_train, data, folder / "train.xyz"),
        "valid": _files(protocol.valid, protocol.n_valid, data, folder / "valid.xyz"),
    }


def _files(names: tuple[str, ...], first: int | None, data: Path, path: Path) -> list[str]:
    """Absolute paths; where only the first frames are wanted, of a file with those."""
    paths = [(data / name).resolve() for name in names]
    if first is None:
        return [str(p) for p in paths]
    frames = [atoms for p in paths for atoms in read_structures(p)]
    return [str(_write(frames[:first], path))]


def _write(frames: list[Atoms], path: Path) -> Path:
    write(path, frames, format="extxyz")
    return path.resolve()


def _test(model: Path, test: TestSet, place: Place, folder: Path) -> Errors:
    """Errors of a model file through the C++ core, in float64."""
    path = place.data / test.file
    if test.config_types:
        frames = read_structures(path)
        kept = [atoms for atoms in frames if atoms.info.get("config_type") in test.config_types]
        path = _write(kept, folder / f"test_{test.label}.xyz")
    return evaluate(model, path, dtype="float64")


def _record(experiment: Experiment, config: Config, tests: dict[str, Errors]) -> Result:
    model, hyperparameters, *_ = load_run(config.run_dir)
    n_train, n_valid = _frame_counts(config)
    return Result(
        name=experiment.name,
        protocol=experiment.protocol.name,
        recipe=experiment.recipe,
        architecture=hyperparameters.arch,
        hyperparameters=hyperparameters.model_dump(mode="json", exclude={"arch"}),
        training=config.training.model_dump(mode="json", exclude={"threads", "max_time"}),
        seed=config.training.seed,
        n_train=n_train,
        n_valid=n_valid,
        epochs=epochs_done(config.run_dir),
        n_weights=sum(p.numel() for p in model.parameters()),
        hours=hours_of(config.run_dir),
        threads=config.training.threads or torch.get_num_threads(),
        machine=f"{processor()}, {os.cpu_count()} cores",
        versions=versions(),
        tests=tests,
        date=datetime.date.today().isoformat(),
    )  # fmt: skip


def versions() -> dict[str, str]:
    """Of the programs behind a result; `commit` where this is a git checkout."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    commit = {"commit": found.stdout.strip()} if found.returncode == 0 else {}
    return commit | {
        "e3md": __version__, "torch": torch.__version__, "e3nn": version("e3nn"),
        "python": platform.python_version(),
    }  # fmt: skip


def _frame_counts(config: Config) -> tuple[int, int]:
    """Frames that were learned from, and that chose the weights."""
    train, valid = (
        [frame for frame in read_frames(files, config.data.keys) if not frame.isolated]
        for files in (config.data.train, config.data.valid)
    )
    if not valid:
        train, valid = split(train, config.data.valid_fraction, config.training.seed)
    return len(train), len(valid)


def epochs_done(run_dir: Path) -> int:
    """Epochs behind the newest checkpoint."""
    return int(read_metrics(run_dir / METRICS)["epoch"][-1]) + 1


def hours_of(run_dir: Path) -> float:
    """Wall time of all finished epochs, over all sessions, from the checkpoint."""
    state = torch.load(run_dir / LAST, map_location="cpu", weights_only=True)["callbacks"]
    return float(state["Budget"]["seconds"]) / 3600
