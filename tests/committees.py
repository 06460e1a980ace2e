"""Committees with random weights, as one file and as the files of their members."""

from pathlib import Path

import torch

from conftest import random_statistics, small_config
from e3md.export import TrainingRecord, save_model
from e3md.model import build_model
from e3md.model.committee import Committee

SPECIES = ("Li", "P", "S")


def write_committee(
    folder: Path, arch: str, members: int = 3, dtype: str = "float64", exact: bool = False
) -> tuple[Path, list[Path]]:
    """The file of a committee, and those of its members alone."""
    config, statistics = small_config(arch), random_statistics(SPECIES)
    models = []
    with torch.random.fork_rng():
        for seed in range(members):
            torch.manual_seed(seed)
            models.append(build_model(config, statistics, getattr(torch, dtype)))
    files = [folder / "committee.pt", *(folder / f"member_{k}.pt" for k in range(members))]
    for model, path in zip([Committee(models), *models], files, strict=True):
        save_model(model, config, statistics, TrainingRecord(), path, exact)
    return files[0], files[1:]
