"""How many epochs some minutes hold on this machine."""

import torch
from rich.console import Console

from e3md.data.batches import BatchSize, Share, training_loader, validation_loader
from e3md.model import build_model
from e3md.model.architecture import Reach
from e3md.train.config import Config
from e3md.train.forecast import time_epoch
from e3md.train.module import PotentialTraining
from e3md.train.parallel import set_threads
from e3md.train.prepare import prepare_data, shortest_distance
from e3md.train.sense import atoms_of_step


def seconds_per_epoch(config: Config) -> float:
    """Of a run in one process on the CPU, by a few steps of its model on its data.

    Raises:
        DataError: for data that cannot be trained on.
    """
    settings = config.training
    data = prepare_data(config, Console(quiet=True), None)
    train = data.samples["train"]
    set_threads(settings, atoms_of_step(settings, train))
    size = BatchSize(settings.batch_size, settings.batch_edges)
    batches = training_loader(train, size, settings.seed, Share())
    valid = validation_loader(data.samples["valid"], batches, Share())
    model = build_model(config.model, data.statistics, getattr(torch, settings.dtype))
    reach = Reach(shortest_distance(data.samples) or 1.0, config.model.cutoff)
    module = PotentialTraining(model, settings, data.force_scale, 1, reach)
    module.on_fit_start()
    return time_epoch(module, batches, valid)
