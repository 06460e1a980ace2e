"""A training run from configuration to report."""

import datetime
import logging
import warnings
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from rich.table import Table
from torch import nn

from e3md.data.batches import BatchSize, Share, training_loader, validation_loader
from e3md.errors import Compared, Errors, error_rows
from e3md.export import TrainingRecord
from e3md.files import write_text
from e3md.fused.training import Reach
from e3md.model import build_model
from e3md.paths import expand
from e3md.train.checkpoint import (
    LAST,
    RECORD,
    AtomicCheckpointIO,
    Patience,
    RunRecord,
    checkpoints,
    load_run,
)
from e3md.train.committee import check_run_dir, is_finished, mark_finished, member_configs
from e3md.train.config import Config, ConfigError, DataConfig, load_config
from e3md.train.defaults import configure
from e3md.train.device import missing_cuda
from e3md.train.history import History
from e3md.train.initial import load_initial
from e3md.train.module import PotentialTraining
from e3md.train.parallel import (
    choose_strategy,
    cluster,
    explained,
    is_first_process,
    set_threads,
)
from e3md.train.prepare import TrainingData, prepare_data, shortest_distance, warn
from e3md.train.progress import TrainingProgress
from e3md.train.report import compare, write_report
from e3md.train.resume import check_statistics, resume_record
from e3md.train.sense import check_sense
from e3md.train.settings import settings_of
from e3md.train.speed import Speed, SpeedMeter, joint_speed

METRICS = Path("logs") / "metrics.csv"


def train(config_path: str | Path, resume: bool = False) -> Path:
    """Train as a configuration file says; returns the run folder.

    Raises:
        ConfigError: for a configuration or run folder that does not fit.
        DataError: for frames that cannot be trained on, listed by file and number.
        DivergedError: if the loss is no longer a number.
    """
    config = load_config(expand(config_path))
    first = is_first_process(config.training)
    console = Console(quiet=not first)
    check_run_dir(config, resume)
    _check_device(config.training.device)
    _quiet()
    set_threads(config.training)
    initial = load_initial(config.init_from) if config.init_from else None
    if initial:
        config = config.model_copy(update={"model": initial.config})
    records = [resume_record(member, console) for member in member_configs(config)]
    data = prepare_data(config, console, initial)
    warn(console, check_sense(config, data.samples["train"]))
    record = _train_members(config, data, records, console)
    if first:
        _report(config, data, record, console)
    return config.run_dir


def _train_members(
    config: Config, data: TrainingData, records: list[RunRecord | None], console: Console
) -> RunRecord:
    """Train each member, from the record of where it was left."""
    members = member_configs(config)
    done = []
    for n, (member, before) in enumerate(zip(members, records, strict=True), 1):
        if len(members) > 1:
            console.print(f"member {n} of {len(members)}, seed {member.training.seed}")
        done.append(_train_model(member, data, before, console))
    if len(members) == 1:
        return done[0]
    training = done[0].training.model_copy(update={"seed": config.training.seed})
    speed = joint_speed([record.speed for record in done if record.speed])
    changes = [
        change.model_copy(update={"member": n})
        for n, record in enumerate(done, 1)
        for change in record.changes
    ]
    record = RunRecord(
        model=config.model, statistics=done[0].statistics, dtype=config.training.dtype,
        training=training, speed=speed, members=len(members), changes=changes,
    )  # fmt: skip
    write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
    return record


def _train_model(
    config: Config, data: TrainingData, before: RunRecord | None, console: Console
) -> RunRecord:
    """Train one model, from where it was left; a model that was finished stays as it is."""
    lightning.seed_everything(config.training.seed, verbose=False)
    statistics = before.statistics if before else data.statistics
    if before:
        check_statistics(config.run_dir, statistics, data.statistics)
    model = build_model(config.model, statistics, getattr(torch, config.training.dtype))
    if data.initial:
        data.initial.load_into(model)
    console.print(f"{config.model.arch}: {sum(p.numel() for p in model.parameters())} weights")
    record = before or RunRecord(
        model=config.model,
        statistics=statistics,
        dtype=config.training.dtype,
        training=TrainingRecord(
            data=data.files,
            seed=config.training.seed,
            shortest_distance=shortest_distance(data.samples),
        ),
        settings=settings_of(config),
    )
    if is_first_process(config.training):
        config.run_dir.mkdir(parents=True, exist_ok=True)
        write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
    if before and is_finished(config):
        return record
    speed = _fit(model, data, config, before is not None, console)
    record = record.model_copy(update={"speed": speed})
    if is_first_process(config.training):
        write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
        mark_finished(config)
    return record


