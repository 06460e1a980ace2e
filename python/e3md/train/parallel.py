"""Several processes, on one machine or more: Lightning's DDP starts and joins them."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import lightning
import torch
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from e3md.interrupts import Interrupted
from e3md.threads import chosen_by_user, physical_cores, settle, useful_threads
from e3md.train.config import ConfigError, TrainingConfig

CHILDREN_END = 10  # s


def is_parallel(settings: TrainingConfig) -> bool:
    """Whether a run has more than one process."""
    return settings.devices * settings.num_nodes > 1


def choose_strategy(settings: TrainingConfig) -> Strategy | str:
    """DDP if there is more than one process."""
    # the model's buffers are constants, and validation, where processes have unlike numbers of
    # batches, must not wait for their broadcast
    return DDPStrategy(broadcast_buffers=False) if is_parallel(settings) else "auto"


def cluster(settings: TrainingConfig) -> list[ClusterEnvironment]:
    """What tells Lightning of other processes; of several it finds Slurm or torchrun by itself.

    One process has none, whatever the variables of the job it runs in say.
    """
    if is_parallel(settings):
        slurm = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
        # by itself it would call scontrol on Slurm's warning
        return [SLURMEnvironment(auto_requeue=False)] if slurm else []
    # Lightning took it from the environment
    rank_zero_only.rank = 0  # type: ignore[attr-defined]
    return [LightningEnvironment()]


@contextmanager
def explained(settings: TrainingConfig) -> Iterator[None]:
    """Name the settings that do not fit the processes which Slurm or torchrun started.

    Raises:
        ConfigError: with Lightning's own words.
    """
    try:
        yield
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        if not is_parallel(settings):
            raise
        raise ConfigError(
            f"training.devices: {settings.devices}, training.num_nodes: {settings.num_nodes} do not "
            f"fit the job: {error}"
        ) from error


@contextmanager
def children_end(trainer: lightning.Trainer) -> Iterator[None]:
    """If the block fails or is interrupted, no process that Lightning started outlives it."""
    try:
        yield
    except BaseException as error:
        children = getattr(trainer.strategy.launcher, "procs", [])
        # a signal ends them after the same step, and one that fails takes this process with it
        limit = time.monotonic() + (CHILDREN_END if isinstance(error, Interrupted) else 0)
        for child in children:
            try:
                child.wait(timeout=max(0.0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        raise


def is_first_process(settings: TrainingConfig) -> bool:
    """Whether this process prints and writes the files; known before Lightning has started."""
    first_here = (
        getattr(rank_zero_only, "rank", 0) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0
    )
    return first_here or not is_parallel(settings)


def set_threads(settings: TrainingConfig, n_atoms: int) -> None:
    """Threads of this process: as configured, else as many as help for the atoms of a step."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    elif not chosen_by_user():
        settle(min(useful_threads(n_atoms), max(1, physical_cores() // settings.devices)))
    if is_parallel(settings):
        # Lightning shares the cores between the processes unless it finds this
        os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
