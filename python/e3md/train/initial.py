"""Fine-tuning: a run that starts from the weights of a model file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

import e3md.ops  # noqa: F401 (registers the ops that model files call)
from e3md._core import read_metadata
from e3md.data.dataset import Sample
from e3md.data.statistics import Statistics
from e3md.model import ModelConfig
from e3md.model.reference import ReferenceEnergy
from e3md.train.config import ConfigError


@dataclass(frozen=True)
class InitialModel:
    """What a model file holds, to build the same model for training."""

    path: Path
    config: ModelConfig
    statistics: Statistics
    weights: dict[str, Tensor]

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
    file = read_metadata(str(path))
    if file.members > 1:
        raise ConfigError(
            f"init_from: {path} is a committee of {file.members}: start from the file of one model, "
            "such as `e3md export RUN_DIR/member_1` writes"
        )
    metadata = json.loads(file.json)
    adapter: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)
    known = metadata["statistics"]
    statistics = Statistics(
        species=tuple(metadata["species"]),
        e0s=tuple(known["e0s"][s] for s in metadata["species"]),
        scale=known["scale"],
        shift=known["shift"],
        avg_num_neighbors=known["avg_num_neighbors"],
    )
    stored = torch.jit.load(str(path), map_location="cpu").state_dict()
    trained = {name: t for name, t in stored.items() if name.startswith("source.")} or stored
    return InitialModel(
        path,
        adapter.validate_python({"arch": metadata["architecture"], **metadata["hyperparameters"]}),
        statistics,
        {name.removeprefix("source."): tensor for name, tensor in trained.items()},
    )


def refit_e0s(model: nn.Module, statistics: Statistics, samples: Sequence[Sample]) -> Statistics:
    """Move the model's E0s to the reference energies of the data, by least squares.

    Another functional or basis set shifts energies by eV per atom, which no network should have to
    learn. The correction of smallest norm is taken: elements not in the data keep their E0.
    """
    counts = np.zeros((len(samples), len(statistics.species)))
    residuals = np.zeros(len(samples))
    with torch.no_grad():
        for k, sample in enumerate(samples):
            graph = sample.graph
            n = len(graph.types)
            energies = model(graph.types, graph.edge_index, graph.edge_vec, n)
            residuals[k] = sample.energy.item() - energies.sum().item()
            counts[k] = np.bincount(graph.types.numpy(), minlength=counts.shape[1])
    correction, *_ = np.linalg.lstsq(counts, residuals, rcond=1e-10)
    reference = model.get_submodule("reference")
    assert isinstance(reference, ReferenceEnergy)
    reference.offset += torch.from_numpy(correction)
    return replace(
        statistics, e0s=tuple(e + d for e, d in zip(statistics.e0s, correction, strict=True))
    )
