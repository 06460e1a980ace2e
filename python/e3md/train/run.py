"""A training run from configuration to report."""

import logging
import shlex
import warnings
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from rich.table import Table

from e3md.accuracy.errors import Errors, error_rows
from e3md.data.batches import BatchSize, Share, training_loader, validation_loader
from e3md.files import remove_leftovers, write_text
from e3md.interrupts import Interrupted
from e3md.model import build_model
from e3md.model.architecture import Architecture, Reach
from e3md.model_file import FINISHED, UNFINISHED, TrainingRecord
from e3md.paths import expand
from e3md.report.live import LivePage, guarded
from e3md.report.run import PAGE, evaluate_sets, finished_page, write_run_page
from e3md.train.budget import Budget
from e3md.train.checkpoint import (
    RECORD,
    AtomicCheckpointIO,
    Patience,
    RunRecord,
    checkpoints,
    folders_of_run,
    load_run,
)
from e3md.train.committee import check_run_dir, is_finished, mark_finished, member_configs
from e3md.train.config import Config, ConfigError, DataConfig, load_config
from e3md.train.defaults import configure
from e3md.train.device import missing_cuda
from e3md.train.history import METRICS, History
from e3md.train.initial import load_initial
from e3md.train.module import PotentialTraining
from e3md.train.parallel import (
    children_end,
    choose_strategy,
    cluster,
    explained,
    is_first_process,
    set_threads,
)
from e3md.train.prepare import TrainingData, prepare_data, shortest_distance, warn
from e3md.train.progress import TrainingProgress
from e3md.train.report import write_report
from e3md.train.resume import Resumed, check_statistics, find_begun
from e3md.train.sense import atoms_of_step, check_sense
from e3md.train.settings import settings_of
from e3md.train.sizes import check_processes
from e3md.train.speed import Speed, SpeedMeter, joint_speed
from e3md.train.stop import StopBySignal, how_to_go_on, shown


def train(config_path: str | Path, resume: bool = False, hours: float | None = None) -> Path:
    """Train as a configuration file says; returns the run folder.

    hours: that the run may take, in place of what the configuration says.

    Raises:
        ConfigError: for a configuration or run folder that does not fit.
        DataError: for frames that cannot be trained on, listed by file and number.
        DivergedError: if the loss is no longer a number.
        DamagedFileError: for a file of the run that it cannot go on without.
        WriteError: for a file that cannot be written.
        Interrupted: by a signal, in a process that handles them; with words on how to go on.
    """
    config = load_config(expand(config_path))
    config = config.lasting(hours) if hours else config
    try:
        return _train(config, resume)
    except Interrupted as stopped:
        stopped.words = how_to_go_on(stopped.signum, config, Path(config_path))
        if not is_first_process(config.training):
            # the first one speaks, and its status counts; Lightning kills it if another one fails
            stopped.words, stopped.status = "", 0
        raise


def _train(config: Config, go_on: bool) -> Path:
    first = is_first_process(config.training)
    console = Console(quiet=not first)
    check_run_dir(config, go_on)
    if first:
        remove_leftovers(folders_of_run(config.run_dir))
    _check_device(config.training.device)
    check_processes(config.training)
    _quiet()
    initial = load_initial(config.init_from) if config.init_from else None
    if initial:
        config = config.model_copy(update={"model": initial.config})
    begun = [find_begun(member, console) for member in member_configs(config)]
    data = prepare_data(config, console, initial)
    warn(console, check_sense(config, data.samples["train"]))
    _say_where_to_look(config, console)
    set_threads(config.training, atoms_of_step(config.training, data.samples["train"]))
    record = _train_members(config, data, begun, console)
    if first:
        _report(config, data, record, console)
    return config.run_dir


def _say_where_to_look(config: Config, console: Console) -> None:
    """While it trains."""
    curves = [member.run_dir / "tensorboard" for member in member_configs(config)]
    logs = shlex.quote(shown(config.run_dir if len(curves) > 1 else curves[0]))
    lines = [
        f"live report: {shown(config.run_dir / PAGE)}",
        f"live curves: tensorboard --logdir {logs}",
    ]
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)


