"""A training run from configuration to report."""

import logging
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from rich.console import Console
from rich.table import Table
from torch import nn

from e3md.data.dataset import Sample, build_samples, loader
from e3md.data.read import Frame, file_sha256, read_frames
from e3md.data.statistics import (
    ReferenceEnergies,
    Statistics,
    collect_statistics,
    find_species,
    reference_energies,
)
from e3md.errors import Compared, Errors, error_rows
from e3md.export import DataFile, TrainingRecord
from e3md.model import build_model
from e3md.train.checkpoint import (
    BEST,
    LAST,
    RECORD,
    AtomicCheckpointIO,
    RunRecord,
    load_run,
    write_text,
)
from e3md.train.config import Config, ConfigError, load_config
from e3md.train.module import PotentialTraining
from e3md.train.report import compare, write_report


@dataclass(frozen=True)
class TrainingData:
    """All sets of a run, ready to batch."""

    samples: dict[str, list[Sample]]  # "train", "valid", and "test" if given
    statistics: Statistics
    files: list[DataFile]


def train(config_path: str | Path, resume: bool = False) -> Path:
    """Train as a configuration file says; returns the run folder.

    Raises:
        ConfigError: for a configuration or run folder that does not fit.
        DataError: for frames that cannot be trained on, listed by file and number.
    """
    config, console = load_config(Path(config_path)), Console()
    _check_run_dir(config.run_dir, resume)
    _quiet()
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    lightning.seed_everything(config.training.seed, verbose=False)
    data = prepare_data(config, console)
    model = build_model(config.model, data.statistics, getattr(torch, config.training.dtype))
    console.print(f"{config.model.arch}: {sum(p.numel() for p in model.parameters())} weights")
    record = RunRecord(
        model=config.model,
        statistics=data.statistics,
        dtype=config.training.dtype,
        training=TrainingRecord(data=data.files, seed=config.training.seed),
    )
    write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
    _fit(model, data, config, resume)
    _report(config, data, record, console)
    return config.run_dir


def prepare_data(config: Config, console: Console) -> TrainingData:
    """Read, check, split, measure, and build graphs."""
    frames, files = {}, []
    for name in ("train", "valid", "test"):
        paths = getattr(config.data, name)
        frames[name], odd = read_frames(paths, config.data.keys)
        for line in odd:
            console.print(f"[yellow]warning:[/] {line}")
        if name == "train":
            files = [
                DataFile(
                    file=p.name, sha256=file_sha256(p), n_configurations=_count(frames[name], p)
                )
                for p in paths
            ]
    reference = reference_energies(frames["train"])
    frames = {name: [f for f in some if not f.isolated] for name, some in frames.items()}
    if not frames["valid"]:
        frames["train"], frames["valid"] = split(
            frames["train"], config.data.valid_fraction, config.training.seed
        )
    _check_species(frames, reference.species)
    dtype, cache = getattr(torch, config.training.dtype), config.run_dir / "cache"
    samples = {
        name: build_samples(
            some, reference.species, config.model.cutoff, dtype, cache, f"graphs of {name}"
        )
        for name, some in frames.items()
        if some
    }
    n_edges = [s.graph.edge_index.shape[1] for s in samples["train"]]
    statistics = collect_statistics(frames["train"], reference, n_edges)
    console.print(_statistics_table(frames, statistics, reference))
    return TrainingData(samples, statistics, files)


def split(frames: list[Frame], fraction: float, seed: int) -> tuple[list[Frame], list[Frame]]:
    """Hold a part of the frames out, chosen by seed: (train, valid), at least one frame in each.

    Raises:
        ConfigError: if there are fewer than two frames.
    """
    if len(frames) < 2:
        raise ConfigError("data.train: at least 2 frames are needed to hold one out for validation")
    n_valid = min(max(1, round(fraction * len(frames))), len(frames) - 1)
    order = np.random.default_rng(seed).permutation(len(frames))
    held = set(order[:n_valid].tolist())
    parts: tuple[list[Frame], list[Frame]] = ([], [])
    for k, frame in enumerate(frames):
        parts[k in held].append(frame)
    return parts


def _count(frames: list[Frame], path: Path) -> int:
    return sum(frame.label.startswith(f"{path.name} frame ") for frame in frames)


