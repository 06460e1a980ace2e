"""Going on with a run: what may change is honored and recorded, all else is refused by name."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from e3md.data.statistics import Statistics
from e3md.files import load_archive
from e3md.train.checkpoint import LAST, RECORD, RunRecord, load_record
from e3md.train.committee import FINISHED
from e3md.train.config import Config, ConfigError, TrainingConfig
from e3md.train.settings import (
    Change,
    Settings,
    compare_settings,
    differences,
    refused,
    settings_of,
)

MAY_CHANGE = (
    "max_epochs, max_time, early_stopping, threads, device, data.test, a larger members, and devices "
    "and num_nodes with as many frames in a step"
)


def resume_record(config: Config, console: Console) -> RunRecord | None:
    """The record of a run that began, with its settings as they are now; None before it begins.

    Raises:
        ConfigError: naming each setting that may not change, and what it was.
    """
    folder = config.run_dir
    if not (folder / LAST).is_file():
        return None
    if not (folder / RECORD).is_file():
        raise ConfigError(f"{folder / RECORD}: not there, so {folder} cannot be resumed")
    record, now = load_record(folder), settings_of(config)
    last = load_archive(folder / LAST)
    epochs = last["epoch"] + 1
    before = record.settings or _known_settings(folder, record, now, last, console)
    changes = compare_settings(before, now, epochs)
    lines = [
        *_model_changes(record, config),
        *refused(changes, before.training, now.training),
        *_too_few(now.training, epochs),
    ]
    if lines:
        raise ConfigError(_refusal(folder, lines))
    for change in changes:
        console.print(f"resumed with another setting: {change}{_remark(change, now)}")
    training = record.training.model_copy(update={"test_errors": {}})
    update = {"settings": now, "changes": [*record.changes, *changes], "training": training}
    return record.model_copy(update=update)


def check_statistics(folder: Path, before: Statistics, now: Statistics) -> None:
    """Refuse to go on if the same files and settings give another training set.

    E0s stay those of the beginning: other machines round them otherwise.

    Raises:
        ConfigError: naming what differs.
    """
    pairs: dict[str, tuple[str | float, str | float]] = {
        "species": (" ".join(before.species), " ".join(now.species)),
        "RMS force": (before.scale, now.scale),
        "neighbors per atom": (before.avg_num_neighbors, now.avg_num_neighbors),
    }
    changed = [f"{k}: {new}, was {old}" for k, (old, new) in pairs.items() if not _same(old, new)]
    if changed:
        raise ConfigError(
            f"{folder} cannot be resumed, this e3md reads another training set from its files:\n  "
            + "\n  ".join(changed)
            + "\nStart anew in another run_dir"
        )


def _same(old: str | float, new: str | float) -> bool:
    if isinstance(old, str) or isinstance(new, str):
        return old == new
    return bool(np.isclose(old, new, rtol=1e-6))


def _known_settings(
    folder: Path, record: RunRecord, now: Settings, last: dict[str, Any], console: Console
) -> Settings:
    """Of a run that did not record them, as far as it tells; the rest is taken to be unchanged."""
    known = {"dtype": record.dtype, "seed": record.training.seed, **_optimization(last)}
    training, unknown = now.training.model_copy(update=known), "all other settings"
    path = folder / FINISHED
    if path.is_file():
        training = TrainingConfig.model_validate_json(path.read_text())
        unknown = "data.valid, data.valid_fraction and data.keys"
    console.print(
        f"[yellow]warning:[/] {escape(str(folder))} is of an older e3md, which recorded the model, "
        f"data.train, the seed and the optimizer: {unknown} are taken to be unchanged",
        soft_wrap=True,
    )
    sha256 = {**now.sha256, "train": [file.sha256 for file in record.training.data]}
    return Settings(data=now.data, training=training, sha256=sha256)


def _optimization(last: dict[str, Any]) -> dict[str, Any]:
    """Keys under training that the state of optimizer and schedule tells."""
    group = last["optimizer_states"][0]["param_groups"][0]
    plateau = "patience" in last["lr_schedulers"][0]
    known = {
        "optimizer": "adamw" if group["decoupled_weight_decay"] else "adam",
        "weight_decay": group["weight_decay"],
        "amsgrad": group["amsgrad"],
        "schedule": "plateau" if plateau else "cosine",
    }
    if plateau:
        return known | {"patience": last["lr_schedulers"][0]["patience"]}
    return known | {"learning_rate": group["initial_lr"]}


def _model_changes(record: RunRecord, config: Config) -> list[str]:
    old, new = ({"model": m.model_dump(mode="json")} for m in (record.model, config.model))
    changes = differences(old, new)
    return [f"{change.key}: {change.after}, was {change.before}" for change in changes]


def _too_few(training: TrainingConfig, epochs: int) -> list[str]:
    if training.max_epochs >= epochs:
        return []
    return [f"training.max_epochs: {training.max_epochs}, but {epochs} epochs are finished"]


def _refusal(folder: Path, lines: list[str]) -> str:
    start = folder.with_name(f"{folder.name}.pt")
    export = f"e3md export {shlex.quote(str(folder))} -o {shlex.quote(str(start))}"
    return (
        f"{folder} cannot be resumed with these settings:\n  "
        + "\n  ".join(lines)
        + f"\nRestore them, or start another run_dir. To go on from its weights with new settings: "
        f"`{export}`, then `init_from: {start}` in place of `model` in "
        f"a configuration with another run_dir. What may change: {MAY_CHANGE}."
    )


def _remark(change: Change, now: Settings) -> str:
    if change.key != "training.max_epochs" or now.training.schedule != "cosine":
        return ""
    return (
        f"; the learning rate now falls to zero at epoch {change.after}, so the weights are not "
        "those of one run of so many epochs"
    )
