"""Trained weights to a model file: the only module that knows TorchScript."""

import dataclasses
import datetime
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from e3md import __version__
from e3md.data.statistics import Statistics
from e3md.fused.committee import tabulated_committee
from e3md.fused.knots import TableError, tabulated
from e3md.model.build import network_dtype, set_dtype
from e3md.model.committee import Committee, members_of
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
    exact: bool = False,
) -> str:
    """Write a model file: the scripted module and what e3md.json says of it.

    A Committee becomes one file, whose energy is the mean over its members.
    Radial networks are read from tables made on loading, unless `exact`. The file appears whole or
    not at all (written beside `path`, then renamed).

    Returns:
        A line on the tables and their error, or on why there are none.
    """
    dtype = network_dtype(model)
    module, tables, remark = _arrange(model.cpu().eval(), config.cutoff, statistics.species, exact)
    set_dtype(module, dtype)
    metadata = {
        "format_version": FORMAT_VERSION,
        "e3md_version": __version__,
        "torch_version": torch.__version__,
        "architecture": config.arch,
        "hyperparameters": config.model_dump(mode="json", exclude={"arch"}),
        "members": len(members_of(model)),
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
        "tables": tables,
        "training": record.model_dump(mode="json"),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    scripted = torch.jit.script(module.eval())
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
    return remark


def _arrange(
    model: nn.Module, cutoff: float, species: Sequence[str], exact: bool
) -> tuple[nn.Module, dict[str, dict[str, float]] | None, str]:
    """The module to write, what e3md.json says of its tables, and the same for the user."""
    fused: nn.Module
    if exact:
        return model, None, "radial networks are evaluated for every neighbor (exact)"
    try:
        if isinstance(model, Committee):
            fused, tables = tabulated_committee(model, cutoff, species)
        else:
            fused, tables = tabulated(model, cutoff, species)
    except TableError as error:
        return model, None, f"no tables, radial networks are evaluated for every neighbor: {error}"
    parts = [
        f"{tables.knots[dtype]} knots in {dtype} (force error {tables.force_error[dtype]:.0e})"
        for dtype in tables.knots
    ]
    remark = "radial tables: " + ", ".join(parts) + " against the exact networks"
    return fused, dataclasses.asdict(tables), remark


def export_run(run_dir: str | Path, output: str | Path, exact: bool = False) -> str:
    """Export the best weights of a training run, of all members of a committee.

    Returns as `save_model`.

    Raises:
        FileNotFoundError: if the folder holds no finished checkpoint.
    """
    from e3md.train.checkpoint import load_run

    model, config, statistics, record = load_run(run_dir)
    return save_model(model, config, statistics, record, output, exact)
