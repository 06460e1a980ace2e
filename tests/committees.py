"""Committees with random weights, as one file and as the files of their members."""

from pathlib import Path

import torch
from torch import nn

from conftest import random_statistics, small_config
from e3md.export import save_model
from e3md.model import build_model
from e3md.model.committee import Committee
from e3md.model_file import TrainingRecord

SPECIES = ("Li", "P", "S")


def write_committee(
    folder: Path, arch: str, members: int = 3, dtype: str = "float64", exact: bool = False
) -> tuple[Path, list[Path]]:
    """The file of a committee, and those of its members alone."""
    models = _members(arch, members, dtype)
    files = [folder / "committee.pt", *(folder / f"member_{k}.pt" for k in range(members))]
    for model, path in zip([Committee(models), *models], files, strict=True):
        _write(model, arch, path, exact)
    return files[0], files[1:]


def write_committee_alone(folder: Path, arch: str, members: int = 3, exact: bool = False) -> Path:
    """The file of a committee in float64, without those of its members."""
    path = folder / "committee.pt"
    _write(Committee(_members(arch, members, "float64")), arch, path, exact)
    return path


def _members(arch: str, members: int, dtype: str) -> list[nn.Module]:
    models = []
    with torch.random.fork_rng():
        for seed in range(members):
            torch.manual_seed(seed)
            model = build_model(
                small_config(arch), random_statistics(SPECIES), getattr(torch, dtype)
            )
            models.append(model)
    return models


def _write(model: nn.Module, arch: str, path: Path, exact: bool) -> None:
    record = TrainingRecord()
    save_model(model, small_config(arch), random_statistics(SPECIES), record, path, exact)