def _train_members(
    config: Config, data: TrainingData, begun: list[Resumed | None], console: Console
) -> RunRecord:
    """Train each member, from where it was left."""
    members = member_configs(config)
    done = []
    for n, (member, before) in enumerate(zip(members, begun, strict=True), 1):
        if len(members) > 1:
            console.print(f"member {n} of {len(members)}, seed {member.training.seed}")
        done.append(_train_model(member, data, before, console, config))
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
    config: Config, data: TrainingData, begun: Resumed | None, console: Console, whole: Config
) -> RunRecord:
    """Train one model, from where it was left; a model that was finished stays as it is.

    whole: the configuration of the run, of which this may be one member.
    """
    lightning.seed_everything(config.training.seed, verbose=False)
    before = begun.record if begun else None
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
    record = _with_domain(record, data)
    finished = before is not None and is_finished(config)
    record = _with_state(record, FINISHED if finished else UNFINISHED)
    if is_first_process(config.training):
        write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
    if finished:
        return record
    page = LivePage(whole, data, record, console)
    speed = _fit(model, data, config, begun.checkpoint.path if begun else None, console, page)
    record = _with_state(record.model_copy(update={"speed": speed}), FINISHED)
    if is_first_process(config.training):
        write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
        mark_finished(config)
    return record


def _with_domain(record: RunRecord, data: TrainingData) -> RunRecord:
    """What the training set covers, also in the record of a run that an older e3md began."""
    known = {**vars(data.domain), "e0_source": data.e0_source}
    return record.model_copy(update={"training": record.training.model_copy(update=known)})


def _with_state(record: RunRecord, state: str) -> RunRecord:
    return record.model_copy(
        update={"training": record.training.model_copy(update={"state": state})}
    )


def train_data(
    data: DataConfig,
    run_dir: Path,
    resume: bool = False,
    quick: bool = False,
    hours: float | None = None,
) -> Path:
    """Train on files alone: choose a configuration, say and write it, go by it.

    quick: a small model, for a first look in five minutes.
    hours: that the run may take.

    Raises:
        ConfigError, DataError, DivergedError: as `train`.
        Interrupted: as `train`.
    """
    run_dir = expand(run_dir)
    remove_leftovers([run_dir])
    config = configure(data, run_dir, resume, Console(), quick, hours)
    return train(config, resume, hours if resume else None)


def _check_device(device: str) -> None:
    problem = missing_cuda()
    if device == "cuda" and problem:
        raise ConfigError(f"training.device: cuda, but {problem}")


def _fit(
    model: Architecture,
    data: TrainingData,
    config: Config,
    begun: Path | None,
    console: Console,
    page: LivePage,
) -> Speed:
    """Train to the end.

    begun: checkpoint to go on from.
    page: of the run, written while it goes on.
    """
    settings, meter = config.training, SpeedMeter()
    budget = Budget(console, settings)
    trainer = _trainer(
        config,
        [
            meter,
            History(config.run_dir / METRICS),
            budget,
            TrainingProgress(console, meter, budget),
            page,
            StopBySignal(),
        ],
    )
    share = Share(trainer.global_rank, trainer.world_size)
    size = BatchSize(settings.batch_size, settings.batch_edges)
    batches = training_loader(data.samples["train"], size, settings.seed, share)
    valid = validation_loader(data.samples["valid"], batches, share)
    n_steps = settings.max_epochs * len(batches)
    reach = Reach(shortest_distance(data.samples) or 1.0, config.model.cutoff)
    module = PotentialTraining(model, settings, data.force_scale, n_steps, reach)
    with children_end(trainer):
        trainer.fit(module, batches, valid, ckpt_path=begun, weights_only=True)
    return meter.speed(trainer.world_size)


def _trainer(config: Config, callbacks: list[Callback]) -> lightning.Trainer:
    settings, folder = config.training, config.run_dir
    if settings.early_stopping:
        callbacks.append(Patience("valid_loss", patience=settings.early_stopping))
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
    evaluated = evaluate_sets(model, data.samples, data.frames, data.statistics.species)
    sets = {one.name: one.compared for one in evaluated if one.name != "train"}
    report = config.run_dir / "report"
    metrics = [member.run_dir / METRICS for member in member_configs(config)]
    errors = write_report(report, config, sets, metrics, record)
    found = {f"{name}_errors": _summary(of_set) for name, of_set in errors.items()}
    record = record.model_copy(update={"training": record.training.model_copy(update=found)})
    write_text(config.run_dir / RECORD, record.model_dump_json(indent=2))
    page = finished_page(config, record, data.frames, evaluated, record.training.state)
    written = guarded(lambda: write_run_page(page, config.run_dir / PAGE), console)
    name, final = list(errors.items())[-1]
    table = Table("quantity", "unit", "MAE", "RMSE", title=f"errors on {name}")
    for row in error_rows(final):
        table.add_row(*row)
    console.print(table)
    console.print(str(record.speed))
    path = config.run_dir / PAGE if written else report / "report.md"
    console.print(f"report: {path}", soft_wrap=True, markup=False, highlight=False)


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
