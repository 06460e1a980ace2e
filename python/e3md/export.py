"""Trained weights to a model file: the only module that knows TorchScript."""

import datetime
import json
import os
import tempfile
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from e3md import __version__
from e3md.data.statistics import Statistics
from e3md.model.config import ModelConfig

FORMAT_VERSION = 1
METADATA_FILE = "e3md.json"


class DataFile(BaseModel):
    """One file a model was trained on."""

    model_config = ConfigDict(frozen=True)
    file: str
    sha256: str
    n_configurations: int


class TrainingRecord(BaseModel):
    """Where a model's weights come from."""

    model_config = ConfigDict(frozen=True)
    data: list[DataFile] = []
    seed: int = 0
    test_errors: dict[str, float] = {}
    converted_from: str = ""


def save_model(
    model: nn.Module,
    config: ModelConfig,
    statistics: Statistics,
    record: TrainingRecord,
    path: str | Path,
) -> None:
    """Write a model file: the scripted module and what e3md.json says of it.

    The file appears whole or not at all (written beside `path`, then renamed).
    """
    dtype = next(model.parameters()).dtype
    metadata = {
        "format_version": FORMAT_VERSION,
        "e3md_version": __version__,
        "torch_version": torch.__version__,
        "architecture": config.arch,
        "hyperparameters": config.model_dump(mode="json", exclude={"arch"}),
        "species": list(statistics.species),
        "cutoff": config.cutoff,
        "n_layers": config.n_layers,
        "exchange_width": model.exchange_width,
        "dtype": str(dtype).removeprefix("torch."),
        "units": {"energy": "eV", "length": "Å"},
        "statistics": {
            "e0s": dict(zip(statistics.species, statistics.e0s, strict=True)),
            "scale": statistics.scale,
            "shift": statistics.shift,
            "avg_num_neighbors": statistics.avg_num_neighbors,
        },
        "training": record.model_dump(mode="json"),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    scripted = torch.jit.script(model.cpu().eval())
    path = Path(path)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".pt", delete=False) as handle:
        temporary = Path(handle.name)
    try:
        files = {METADATA_FILE: json.dumps(metadata, indent=2, ensure_ascii=False)}
        torch.jit.save(scripted, str(temporary), _extra_files=files)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def export_run(run_dir: str | Path, output: str | Path) -> None:
    """Export the best weights of a training run.

    Raises:
        FileNotFoundError: if the folder holds no finished checkpoint.
    """
    from e3md.train.checkpoint import load_run

    model, config, statistics, record = load_run(run_dir)
    save_model(model, config, statistics, record, output)