def train_data(data: DataConfig, run_dir: Path, resume: bool = False) -> Path:
    """Train on files alone: choose a configuration, say and write it, go by it.

    Raises:
        ConfigError, DataError, DivergedError: as `train`.
    """
    return train(configure(data, expand(run_dir), resume, Console()), resume)


def _check_device(device: str) -> None:
    problem = missing_cuda()
    if device == "cuda" and problem:
        raise ConfigError(f"training.device: cuda, but {problem}")


def _fit(
    model: nn.Module, data: TrainingData, config: Config, resume: bool, console: Console
) -> Speed:
    settings, meter = config.training, SpeedMeter()
    trainer = _trainer(
        config, [meter, History(config.run_dir / METRICS), TrainingProgress(console, meter)]
    )
    share = Share(trainer.global_rank, trainer.world_size)
    size = BatchSize(settings.batch_size, settings.batch_edges)
    batches = training_loader(data.samples["train"], size, settings.seed, share)
    valid = validation_loader(data.samples["valid"], batches, share)
    n_steps = settings.max_epochs * len(batches)
    reach = Reach(shortest_distance(data.samples) or 1.0, config.model.cutoff)
    module = PotentialTraining(model, settings, data.force_scale, n_steps, reach)
    last = config.run_dir / LAST if resume else None
    trainer.fit(module, batches, valid, ckpt_path=last, weights_only=True)
    return meter.speed(trainer.world_size)


def _trainer(config: Config, callbacks: list[Callback]) -> lightning.Trainer:
    settings, folder = config.training, config.run_dir
    if settings.early_stopping:
        callbacks.append(Patience("valid_loss", patience=settings.early_stopping))
    if settings.max_time:
        limit = datetime.timedelta(minutes=settings.max_time)
        callbacks.append(Timer(limit, interval="epoch", verbose=False))
    with explained(settings):
        return lightning.Trainer(
            accelerator="gpu" if settings.device == "cuda" else "cpu",
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=choose_strategy(settings),
            use_distributed_sampler=False,  # our batches know their process
            max_epochs=settings.max_epochs,
            callbacks=[*callbacks, *checkpoints(folder)],
            plugins=[AtomicCheckpointIO(), *cluster(settings)],
            logger=TensorBoardLogger(folder, name="tensorboard", version=""),
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10**9,
            default_root_dir=folder,
        )


def _report(config: Config, data: TrainingData, record: RunRecord, console: Console) -> None:
    model, *_ = load_run(config.run_dir)
    sets: dict[str, list[Compared]] = {
        name: compare(model, data.samples[name], data.statistics.species)
        for name in ("valid", "test")
        if name in data.samples
    }
    report = config.run_dir / "report"
    metrics = [member.run_dir / METRICS for member in member_configs(config)]
    errors = write_report(report, config, sets, metrics, record)
    if "test" in errors:
        training = record.training.model_copy(update={"test_errors": _summary(errors["test"])})
        record = record.model_copy(update={"training": training})
    write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
    name, final = list(errors.items())[-1]
    table = Table("quantity", "unit", "MAE", "RMSE", title=f"errors on {name}")
    for row in error_rows(final):
        table.add_row(*row)
    console.print(table)
    console.print(str(record.speed))
    console.print(f"report: {report / 'report.md'}")


def _summary(errors: Errors) -> dict[str, float]:
    found = {"energy_per_atom": errors.energy_per_atom, "forces": errors.forces}
    found |= {"stress": errors.stress}
    return {
        f"{name}_{statistic}": getattr(pair, statistic)
        for name, pair in found.items()
        for statistic in ("mae", "rmse")
        if pair
    }


def _quiet() -> None:
    """Lightning's remarks on devices, workers and tips are no concern of our users."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
