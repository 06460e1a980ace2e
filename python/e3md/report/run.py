"""The page of a training run, while it goes on, when it has ended, or later from its folder."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import nn

from e3md.data.dataset import Sample
from e3md.data.read import Frame
from e3md.info import known_rows
from e3md.report.content import Page, Section
from e3md.report.curve_section import curve_section
from e3md.report.data_section import data_section
from e3md.report.error_sections import error_sections
from e3md.report.evaluated import Evaluated, spread
from e3md.report.model_section import model_section
from e3md.report.origin_section import origin_section
from e3md.report.page import write_page
from e3md.report.scene import viewer_script
from e3md.report.worst import worst_section
from e3md.train.checkpoint import RunRecord, load_record, load_run, member_folders
from e3md.train.config import Config
from e3md.train.history import METRICS
from e3md.train.prepare import build_sets, frame_sets
from e3md.train.report import compare, final_config, read_metrics, reproduce

PAGE = Path("report") / "index.html"  # in the folder of a run
FEWEST = 50  # frames of the training set that are compared, if there are so many


@dataclass(frozen=True)
class RunPage:
    """What the page of a run tells."""

    config: Config
    record: RunRecord
    state: str
    frames: Mapping[str, Sequence[Frame]]  # "train", "valid", and "test" if given
    sets: Sequence[Evaluated]  # none before there are weights
    weights: str  # which were evaluated
    live: bool = False


def write_run_page(run: RunPage, path: Path) -> None:
    """Everything of one run."""
    script = viewer_script() if run.sets else None
    sections = [
        *(error_sections(run.sets, run.weights) if run.sets else []),
        *_curves(run.config.run_dir, run.config.training.members),
        *([worst_section(run.sets, script is not None)] if run.sets else []),
        data_section(run.frames, run.record.statistics, run.record.training.data),
        _model(run),
        origin_section(_origin(run), final_config(run.config, run.record)),
    ]
    scripts = [script] if script and any(section.scene for section in sections) else []
    write_page(
        Page(f"Training report: {run.config.run_dir.name}", run.state, sections, run.live, scripts),
        path,
    )


def report_run(run_dir: Path) -> Path:
    """Build the page of a run anew from its folder and its data; returns the file.

    Raises:
        FileNotFoundError: naming the file of the run that is missing.
        DamagedFileError: naming the file of the run that is damaged.
        DataError, OSError: for data that are not as they were.
    """
    run_dir = run_dir.resolve()
    model, *_, training = load_run(run_dir)
    record = load_record(run_dir)
    config = _config_of(run_dir, record)
    frames, _ = frame_sets(config, Console(quiet=True))
    samples = build_sets(frames, record.statistics.species, config)
    sets = evaluate_sets(model, samples, frames, record.statistics.species)
    write_run_page(finished_page(config, record, frames, sets, training.state), run_dir / PAGE)
    return run_dir / PAGE


def evaluate_sets(
    model: nn.Module,
    samples: Mapping[str, list[Sample]],
    frames: Mapping[str, Sequence[Frame]],
    species: tuple[str, ...],
) -> list[Evaluated]:
    """Valid and test as a whole, and of train as many frames as of valid, spread evenly."""
    limits = {"train": max(FEWEST, len(samples["valid"]))}
    return [
        evaluate_part(name, model, some, frames[name], species, limits.get(name))
        for name, some in samples.items()
    ]


def finished_page(
    config: Config,
    record: RunRecord,
    frames: Mapping[str, Sequence[Frame]],
    sets: Sequence[Evaluated],
    state: str,
) -> RunPage:
    """Of the weights that are kept; sets: from `evaluate_sets`."""
    given = {one.name: frames[one.name] for one in sets}
    weights = "Errors are those of the best averaged weights, the ones that `e3md export` writes."
    return RunPage(config, record, state or "state not known", given, sets, weights)


def evaluate_part(
    name: str,
    model: nn.Module,
    samples: list[Sample],
    frames: Sequence[Frame],
    species: tuple[str, ...],
    limit: int | None = None,
    seconds: float = np.inf,
) -> Evaluated:
    """At most `limit` frames, evenly spread, and no more than `seconds` hold, but one."""
    chosen = spread(len(samples), limit or len(samples))
    if seconds < np.inf:  # any first part of them is a fair sample
        chosen = np.random.default_rng(0).permutation(chosen).tolist()
    start, compared = time.monotonic(), []
    for k in chosen:
        compared += compare(model, [samples[k]], species)
        if time.monotonic() - start > seconds:
            break
    done = chosen[: len(compared)]
    return Evaluated(name, len(samples), [frames[k] for k in done], compared)


def _config_of(run_dir: Path, record: RunRecord) -> Config:
    """The configuration as the record has it; that of a committee as its first member's has."""
    first = load_record(member_folders(run_dir, record.members)[0])
    if first.settings is None:
        raise ValueError(
            f"{run_dir}: a run of e3md 0.1.0, whose record does not say how its data were split"
        )
    training = first.settings.training.model_copy(update={"members": record.members})
    return Config(run_dir=run_dir, data=first.settings.data, model=record.model, training=training)


def _curves(run_dir: Path, members: int) -> list[Section]:
    folders = {
        folder.name if members > 1 else "": folder for folder in member_folders(run_dir, members)
    }
    found = {
        name: read_metrics(folder / METRICS)
        for name, folder in folders.items()
        if (folder / METRICS).is_file()
    }
    return [curve_section(found)] if found else []


def _model(run: RunPage) -> Section:
    record, statistics = run.record, run.record.statistics
    model: dict[str, Any] = {
        "architecture": record.model.arch,
        "members": record.members if record.members > 1 else None,
        "species": list(statistics.species),
        "arithmetic": record.dtype,
        **{_with_unit(k): v for k, v in record.model.model_dump(exclude={"arch"}).items()},
        "scale, eV": statistics.scale,
        "shift, eV/atom": statistics.shift,
        "neighbors per atom": statistics.avg_num_neighbors,
        **dict(known_rows(record.training.model_dump(mode="json"))),
        "started from": str(run.config.init_from) if run.config.init_from else None,
    }
    training = run.config.training.model_dump()
    if record.speed:
        training["hours"] = record.speed.hours
    return model_section(model, training)


def _with_unit(key: str) -> str:
    return f"{key}, Å" if key in ("cutoff", "xplor_on") else key


def _origin(run: RunPage) -> list[str]:
    lines = [reproduce(run.record)]
    lines += [str(run.record.speed)] if run.record.speed else []
    return lines + [f"Resumed {change}." for change in run.record.changes]
