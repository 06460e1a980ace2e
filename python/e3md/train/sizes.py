"""What a run needs of the machine, at the least, before it is asked for."""

from collections.abc import Iterable

from e3md.data.geometry import mean_pairs
from e3md.data.packed import machine_memory
from e3md.data.read import Frame
from e3md.train.config import Config, ConfigError, TrainingConfig

_PROCESS = 0.2e9  # bytes of Python and torch alone
_EDGE = 28  # bytes of an edge in float32
_WEIGHT = 20  # bytes of a weight in float32: itself, its gradient, Adam's two moments, the average


def check_processes(training: TrainingConfig) -> None:
    """Refuse more processes than fit on this machine.

    Raises:
        ConfigError: naming training.devices.
    """
    _check(training.devices * _PROCESS, f"training.devices: {training.devices} processes take")


def check_sizes(config: Config, frames: Iterable[Frame], n_species: int) -> None:
    """Refuse graphs or weights that do not fit into the memory of this machine.

    Raises:
        ConfigError: naming model.cutoff, or model.
    """
    cutoff = config.model.cutoff
    edges = sum(mean_pairs(frame.atoms, cutoff) for frame in frames)
    _check(
        _EDGE * edges,
        f"model.cutoff: about {edges:.2g} neighbor pairs within {cutoff:g} Å take",
    )
    weights = config.model.least_weights(n_species)
    _check(_WEIGHT * weights, f"model: {weights:.2g} weights and more take in training")


def _check(n_bytes: float, what: str) -> None:
    if n_bytes > machine_memory():
        raise ConfigError(
            f"{what} {n_bytes / 1e9:.0f} GB, and this machine has {machine_memory() / 1e9:.0f} GB"
        )
