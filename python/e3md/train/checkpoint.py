"""Checkpoints that are whole or absent, and what a finished run left behind."""

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from e3md.data.statistics import Statistics
from e3md.files import DamagedFileError, load_archive, save_archive
from e3md.model import ModelConfig, build_model
from e3md.model.committee import Committee
from e3md.model_file import UNFINISHED, TrainingRecord
from e3md.train.history import History
from e3md.train.module import PotentialTraining
from e3md.train.settings import Change, Settings
from e3md.train.speed import Speed

BEST, LAST, STABLE, RECORD = "best.ckpt", "last.ckpt", "stable.ckpt", "record.json"
PARTS = {"epoch", "state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loops"}


class RunRecord(BaseModel):
    """Everything besides weights that rebuilds a trained model."""

    model_config = ConfigDict(frozen=True)
    model: ModelConfig
    statistics: Statistics
    dtype: str
    training: TrainingRecord
    speed: Speed | None = None  # once finished
    members: int = 1  # more than 1: a committee, whose checkpoints lie in folders member_K
    settings: Settings | None = None  # as they are now; None in runs of e3md 0.1.0 and committees
    changes: list[Change] = []  # of settings, on resuming


class AtomicCheckpointIO(TorchCheckpointIO):
    """By the one atomic write: a kill or a full disk leaves the last good checkpoint as it was."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        save_archive(path, checkpoint)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return load_checkpoint(Path(path))


class BestCheckpoint(ModelCheckpoint):
    """best.ckpt: the epoch with the lowest validation loss."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder, BEST.removesuffix(".ckpt"), monitor="valid_loss",
            enable_version_counter=False, save_on_train_epoch_end=True,
        )  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning forgets the best score when the folder was moved, and overwrites best.ckpt.

        It is forgotten on purpose when best.ckpt is lost: the best weights are those from now on.
        """
        if not (Path(str(self.dirpath)) / BEST).is_file():
            return
        path = str(Path(str(self.dirpath)) / BEST)
        here = {"dirpath": self.dirpath, "best_model_path": path, "kth_best_model_path": path}
        best = {path: state_dict["best_model_score"]}
        super().load_state_dict({**state_dict, **here, "best_k_models": best})


class StableCheckpoint(ModelCheckpoint):
    """stable.ckpt: the epoch before the learning rate falls, from where a longer run goes on."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder, STABLE.removesuffix(".ckpt"),
            enable_version_counter=False, save_on_train_epoch_end=True,
        )  # fmt: skip

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        assert isinstance(pl_module, PotentialTraining)
        done = trainer.global_step
        after = done + int(trainer.num_training_batches)
        falls_next = pl_module.is_settled(after) and not pl_module.is_settled(done)
        if falls_next and pl_module.config.schedule == "stable":
            super().on_train_epoch_end(trainer, pl_module)


class Patience(EarlyStopping):
    """Stops by the patience of the configuration, also where a checkpoint has another."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})


def checkpoints(folder: Path) -> list[ModelCheckpoint]:
    """Callbacks that write best.ckpt, stable.ckpt and, in every epoch, last.ckpt.

    The last has one of its own, because `save_last` writes only in epochs that improve on the best,
    and comes after them, so that it holds their state.
    """
    last = ModelCheckpoint(
        folder, LAST.removesuffix(".ckpt"),
        enable_version_counter=False, save_on_train_epoch_end=True,
    )  # fmt: skip
    return [BestCheckpoint(folder), StableCheckpoint(folder), last]


def load_record(run_dir: Path) -> RunRecord:
    """The record of a run.

    Raises:
        FileNotFoundError: if there is none.
        DamagedFileError: naming it.
    """
    path = run_dir / RECORD
    _require(path)
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        reason = error.errors()[0]
        where = ".".join(str(part) for part in reason["loc"])
        raise DamagedFileError(
            f"{path} is damaged: {where + ': ' if where else ''}{reason['msg']}. Without it the "
            "weights cannot be used: restore it from a copy, or start anew in another run_dir"
        ) from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of a run.

    Raises:
        DamagedFileError: naming it.
        OSError: if it is not there or may not be read.
    """
    found = load_archive(path)
    missing = PARTS - found.keys() if isinstance(found, dict) else PARTS
    if missing:
        raise DamagedFileError(
            f"{path} is damaged: no checkpoint of `e3md train`, {sorted(missing)[0]} is missing"
        )
    return found


