"""Checkpoints that are whole or absent, and what a finished run left behind."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from pydantic import BaseModel, ConfigDict
from torch import nn

from e3md.data.statistics import Statistics
from e3md.export import TrainingRecord
from e3md.model import ModelConfig, build_model

BEST, LAST, RECORD = "best.ckpt", "last.ckpt", "record.json"


class RunRecord(BaseModel):
    """Everything besides weights that rebuilds a trained model."""

    model_config = ConfigDict(frozen=True)
    model: ModelConfig
    statistics: Statistics
    dtype: str
    training: TrainingRecord


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to disk, then renames: a kill or a full disk in between
    leaves the last good checkpoint as it was."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as handle:
                torch.save(checkpoint, handle)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    os.replace(temporary, path)


def load_run(run_dir: str | Path) -> tuple[nn.Module, ModelConfig, Statistics, TrainingRecord]:
    """The model of a run with its best averaged weights.

    Raises:
        FileNotFoundError: naming the file of the run that is missing.
    """
    folder = Path(run_dir)
    for name in (RECORD, BEST):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name}: not there; is {folder} the run_dir of `e3md train`, "
                "and has its first epoch finished?"
            )
    record = RunRecord.model_validate_json((folder / RECORD).read_text())
    model = build_model(record.model, record.statistics, getattr(torch, record.dtype))
    weights = torch.load(folder / BEST, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "average."
    model.load_state_dict(
        {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    )
    return model, record.model, record.statistics, record.training
