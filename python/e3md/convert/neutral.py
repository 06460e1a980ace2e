"""A foreign model in neutral form: hyperparameters and arrays, no code of its program."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from e3md.convert.extract import neutral_file
from e3md.data.statistics import Statistics
from e3md.model import ModelConfig


class ConversionError(ValueError):
    """A model that cannot be converted; the message names what is in the way."""


class Hyperparameters(BaseModel):
    """Base of each source's hyperparameters: what is not listed is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


H = TypeVar("H", bound=Hyperparameters)


@dataclass
class Neutral:
    """What an extraction script wrote."""

    source: str  # program, as in sources.SOURCES
    version: str  # of the program
    dtype: str  # of the weights as the program stored them, "float32" or "float64"
    hyperparameters: dict[str, Any]
    weights: dict[str, Tensor]
    assumed: str = ""  # what the file leaves open, for the user to judge
    _taken: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: str | Path) -> "Neutral":
        """From a file that an extraction script wrote."""
        header, arrays = neutral_file.read(path)
        weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return cls(
            header["source"], header["version"], header["dtype"], header["hyperparameters"],
            weights, header.get("assumed", ""),
        )  # fmt: skip

    def parse(self, schema: type[H]) -> H:
        """The hyperparameters, checked.

        Raises:
            ConversionError: naming options that e3md does not have.
        """
        try:
            return schema.model_validate(self.hyperparameters)
        except ValidationError as error:
            lines = [
                f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}"
                for e in error.errors()
            ]
            raise ConversionError(
                f"this {self.source} model has options that e3md does not:\n  " + "\n  ".join(lines)
            ) from error

    def take(self, name: str) -> Tensor:
        """A weight in float64, marked as used.

        Raises:
            ConversionError: if the file has no such weight, or one that is not finite.
        """
        if name not in self.weights:
            raise ConversionError(f"this {self.source} model has no weight '{name}'")
        self._taken.add(name)
        weight = self.weights[name]
        if not torch.isfinite(weight).all():
            raise ConversionError(
                f"weight '{name}' of this {self.source} model is not finite: its training failed"
            )
        return weight.double() if weight.is_floating_point() else weight

    def check_all_taken(self) -> None:
        """Raise ConversionError if a weight was never used: something would be left out."""
        left = sorted(set(self.weights) - self._taken)
        if left:
            raise ConversionError(
                f"this {self.source} model has weights that e3md would leave out: {', '.join(left)}"
            )


@dataclass(frozen=True)
class Converted:
    """An e3md model with foreign weights, in float64."""

    model: nn.Module
    config: ModelConfig
    statistics: Statistics


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Set parameters and buffers by name; every parameter must be given.

    Raises:
        ConversionError: for a name or shape that does not fit, or a parameter left out.
    """
    targets = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, value in weights.items():
        if name not in targets:
            raise ConversionError(f"the converted model has no '{name}'")
        if targets[name].shape != value.shape:
            raise ConversionError(
                f"'{name}' has shape {tuple(value.shape)}, expected {tuple(targets[name].shape)}"
            )
        targets[name].data.copy_(value)
    missing = sorted(set(dict(model.named_parameters())) - set(weights))
    missing = [name for name in missing if targets[name].requires_grad]
    if missing:
        raise ConversionError(f"no weights for {', '.join(missing)}")
