"""Fine-tuning: a run that starts from the weights of a model file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import e3md.ops  # noqa: F401 (registers the ops that model files call)
from e3md.data.dataset import Sample
from e3md.data.statistics import Statistics, rank_note
from e3md.model import ModelConfig, build_model
from e3md.model.architecture import named_as_today
from e3md.model_file import load_module, read_record
from e3md.train.config import ConfigError

OFFSET = "reference.offset"  # the weights of ReferenceEnergy: E0 + shift of each species


@dataclass(frozen=True)
class InitialModel:
    """What a model file holds, to build the same model for training."""

    path: Path
    config: ModelConfig
    statistics: Statistics
    weights: dict[str, Tensor]
    stress_learned: bool | None = None  # None where the file does not tell

    def limited_to(self, present: Collection[str]) -> "InitialModel":
        """The same model for those of its species that are present.

        Energies of the data move the E0s of these only: the others would keep another zero of
        energy. A dimension of a weight counts species if it shrinks with their number.
        """
        known = self.statistics.species
        kept = [k for k, symbol in enumerate(known) if symbol in present]
        if len(kept) == len(known):
            return self
        statistics = replace(
            self.statistics,
            species=tuple(known[k] for k in kept),
            e0s=tuple(self.statistics.e0s[k] for k in kept),
        )
        shapes = build_model(self.config, statistics, torch.float64).state_dict()
        rows = {
            len(known): torch.tensor(kept),
            len(known) ** 2: torch.tensor([i * len(known) + j for i in kept for j in kept]),
        }
        weights = {
            name: _selected(weight, shapes[name].shape, rows) if name in shapes else weight
            for name, weight in self.weights.items()
        }
        return replace(self, statistics=statistics, weights=weights)

    def load_into(self, model: nn.Module) -> None:
        """Set the weights of a model built with the same configuration."""
        missing = model.load_state_dict(self.weights, strict=False)
        if missing.missing_keys or missing.unexpected_keys:
            names = [*missing.missing_keys, *missing.unexpected_keys]
            raise ConfigError(
                f"init_from: {self.path} was written by another version of e3md, which names "
                f"weights differently ({names[0]}, ...): export or convert it again"
            )


def load_initial(path: Path) -> InitialModel:
    """Read a model file.

    Raises:
        ValueError: if it is no e3md model, or a committee.
    """
    record = read_record(path)
    if record.members > 1:
        raise ConfigError(
            f"init_from: {path} is a committee of {record.members}: start from the file of one model, "
            "such as `e3md export RUN_DIR/member_1` writes"
        )
    stored = load_module(str(path)).state_dict()
    # those of 0.1.0 with tables hold the network twice
    trained = {name: t for name, t in stored.items() if name.startswith("source.")} or stored
    weights = {name.removeprefix("source."): tensor for name, tensor in trained.items()}
    return InitialModel(
        path,
        record.config(),
        record.scales(),
        named_as_today(weights),
        record.training.stress_learned,
    )


def _selected(weight: Tensor, shape: torch.Size, rows: dict[int, Tensor]) -> Tensor:
    """Of each dimension that is longer than in `shape`, the rows of the kept species or pairs."""
    for dim, (before, after) in enumerate(zip(weight.shape, shape, strict=False)):
        if before != after and before in rows:
            weight = weight.index_select(dim, rows[before])
    return weight


def refit_e0s(
    initial: InitialModel, samples: Sequence[Sample], dtype: torch.dtype
) -> tuple[InitialModel, str]:
    """Move the model's E0s to the reference energies of the data, by least squares.

    Another functional or basis set shifts energies by eV per atom, which no network should have to
    learn. The correction of smallest norm is taken.

    Returns:
        The model with its new E0s, and how they were found, in words.
    """
    statistics = initial.statistics
    model = build_model(initial.config, statistics, dtype)
    initial.load_into(model)
    samples = [sample for sample in samples if sample.energy.isfinite()]
    counts = np.zeros((len(samples), len(statistics.species)))
    residuals = np.zeros(len(samples))
    with torch.no_grad():
        for k, sample in enumerate(samples):
            graph = sample.graph
            n = len(graph.types)
            energies = model(graph.types, graph.edge_index, graph.edge_vec, n)
            residuals[k] = sample.energy.item() - energies.sum().item()
            counts[k] = np.bincount(graph.types.numpy(), minlength=counts.shape[1])
    correction, _, rank, _ = np.linalg.lstsq(counts, residuals, rcond=1e-10)
    offset = initial.weights[OFFSET] + torch.from_numpy(correction)
    moved = replace(
        initial,
        statistics=replace(statistics, e0s=tuple((np.array(statistics.e0s) + correction).tolist())),
        weights={**initial.weights, OFFSET: offset},
    )
    source = f"{initial.path}, moved to the energies of the data by least squares"
    return moved, source + rank_note(int(rank), statistics.species)