def has_begun(folder: Path) -> bool:
    """Whether a run, or the member of one, has saved an epoch in the folder."""
    return any((folder / name).exists() for name in (LAST, BEST))


def load_run(run_dir: str | Path) -> tuple[nn.Module, ModelConfig, Statistics, TrainingRecord]:
    """The model of a run, or the committee of its members, with the best averaged weights.

    Raises:
        FileNotFoundError: naming the file of the run that is missing.
        DamagedFileError: naming the file of the run that is damaged.
    """
    folder = Path(run_dir)
    record = load_record(folder)
    members = member_folders(folder, record.members)
    models = [_load_best(member, record) for member in members]
    model = Committee(models) if record.members > 1 else models[0]
    unfinished = [text for member in members if (text := _unfinished(member))]
    found: dict[str, Any] = {"state": "; ".join(unfinished) or record.training.state}
    if len(members) == 1 and not record.training.valid_errors:  # there is no report yet
        found["valid_errors"] = _valid_errors(load_checkpoint(folder / BEST))
    training = record.training.model_copy(update=found)
    return model, record.model, record.statistics, training


def _unfinished(folder: Path) -> str:
    """How far the weights in a folder of a run got that has not ended; else empty."""
    record = load_record(folder)
    if record.training.state != UNFINISHED:
        return ""
    epochs = record.settings.training.length() if record.settings else "?"
    weights = load_checkpoint(folder / BEST)["epoch"] + 1
    return f"{UNFINISHED}, weights of epoch {weights} of {epochs} ({folder.name})"


def _valid_errors(checkpoint: dict[str, Any]) -> dict[str, float]:
    """Mean absolute errors in the epoch of a checkpoint; none of what has no label (exactly 0)."""
    rows = checkpoint["callbacks"].get(History.__qualname__, {}).get("rows", [])
    last = rows[-1] if rows else {}
    names = {"energy_per_atom_mae": "valid_energy_mae", "forces_mae": "valid_forces_mae"}
    return {name: last[key] for name, key in names.items() if last.get(key)}


def member_folders(run_dir: Path, members: int) -> list[Path]:
    """Where the checkpoints of a run lie."""
    return [run_dir / f"member_{k + 1}" for k in range(members)] if members > 1 else [run_dir]


def folders_of_run(run_dir: Path) -> list[Path]:
    """All folders that a run writes to."""
    own = [run_dir, *run_dir.glob("member_*")]
    return [*own, *(folder / name for folder in own for name in ("cache", "logs", "report"))]


def _require(path: Path) -> None:
    folder = path.parent
    if path.is_file():
        return
    if (folder / "member_1").is_dir():
        raise FileNotFoundError(
            f"{path}: not there; the committee in {folder} is not finished: continue it with "
            "`e3md train CONFIG.yaml --resume`, or take one member, such as member_1"
        )
    raise FileNotFoundError(
        f"{path}: not there; is {folder} the run_dir of `e3md train`, "
        "and has its first epoch finished?"
    )


def _load_best(folder: Path, record: RunRecord) -> nn.Module:
    _require(folder / BEST)
    model = build_model(record.model, record.statistics, getattr(torch, record.dtype))
    weights = load_checkpoint(folder / BEST)["state_dict"]
    prefix = "average."
    try:
        model.load_state_dict(
            {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise DamagedFileError(
            f"{folder / BEST} does not hold the model that {folder / RECORD} describes: {reason}"
        ) from None
    return model
