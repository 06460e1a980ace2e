"""Going on with a run: what may change is honored and recorded, all else is refused by name."""

import math
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape

from e3md.data.statistics import Statistics
from e3md.files import DamagedFileError, save_archive
from e3md.train.budget import Budget
from e3md.train.checkpoint import (
    BEST,
    LAST,
    RECORD,
    STABLE,
    RunRecord,
    load_checkpoint,
    load_record,
)
from e3md.train.committee import FINISHED
from e3md.train.config import Config, ConfigError, TrainingConfig
from e3md.train.history import METRICS, History, write_metrics
from e3md.train.prepare import warn
from e3md.train.settings import (
    Change,
    Settings,
    compare_settings,
    differences,
    refused,
    settings_of,
)

MAY_CHANGE = (
    "max_epochs, hours, max_time, early_stopping, threads, device, data.test, a larger members, and devices "
    "and num_nodes with as many frames in a step"
)


class Checkpoint(NamedTuple):
    """Where a run goes on."""

    path: Path
    state: dict[str, Any]

    @property
    def epochs(self) -> int:
        """That are finished."""
        return int(self.state["epoch"]) + 1


class Resumed(NamedTuple):
    """A run to go on with."""

    record: RunRecord
    checkpoint: Checkpoint


def find_begun(config: Config, console: Console) -> Resumed | None:
    """A run that saved an epoch, with its settings as they are now; None before it did.

    Raises:
        ConfigError: naming each setting that may not change, and what it was.
        DamagedFileError: naming a file without which it cannot go on.
    """
    folder = config.run_dir
    newest = newest_checkpoint(folder, console)
    if newest is None:
        return None
    if not (folder / RECORD).is_file():
        raise ConfigError(f"{folder / RECORD}: not there, so {folder} cannot be resumed")
    record, now = load_record(folder), settings_of(config)
    epochs = newest.epochs
    before = record.settings or _known_settings(folder, record, now, newest.state, console)
    changes = compare_settings(before, now, epochs)
    lines = [
        *_model_changes(record, config),
        *refused(changes, before.training, now.training),
        *_too_few(before.training, now.training, newest),
    ]
    if lines:
        raise ConfigError(_refusal(folder, lines))
    for change in changes:
        console.print(f"resumed with another setting: {change}{_remark(change, now)}")
    if now.training.schedule == "stable" and _is_longer(before.training, now.training):
        newest = _before_the_fall(newest, console)
    training = record.training.model_copy(update={"valid_errors": {}, "test_errors": {}})
    update = {"settings": now, "changes": [*record.changes, *changes], "training": training}
    _restore(newest, console)
    return Resumed(record.model_copy(update=update), newest)


def _restore(newest: Checkpoint, console: Console) -> None:
    """Write again what the newest checkpoint holds: the curve, and best.ckpt if it is the best."""
    folder = newest.path.parent
    callbacks = newest.state["callbacks"]
    write_metrics(folder / METRICS, callbacks[History.__qualname__]["rows"])
    try:
        load_checkpoint(folder / BEST)
        return
    except (DamagedFileError, OSError) as error:
        problem = str(error) if (folder / BEST).exists() else f"{folder / BEST} is missing"
    best = next(state for key, state in callbacks.items() if key.startswith("BestCheckpoint"))
    if best["current_score"] == best["best_model_score"]:
        warn(console, [f"{problem}: the same weights are taken from {newest.path.name}"])
        save_archive(folder / BEST, newest.state)
    else:
        warn(
            console,
            [
                f"{problem}: the best weights of the first {newest.epochs} epochs are lost, those "
                "that are exported will be the best from now on"
            ],
        )
        (folder / BEST).unlink(missing_ok=True)


def newest_checkpoint(folder: Path, console: Console) -> Checkpoint | None:
    """last.ckpt; if it is missing or damaged best.ckpt, as the epochs after it come out the same.

    None if neither was ever written.

    Raises:
        DamagedFileError: naming the files, if there is none to go on from.
    """
    paths = [folder / name for name in (LAST, BEST) if (folder / name).exists()]
    problems = [] if folder / LAST in paths else [f"{folder / LAST} is missing"]
    for path in paths:
        try:
            found = Checkpoint(path, load_checkpoint(path))
        except (DamagedFileError, OSError) as error:
            problems.append(str(error))
            continue
        if path.name == BEST:
            way = f"going on from {BEST}, which holds the run after epoch {found.epochs}"
            warn(console, [f"{problems[0]}: {way}"])
        return found
    if not paths:
        return None
    raise DamagedFileError(
        "; ".join(problems) + f". There is nothing to go on from: restore {LAST} or {BEST} from a "
        "copy, or start anew in another run_dir"
    )


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


def _too_few(before: TrainingConfig, now: TrainingConfig, newest: Checkpoint) -> list[str]:
    lines = []
    if now.max_epochs < newest.epochs:
        lines.append(
            f"training.max_epochs: {now.max_epochs}, but {newest.epochs} epochs are finished"
        )
    hours = newest.state["callbacks"].get(Budget.__qualname__, {"seconds": 0.0})["seconds"] / 3600
    if now.hours and now.hours != before.hours and now.hours <= hours:
        lines.append(f"training.hours: {now.hours:g}, but {hours:.2g} hours are spent")
    return lines


def _is_longer(before: TrainingConfig, now: TrainingConfig) -> bool:
    ends = [(one.hours or math.inf, one.max_epochs) for one in (before, now)]
    return any(new > old for old, new in zip(*ends, strict=True))


def _before_the_fall(newest: Checkpoint, console: Console) -> Checkpoint:
    """Where the learning rate was still at its height, if it has begun to fall since."""
    folder = newest.path.parent
    if not (folder / STABLE).exists():
        return newest
    try:
        state = load_checkpoint(folder / STABLE)
    except (DamagedFileError, OSError) as error:
        warn(console, [f"{error}: going on from {newest.path.name}, at a rate that has fallen"])
        return newest
    found = Checkpoint(folder / LAST, state)
    if found.epochs >= newest.epochs:
        return newest
    kept = ("BestCheckpoint", Budget.__qualname__)  # the best weights and the time spent stay
    callbacks = newest.state["callbacks"].items()
    state["callbacks"] |= {key: value for key, value in callbacks if key.startswith(kept)}
    save_archive(found.path, state)
    console.print(f"going on from epoch {found.epochs}, before the learning rate fell")
    return found


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
    limits = ("training.max_epochs", "training.hours")
    if change.key not in limits or now.training.schedule != "cosine":
        return ""
    return (
        "; the learning rate now falls to zero at another epoch, so the weights are not those of "
        "one run of this length"
    )
