"""What a run needs of the machine, at the least, before it is asked for."""

from collections.abc import Iterable

from e3nn.o3 import Irreps

from e3md.data.geometry import mean_pairs
from e3md.data.packed import machine_memory
from e3md.data.read import Frame
from e3md.model.config import MACEConfig, ModelConfig, NequIPConfig
from e3md.model.nequip import hidden_irreps
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
    weights = _least_weights(config.model, n_species)
    _check(_WEIGHT * weights, f"model: {weights:.2g} weights and more take in training")


def _least_weights(model: ModelConfig, n_species: int) -> float:
    """Weights of one linear map in each layer."""
    if isinstance(model, NequIPConfig | MACEConfig):
        given = isinstance(model, MACEConfig)
        irreps = Irreps(model.hidden_irreps) if given else hidden_irreps(model)  # type: ignore[arg-type]
        square = sum(float(multiplicity) ** 2 for multiplicity, _ in irreps)
        if isinstance(model, NequIPConfig) and model.self_connection == "species":
            square *= n_species
    else:
        square = float(model.channels) ** 2
    return (model.n_layers - 1 or 1) * square


def _check(n_bytes: float, what: str) -> None:
    if n_bytes > machine_memory():
        raise ConfigError(
            f"{what} {n_bytes / 1e9:.0f} GB, and this machine has {machine_memory() / 1e9:.0f} GB"
        )
