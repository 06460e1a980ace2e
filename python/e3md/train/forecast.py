"""How long a training will take, from a few of its steps."""

import itertools
import time
from collections.abc import Callable

import torch
from torch.utils.data import DataLoader

from e3md.data.dataset import Sample
from e3md.derivatives import predict
from e3md.train.loss import count_terms, loss
from e3md.train.module import PotentialTraining

TRIALS = 3  # steps that are timed


def forecast(epochs: int, seconds: float) -> str:
    """In words.

    epochs: that are left.
    seconds: of one.
    """
    whole = duration(epochs * seconds)
    return f"expected time: {whole} for {epochs} epochs of {duration(seconds)}"


def duration(seconds: float) -> str:
    """In words, to two figures or so, as nobody can know it better beforehand."""
    if seconds < 10:
        return f"{max(seconds, 0.01):.2g} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 10:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(seconds / 3600)} h" if hours < 72 else f"{round(seconds / 86400)} days"


def time_epoch(module: PotentialTraining, batches: DataLoader, valid: DataLoader) -> float:
    """Seconds that an epoch will take, from a few steps and one batch of validation.

    module: after its on_fit_start; weights and gradients stay as they are.
    """
    trials = list(itertools.islice(batches, TRIALS))
    _learn(module, trials[0])  # the first one of all takes longer
    steps = [_seconds(_learn, module, batch) for batch in trials]
    checks = [_seconds(_compare, module, batch) for batch in itertools.islice(valid, 1)]
    return sum(steps) / len(steps) * len(batches) + sum(checks) * len(valid)


def _seconds(do: Callable, module: PotentialTraining, batch: Sample) -> float:
    start = time.perf_counter()
    do(module, batch)
    return time.perf_counter() - start


def _learn(module: PotentialTraining, batch: Sample) -> None:
    """What a step computes, but for the update of the weights."""
    batch = module.transfer_batch_to_device(batch, module.device, 0)
    prediction = predict(module.model, batch.graph, create_graph=True)
    value = loss(prediction, batch, module.config.loss, module.scale, count_terms(batch))
    gradients = torch.autograd.grad(value, list(module.learned), allow_unused=True)
    _wait_for(gradients[0])


def _compare(module: PotentialTraining, batch: Sample) -> None:
    """What validation computes."""
    batch = module.transfer_batch_to_device(batch, module.device, 0)
    with torch.enable_grad():
        _wait_for(predict(module.average, batch.graph).energy)


def _wait_for(value: torch.Tensor | None) -> None:
    """A GPU computes while the program goes on."""
    if value is not None and value.is_cuda:
        torch.cuda.synchronize(value.device)
