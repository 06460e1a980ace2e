"""Settings that make no sense together or for the data: refused where certain, else a line."""

from collections.abc import Callable

import torch

from e3md.data.batches import BatchSize, Share, TrainingBatches, n_edges
from e3md.data.dataset import Sample
from e3md.train.config import Config, ConfigError, DataConfig, LossConfig, TrainingConfig

# section, key, whether another setting keeps it from having an effect, and which one
_Unused = tuple[str, str, Callable[[TrainingConfig, DataConfig], bool], str]
UNUSED: tuple[_Unused, ...] = (
    ("training", "warmup_steps", lambda t, _: t.schedule == "plateau", "with schedule: plateau"),
    ("training", "amsgrad", lambda t, _: t.optimizer == "muon", "with optimizer: muon"),
    ("training", "patience", lambda t, _: t.schedule != "plateau", "without schedule: plateau"),
    ("training", "batch_size", lambda t, _: t.batch_edges is not None, "with batch_edges"),
    ("loss", "huber_delta", lambda t, _: t.loss.function != "huber", "with loss.function: mse"),
    ("data", "valid_fraction", lambda _, d: bool(d.valid), "with data.valid"),
)


def check_sense(config: Config, train: list[Sample]) -> list[str]:
    """Remarks on settings that have no effect.

    Args:
        config: of the run.
        train: the training frames.

    Raises:
        ConfigError: for settings by which nothing can be learned.
    """
    return [
        *_unused(config),
        *_warmup(config.training, train),
        *_stress(config.training.loss, train),
        *_limits(config.training, train),
    ]


def _unused(config: Config) -> list[str]:
    """Keys that were set, but that another setting keeps from having an effect."""
    training, data = config.training, config.data
    sections = {"training": training, "loss": training.loss, "data": data}
    names = {"training": "training.", "loss": "training.loss.", "data": "data."}
    lines = []
    for section, key, is_unused, reason in UNUSED:
        value = getattr(sections[section], key)
        is_default = value == type(sections[section]).model_fields[key].default
        if is_unused(training, data) and not is_default:
            lines.append(f"{names[section]}{key}: {value} has no effect {reason}")
    return lines


def _warmup(training: TrainingConfig, train: list[Sample]) -> list[str]:
    """The default is no mistake of the user's, and a run of few steps is a try."""
    if training.schedule == "plateau":
        return []
    per_epoch = _steps(training, train)
    steps = training.max_epochs * per_epoch
    if training.warmup_steps <= steps:
        return []
    line = (
        f"training.warmup_steps: {training.warmup_steps}, but the run has only {steps} steps "
        f"({training.max_epochs} epochs of {per_epoch}): the learning rate would never be reached"
    )
    if "warmup_steps" in training.model_fields_set:
        raise ConfigError(line)
    return [line]


def _steps(training: TrainingConfig, train: list[Sample]) -> int:
    """Of an epoch."""
    size = BatchSize(training.batch_size, training.batch_edges)
    share = Share(0, training.devices * training.num_nodes)
    return len(TrainingBatches(n_edges(train), size, training.seed, share))


def atoms_of_step(training: TrainingConfig, train: list[Sample]) -> int:
    """Mean number of a process."""
    atoms = sum(sample.graph.n_atoms for sample in train)
    return round(atoms / (_steps(training, train) * training.devices * training.num_nodes))


def _stress(loss: LossConfig, train: list[Sample]) -> list[str]:
    if not all(torch.isnan(sample.stress).any() for sample in train):
        return []
    if loss.energy == loss.forces == 0:
        raise ConfigError(
            "training.loss: energy and forces are 0, and no training frame has stress: "
            "there is nothing to learn"
        )
    if loss.stress == LossConfig.model_fields["stress"].default or loss.stress == 0:
        return []
    return [f"training.loss.stress: {loss.stress:g}, but no training frame has stress"]


def _limits(training: TrainingConfig, train: list[Sample]) -> list[str]:
    lines = []
    if training.early_stopping and training.early_stopping >= training.max_epochs:
        lines.append(
            f"training.early_stopping: {training.early_stopping} has no effect with max_epochs: "
            f"{training.max_epochs}"
        )
    if training.batch_edges and len(train) > 1 and training.batch_edges < min(n_edges(train)):
        lines.append(
            f"training.batch_edges: {training.batch_edges}, but every frame has more neighbor "
            "pairs: each is a step of its own"
        )
    return lines
