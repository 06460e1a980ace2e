"""The report of a finished run: errors, parity plots, learning curves, the configuration."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from e3md.accuracy.calibration import calibration_table, collect_deviations
from e3md.accuracy.errors import Compared, Errors, collect_errors, error_rows
from e3md.accuracy.plots import calibration_plot, learning_curves, parity_plots
from e3md.data.dataset import Sample, collate
from e3md.derivatives import Prediction, predict
from e3md.files import write_text
from e3md.model.committee import members_of
from e3md.train.checkpoint import RunRecord
from e3md.train.config import Config


def compare(model: nn.Module, samples: list[Sample], species: tuple[str, ...]) -> list[Compared]:
    """Predictions of an eager model beside the labels, frame by frame; of a committee the means."""
    compared = []
    for sample in samples:
        graph = collate([sample]).graph
        prediction, deviation = _mean([predict(member, graph) for member in members_of(model)])
        known = not (sample.stress.isnan() | prediction.stress.isnan()).any()
        compared.append(
            Compared(
                symbols=[species[t] for t in sample.graph.types.tolist()],
                energy=(prediction.energy.item(), sample.energy.item()),
                forces=(prediction.forces.numpy(), sample.forces.numpy()),
                stress=(prediction.stress[0].numpy(), sample.stress[0].numpy()) if known else None,
                deviation=deviation,
            )
        )
    return compared


def _mean(
    members: list[Prediction],
) -> tuple[Prediction, tuple[float, NDArray[np.float64]] | None]:
    """Mean of what the members predict for one frame, and their deviation if they are several."""
    columns = [torch.stack(column) for column in zip(*members, strict=True)]
    mean = Prediction(*(column.mean(dim=0) for column in columns))
    if len(members) == 1:
        return mean, None
    of_all = Prediction(*(column.std(dim=0, correction=0) for column in columns))
    return mean, (of_all.energy.item(), of_all.forces.numpy())


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
    folder: Path,
    config: Config,
    sets: Mapping[str, Sequence[Compared]],
    metrics: list[Path],
    record: RunRecord,
) -> dict[str, Errors]:
    """Write report/ of a run.

    Args:
        folder: created; gets report.md, errors.json, config.yaml and PNG files, for a committee also
            calibration.json.
        config: of the run, with absolute paths.
        sets: predictions per data set ("valid", "test").
        metrics: metrics.csv of each member, one for a single model.
        record: of the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    errors = {name: collect_errors(frames) for name, frames in sets.items()}
    text = [
        f"# Training report\n\nArchitecture `{config.model.arch}`, {_seeds(config)}.\n",
        f"{record.speed}\n",
        *_resumed(record),
    ]
    for name, found in errors.items():
        pictures = parity_plots(sets[name], found, folder / name)
        text.append(f"## {name} ({found.n_frames} frames)\n\n{markdown_table(found)}\n")
        text += [f"![]({name}/{picture.name})" for picture in pictures]
    if config.training.members > 1:
        text.append(_write_calibration(folder, sets))
    text.append("\n## Learning curves\n")
    for n, path in enumerate(metrics, 1):
        picture = f"learning_curves_{n}.png" if len(metrics) > 1 else "learning_curves.png"
        learning_curves(read_metrics(path), folder / picture)
        text.append(f"![]({picture})\n")
    text.append(reproduce(record))
    write_text(folder / "report.md", "\n".join(text))
    entries = ",\n".join(f'"{name}": {e.model_dump_json(indent=2)}' for name, e in errors.items())
    write_text(folder / "errors.json", "{" + entries + "}\n")
    write_text(folder / "config.yaml", final_config(config, record))
    return errors


def _resumed(record: RunRecord) -> list[str]:
    """What the run was resumed with; nothing if all its parts had the same settings."""
    if not record.changes:
        return []
    lines = "\n".join(f"- {change}" for change in record.changes)
    return [f"Resumed with other settings:\n\n{lines}\n"]


def reproduce(record: RunRecord) -> str:
    """How to train the same model again, in words."""
    if record.changes:
        return "`config.yaml` holds the settings of the last part; its comments those before.\n"
    return "Reproduce: `e3md train config.yaml`, with another `run_dir` in it.\n"


def final_config(config: Config, record: RunRecord) -> str:
    """The configuration as YAML; the model is left out where it is that of init_from."""
    exclude = {"model"} if config.init_from else set()
    comments = [f"# {change}\n" for change in record.changes]
    text = yaml.safe_dump(config.model_dump(mode="json", exclude=exclude), sort_keys=False)
    return "".join(comments) + text


def _seeds(config: Config) -> str:
    first, members = config.training.seed, config.training.members
    if members == 1:
        return f"seed {first}"
    return f"a committee of {members}, seeds {first} to {first + members - 1}; errors of its mean"


def _write_calibration(folder: Path, sets: Mapping[str, Sequence[Compared]]) -> str:
    """calibration.json and a picture per set; returns the section of the report."""
    text = ["\n## Calibration: error against the deviation of the members\n"]
    entries = []
    for name, frames in sets.items():
        found = collect_deviations(frames)
        entries.append(f'"{name}": {found.model_dump_json(indent=2)}')
        picture = calibration_plot(frames, found, folder / name / "calibration.png")
        text.append(f"### {name}\n\n{calibration_table(found)}\n![]({name}/{picture.name})\n")
    write_text(folder / "calibration.json", "{" + ",\n".join(entries) + "}\n")
    return "\n".join(text)
