"""Committees: members trained one after another, which differ by nothing but their seeds."""

import json
from pathlib import Path

from e3md.files import make_folder, write_text
from e3md.train.checkpoint import LAST, RECORD, has_begun, member_folders
from e3md.train.config import Config, ConfigError
from e3md.train.settings import LIMITS

FINISHED = "finished.json"  # in the folder of a member: the settings it was trained with


def member_configs(config: Config) -> list[Config]:
    """The configuration of each member: folder member_K, seed + K - 1; of a single model its own."""
    training = config.training
    own = [
        training.model_copy(update={"members": 1, "seed": training.seed + k})
        for k in range(training.members)
    ]
    folders = member_folders(config.run_dir, training.members)
    return [
        config.model_copy(update={"run_dir": folder, "training": settings})
        for folder, settings in zip(folders, own, strict=True)
    ]


def check_run_dir(config: Config, resume: bool) -> None:
    """Refuse to overwrite a run, or to resume one that is not there; then make the folder.

    Raises:
        ConfigError: saying what the folder holds.
    """
    folder = config.run_dir
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"run_dir: {folder} is a file: set another run_dir")
    began = has_begun(folder) or any(has_begun(member) for member in folder.glob("member_*"))
    if began and not resume:
        raise ConfigError(
            f"{folder} holds a run already: continue it with --resume, or set another run_dir"
        )
    if resume:
        _check_members(folder, config.training.members)
    make_folder(folder)


def _check_members(folder: Path, members: int) -> None:
    """Refuse to resume a run that has not begun, or has other kinds or more of models."""
    single = has_begun(folder)
    more = folder / f"member_{members + 1 if members > 1 else 1}"
    if more.is_dir():
        raise ConfigError(
            f"training.members: {members}, but {more} is there: it may only be raised"
        )
    if single and members > 1:
        raise ConfigError(f"training.members: {members}, but {folder} holds a single model")
    first = member_folders(folder, members)[0]
    # a record without a checkpoint: the first epoch was interrupted, and begins again
    if not has_begun(first) and not (first / RECORD).is_file():
        raise ConfigError(f"{first / LAST}: nothing to resume from, start without --resume")


def is_finished(config: Config) -> bool:
    """Whether a member was trained to the end, by the limits it has now."""
    path = config.run_dir / FINISHED
    if not path.is_file():
        return False
    try:
        then = json.loads(path.read_bytes())
    except ValueError:
        return False  # damaged: the training goes on, ends by its limits, and writes it again
    now = config.training.model_dump(mode="json")
    return isinstance(then, dict) and all(then.get(key) == now[key] for key in LIMITS)


def mark_finished(config: Config) -> None:
    """Let a resumed run skip this member."""
    write_text(config.run_dir / FINISHED, config.training.model_dump_json())
