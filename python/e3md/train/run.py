"""A training run from configuration to report."""

import datetime
import logging
import warnings
from dataclasses import replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, Timer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from rich.table import Table
from torch import nn

from e3md.data.batches import BatchSize, Share, training_loader, validation_loader
from e3md.errors import Compared, Errors, error_rows
from e3md.export import TrainingRecord
from e3md.fused.training import Reach
from e3md.model import build_model
from e3md.train.checkpoint import (
    LAST,
    RECORD,
    AtomicCheckpointIO,
    RunRecord,
    check_same_run,
    checkpoints,
    load_record,
    load_run,
)
from e3md.train.committee import check_run_dir, is_finished, mark_finished, member_configs
from e3md.train.config import Config, ConfigError, DataConfig, load_config
from e3md.train.defaults import configure
from e3md.train.device import missing_cuda
from e3md.train.files import write_text
from e3md.train.history import History
from e3md.train.initial import InitialModel, load_initial, refit_e0s
from e3md.train.module import PotentialTraining
from e3md.train.parallel import choose_strategy, is_first_process, set_threads
from e3md.train.prepare import TrainingData, prepare_data, shortest_distance
from e3md.train.progress import TrainingProgress
from e3md.train.report import compare, write_report
from e3md.train.speed import Speed, SpeedMeter, joint_speed

METRICS = Path("logs") / "metrics.csv"


def train(config_path: str | Path, resume: bool = False) -> Path:
    """Train as a configuration file says; returns the run folder.

    Raises:
        ConfigError: for a configuration or run folder that does not fit.
        DataError: for frames that cannot be trained on, listed by file and number.
        DivergedError: if the loss is no longer a number.
    """
    config = load_config(Path(config_path))
    first = is_first_process(config.training)
    console = Console(quiet=not first)
    check_run_dir(config, resume)
    _check_device(config.training.device)
    _quiet()
    set_threads(config.training)
    initial = load_initial(config.init_from) if config.init_from else None
    if initial:
        config = config.model_copy(update={"model": initial.config})
    data = prepare_data(config, console, initial.statistics if initial else None)
    record = _train_members(config, data, initial, console)
    if first:
        _report(config, data, record, console)
    return config.run_dir


def _train_members(
    config: Config, data: TrainingData, initial: InitialModel | None, console: Console
) -> RunRecord:
    members, records = member_configs(config), []
    for n, member in enumerate(members, 1):
        if len(members) > 1:
            console.print(f"member {n} of {len(members)}, seed {member.training.seed}")
        records.append(_train_model(member, data, initial, console))
    if len(members) == 1:
        return records[0]
    training = records[0].training.model_copy(update={"seed": config.training.seed})
    speed = joint_speed([record.speed for record in records if record.speed])
    update = {"members": len(members), "training": training, "speed": speed}
    record = records[-1].model_copy(update=update)
    write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
    return record


def _train_model(
    config: Config, data: TrainingData, initial: InitialModel | None, console: Console
) -> RunRecord:
    """Train one model, from where it was left; a model that was finished stays as it is."""
    lightning.seed_everything(config.training.seed, verbose=False)
    model = build_model(config.model, data.statistics, getattr(torch, config.training.dtype))
    if initial:
        initial.load_into(model)
        refitted = refit_e0s(model, initial.statistics, data.samples["train"])
        data = replace(data, statistics=refitted)
    console.print(f"{config.model.arch}: {sum(p.numel() for p in model.parameters())} weights")
    record = RunRecord(
        model=config.model,
        statistics=data.statistics,
        dtype=config.training.dtype,
        training=TrainingRecord(
            data=data.files,
            seed=config.training.seed,
            shortest_distance=shortest_distance(data.samples),
        ),
    )
    began = (config.run_dir / LAST).is_file()
    if began:
        check_same_run(config.run_dir, record)
    if is_finished(config):
        return load_record(config.run_dir)
    if is_first_process(config.training):
        config.run_dir.mkdir(parents=True, exist_ok=True)
        write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
    record = record.model_copy(update={"speed": _fit(model, data, config, began, console)})
    if is_first_process(config.training):
        write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
        mark_finished(config)
    return record


def train_data(data: DataConfig, run_dir: Path, resume: bool = False) -> Path:
    """Train on files alone: choose a configuration, say and write it, go by it.

    Raises:
        ConfigError, DataError, DivergedError: as `train`.
    """
    return train(configure(data, run_dir, resume, Console()), resume)


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
    reach = Reach(shortest_distance(data.samples), config.model.cutoff)
    module = PotentialTraining(model, settings, data.force_scale, n_steps, reach)
    last = config.run_dir / LAST if resume else None
    trainer.fit(module, batches, valid, ckpt_path=last, weights_only=True)
    return meter.speed(trainer.world_size)


def _trainer(config: Config, callbacks: list[Callback]) -> lightning.Trainer:
    settings, folder = config.training, config.run_dir
    if settings.early_stopping:
        callbacks.append(EarlyStopping("valid_loss", patience=settings.early_stopping))
    if settings.max_time:
        limit = datetime.timedelta(minutes=settings.max_time)
        callbacks.append(Timer(limit, interval="epoch", verbose=False))
    return lightning.Trainer(
        accelerator="gpu" if settings.device == "cuda" else "cpu",
        devices=settings.devices, num_nodes=settings.num_nodes, strategy=choose_strategy(settings),
        use_distributed_sampler=False,  # our batches know their process
        max_epochs=settings.max_epochs,
        callbacks=[*callbacks, *checkpoints(folder)], plugins=[AtomicCheckpointIO()],
        logger=TensorBoardLogger(folder, name="tensorboard", version=""),
        enable_model_summary=False, enable_progress_bar=False, num_sanity_val_steps=0,
        log_every_n_steps=10**9, default_root_dir=folder,
    )  # fmt: skip


def _report(config: Config, data: TrainingData, record: RunRecord, console: Console) -> None:
    model, *_ = load_run(config.run_dir)
    sets: dict[str, list[Compared]] = {
        name: compare(model, data.samples[name], data.statistics.species)
        for name in ("valid", "test")
        if name in data.samples
    }
    assert record.speed
    report = config.run_dir / "report"
    metrics = [member.run_dir / METRICS for member in member_configs(config)]
    errors = write_report(report, config, sets, metrics, record.speed)
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
    found = {
        "energy_per_atom_mae": errors.energy_per_atom.mae,
        "forces_mae": errors.forces.mae,
        "forces_rmse": errors.forces.rmse,
    }
    return found | ({"stress_mae": errors.stress.mae} if errors.stress else {})


def _quiet() -> None:
    """Lightning's remarks on devices, workers and tips are no concern of our users."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