def _check_species(frames: dict[str, list[Frame]], species: tuple[str, ...]) -> None:
    for name, some in frames.items():
        unknown = set(find_species(some)) - set(species) if some else set()
        if unknown:
            raise ConfigError(
                f"data.{name}: {' '.join(sorted(unknown))} does not occur in data.train"
            )


def _check_run_dir(run_dir: Path, resume: bool) -> None:
    has_run = (run_dir / LAST).is_file()
    if resume and not has_run:
        raise ConfigError(f"{run_dir / LAST}: nothing to resume from")
    if has_run and not resume:
        raise ConfigError(
            f"{run_dir} holds a run already: continue it with --resume, or set another run_dir"
        )
    run_dir.mkdir(parents=True, exist_ok=True)


def _statistics_table(
    frames: dict[str, list[Frame]], statistics: Statistics, reference: ReferenceEnergies
) -> Table:
    table = Table(title="data", show_header=False)
    sizes = ", ".join(f"{len(some)} {name}" for name, some in frames.items() if some)
    e0s = "  ".join(f"{s} {e:.4f}" for s, e in zip(statistics.species, statistics.e0s, strict=True))
    table.add_row("frames", sizes)
    table.add_row("stress", "yes" if any(f.stress is not None for f in frames["train"]) else "no")
    table.add_row("E0, eV", f"{e0s}\n({reference.source})")
    table.add_row("RMS force, eV/Å", f"{statistics.scale:.4f}")
    table.add_row("shift, eV/atom", f"{statistics.shift:.4f}")
    table.add_row("neighbors per atom", f"{statistics.avg_num_neighbors:.1f}")
    return table


def _fit(model: nn.Module, data: TrainingData, config: Config, resume: bool) -> None:
    settings, folder = config.training, config.run_dir
    batches = loader(data.samples["train"], settings.batch_size, settings.seed)
    module = PotentialTraining(
        model, settings, data.statistics.scale, settings.max_epochs * len(batches)
    )
    checkpoint = ModelCheckpoint(
        dirpath=folder, filename=BEST.removesuffix(".ckpt"), monitor="valid_loss",
        save_last=True, enable_version_counter=False,
    )  # fmt: skip
    callbacks = [checkpoint, RichProgressBar()]
    if settings.early_stopping:
        callbacks.append(EarlyStopping("valid_loss", patience=settings.early_stopping))
    csv_logger = CSVLogger(folder, name="logs", version="")
    metrics = folder / "logs" / "metrics.csv"
    if not resume and metrics.exists():
        shutil.rmtree(metrics.parent)
    trainer = lightning.Trainer(
        accelerator="gpu" if settings.device == "cuda" else "cpu", devices=1,
        max_epochs=settings.max_epochs, gradient_clip_val=settings.gradient_clip,
        callbacks=callbacks, plugins=[AtomicCheckpointIO()],
        logger=[csv_logger, TensorBoardLogger(folder, name="tensorboard", version="")],
        enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=10**9,
        default_root_dir=folder,
    )  # fmt: skip
    valid = loader(data.samples["valid"], settings.batch_size, None)
    last = folder / LAST if resume else None
    trainer.fit(module, batches, valid, ckpt_path=last, weights_only=False if resume else None)


def _report(config: Config, data: TrainingData, record: RunRecord, console: Console) -> None:
    model, *_ = load_run(config.run_dir)
    sets: dict[str, list[Compared]] = {
        name: compare(model, data.samples[name], data.statistics.species)
        for name in ("valid", "test")
        if name in data.samples
    }
    errors = write_report(
        config.run_dir / "report", config, sets, config.run_dir / "logs" / "metrics.csv"
    )
    name, final = list(errors.items())[-1]
    training = record.training.model_copy(update={"test_errors": _summary(final)})
    write_text(
        config.run_dir / RECORD,
        record.model_copy(update={"training": training}).model_dump_json(indent=2),
    )
    table = Table("quantity", "unit", "MAE", "RMSE", title=f"errors on {name}")
    for row in error_rows(final):
        table.add_row(*row)
    console.print(table)
    console.print(f"report: {config.run_dir / 'report' / 'report.md'}")


def _summary(errors: Errors) -> dict[str, float]:
    found = {
        "energy_per_atom_mae": errors.energy_per_atom.mae,
        "forces_mae": errors.forces.mae,
        "forces_rmse": errors.forces.rmse,
    }
    return found | ({"stress_mae": errors.stress.mae} if errors.stress else {})


def _quiet() -> None:
    """Lightning's remarks on devices, workers and tips are no concern of our users."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
