"""The report of a finished run: errors, parity plots, learning curves, the configuration."""

import csv
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from torch import nn

from e3md.data.dataset import Sample, collate
from e3md.derivatives import predict
from e3md.errors import Compared, Errors, collect_errors, error_rows
from e3md.plots import learning_curves, parity_plots
from e3md.train.config import Config
from e3md.train.files import write_text
from e3md.train.speed import Speed


def compare(model: nn.Module, samples: list[Sample], species: tuple[str, ...]) -> list[Compared]:
    """Predictions of an eager model beside the labels, frame by frame."""
    compared = []
    for sample in samples:
        prediction = predict(model, collate([sample]).graph)
        known = not (sample.stress.isnan() | prediction.stress.isnan()).any()
        compared.append(
            Compared(
                symbols=[species[t] for t in sample.graph.types.tolist()],
                energy=(prediction.energy.item(), sample.energy.item()),
                forces=(prediction.forces.numpy(), sample.forces.numpy()),
                stress=(prediction.stress[0].numpy(), sample.stress[0].numpy()) if known else None,
            )
        )
    return compared


def markdown_table(errors: Errors) -> str:
    """The error table as Markdown."""
    lines = ["| quantity | unit | MAE | RMSE |", "| --- | --- | ---: | ---: |"]
    lines += ["| " + " | ".join(row) + " |" for row in error_rows(errors)]
    return "\n".join(lines)


def read_metrics(path: Path) -> dict[str, NDArray[np.float64]]:
    """Columns of Lightning's metrics.csv, NaN where empty."""
    with path.open() as handle:
        rows = list(csv.DictReader(handle))
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}


def write_report(
    folder: Path, config: Config, sets: dict[str, list[Compared]], metrics: Path, speed: Speed
) -> dict[str, Errors]:
    """Write report/ of a run.

    Args:
        folder: created; gets report.md, errors.json, config.yaml and PNG files.
        config: of the run, with absolute paths.
        sets: predictions per data set ("valid", "test").
        metrics: Lightning's metrics.csv.
        speed: of the whole training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    errors = {name: collect_errors(frames) for name, frames in sets.items()}
    text = [
        f"# Training report\n\nArchitecture `{config.model.arch}`, seed {config.training.seed}.\n\n{speed}\n"
    ]
    for name, found in errors.items():
        pictures = parity_plots(sets[name], found, folder / name)
        text.append(f"## {name} ({found.n_frames} frames)\n\n{markdown_table(found)}\n")
        text += [f"![]({name}/{picture.name})" for picture in pictures]
    learning_curves(read_metrics(metrics), folder / "learning_curves.png")
    text.append("\n## Learning curves\n\n![](learning_curves.png)\n")
    text.append("Reproduce: `e3md train config.yaml`, with another `run_dir` in it.\n")
    write_text(folder / "report.md", "\n".join(text))
    entries = ",\n".join(f'"{name}": {e.model_dump_json(indent=2)}' for name, e in errors.items())
    write_text(folder / "errors.json", "{" + entries + "}\n")
    write_text(
        folder / "config.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    )
    return errors
