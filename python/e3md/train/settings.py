"""The settings of a run, as record.json keeps them, and how two parts of a run differ in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from e3md.data.read import file_sha256
from e3md.data.sources import source_of
from e3md.train.config import Config, DataConfig, TrainingConfig

LIMITS = ("max_epochs", "hours", "max_time", "early_stopping")  # when a run ends
MACHINE = ("device", "devices", "num_nodes", "threads")  # where it runs
SIZES = ("batch_size", "batch_edges")  # with devices and num_nodes: the frames of a step
SETS = ("train", "valid", "test")


class Settings(BaseModel):
    """What decides on the weights besides the model, kept in record.json."""

    model_config = ConfigDict(frozen=True)
    data: DataConfig
    training: TrainingConfig
    sha256: dict[str, list[str]]  # of the files under data.train, data.valid, data.test, init_from


class Change(BaseModel):
    """A setting that an earlier part of the run had otherwise."""

    model_config = ConfigDict(frozen=True)
    epochs: int  # finished before
    key: str
    before: Any
    after: Any
    member: int | None = None  # of a committee

    def __str__(self) -> str:
        when = f"after epoch {self.epochs}" + (f" of member {self.member}" if self.member else "")
        if self.key == "data.test":
            return f"{when}: data.test has other files"
        return f"{when}: {self.key} {_text(self.before)} -> {_text(self.after)}"


def settings_of(config: Config) -> Settings:
    """The settings of a configuration, with the contents of its files."""
    files = {name: getattr(config.data, name) for name in SETS}
    files["init_from"] = [config.init_from] if config.init_from else []
    return Settings(
        data=config.data,
        training=config.training,
        sha256={name: [_contents(path) for path in paths] for name, paths in files.items()},
    )


def _contents(path: Path) -> str:
    """SHA-256 of a file, and which of its frames are taken."""
    return file_sha256(path) + str(path).removeprefix(str(source_of(path).file))


def compare_settings(before: Settings, after: Settings, epochs: int) -> list[Change]:
    """All that differs; files by content, so that they may be moved."""
    return differences(_flat(before), _flat(after), epochs)


def differences(before: dict[str, Any], after: dict[str, Any], epochs: int = 0) -> list[Change]:
    """Of two sections, key by key."""
    old, new = _leaves(before), _leaves(after)
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [Change(epochs=epochs, key=k, before=old.get(k), after=new.get(k)) for k in keys]


def refused(changes: Iterable[Change], before: TrainingConfig, after: TrainingConfig) -> list[str]:
    """What may not change, one line each."""
    free = {f"training.{key}" for key in (*LIMITS, *MACHINE, *SIZES)} | {"data.test"}
    lines = []
    if _step_size(before) != _step_size(after):
        lines.append(
            f"the frames of a step (batch_size or batch_edges, times devices and num_nodes): "
            f"{_size_text(after)}, was {_size_text(before)}"
        )
    for change in changes:
        if change.key in ("data.train", "data.valid", "init_from"):
            lines.append(f"{change.key}: other contents than before (SHA-256)")
        elif change.key not in free:
            lines.append(f"{change.key}: {_text(change.after)}, was {_text(change.before)}")
    return lines


def _flat(settings: Settings) -> dict[str, Any]:
    """In sections as in the configuration, with contents in place of file names."""
    contents = dict(settings.sha256)
    data = settings.data.model_dump(mode="json") | {k: contents[k] for k in SETS}
    if contents["valid"]:
        del data["valid_fraction"]  # not used
    training = settings.training.model_dump(mode="json")
    return {"data": data, "training": training, "init_from": contents["init_from"]}


def _leaves(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys as in docs/training.md: a dictionary in a dictionary is a section, an empty one nothing."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        nested = isinstance(value, dict)
        found |= _leaves(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return found


def _step_size(training: TrainingConfig) -> tuple[int | None, int | None]:
    """Frames and edges of a step of all processes; one of them decides."""
    processes = training.devices * training.num_nodes
    if training.batch_edges:
        return None, training.batch_edges * processes
    return training.batch_size * processes, None


def _size_text(training: TrainingConfig) -> str:
    frames, edges = _step_size(training)
    return f"{frames} frames" if frames else f"{edges} neighbor pairs"


def _text(value: Any) -> str:
    return "none" if value in (None, {}, []) else str(value)
