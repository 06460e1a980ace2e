"""The training configuration: what a YAML file may say, and messages that name the key at fault."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from ase.data import chemical_symbols
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from e3md.data.problems import brief, one_line, shorten
from e3md.data.read import DataKeys
from e3md.data.sources import expand_globs
from e3md.model import ModelConfig, NequIPConfig
from e3md.model.build import ARCHITECTURES
from e3md.paths import expand
from e3md.train.schedule import Schedule
from e3md.train.yaml_file import YamlError, read_yaml

LARGEST_SEED = 2**32 - 1  # of numpy
MOST_EPOCHS = 10**7


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _usable(path: Path) -> Path:
    if "\0" in str(path) or any(len(part.encode()) > 255 for part in path.parts):
        raise ValueError("no name that a file can have")
    return path


FilePath = Annotated[Path, AfterValidator(_usable)]


class DataConfig(_Section):
    """Files that ASE reads, or patterns such as runs/*/OUTCAR; relative to the configuration file."""

    train: list[FilePath] = Field(min_length=1, description="files to learn from")
    valid: list[FilePath] = Field([], description="files to choose the best weights by")
    valid_fraction: float = Field(
        0.1, gt=0, lt=1, description="part of train to hold out if valid is empty, chosen by seed"
    )
    test: list[FilePath] = Field([], description="files for the final error table only")
    keys: DataKeys = DataKeys()
    e0s: dict[str, FiniteFloat] = Field(
        {}, description="energies of isolated atoms, eV, in place of those that the data give"
    )

    @field_validator("e0s")
    @classmethod
    def _elements(cls, e0s: dict[str, float]) -> dict[str, float]:
        unknown = [symbol for symbol in e0s if symbol not in chemical_symbols[1:]]
        if unknown:
            raise ValueError(f"{brief(unknown[0])}: no chemical symbol")
        return e0s

    def absolute(self, folder: Path) -> "DataConfig":
        """The same with paths relative to `folder`, and every file that a pattern matches.

        Raises:
            DataError: for a pattern that matches nothing.
        """
        files = {
            name: expand_globs([folder / expand(p) for p in getattr(self, name)])
            for name in ("train", "valid", "test")
        }
        return self.model_copy(update=files)


class LossConfig(_Section):
    """Weights of the errors, which are measured in units of the RMS force of the data (eV, Å)."""

    function: Literal["mse", "huber"] = Field(
        "mse", description="huber: errors beyond huber_delta count linearly"
    )
    huber_delta: float = Field(0.1, gt=0, description="in units of the RMS force")

    energy: float = Field(4.0, ge=0, description="energy per atom")
    forces: float = Field(1.0, ge=0, description="force components")
    stress: float = Field(1.0, ge=0, description="virial per atom, where stress is known")

    @model_validator(mode="after")
    def _some_weight(self) -> "LossConfig":
        if self.energy == self.forces == self.stress == 0:
            raise ValueError("energy, forces and stress are all 0: there is nothing to learn")
        return self


class TrainingConfig(_Section):
    """The optimization."""

    max_epochs: int = Field(
        300, ge=1, le=MOST_EPOCHS, description="without a limit if hours are set"
    )
    hours: float | None = Field(
        None, gt=0, le=1e5, description="wall time of all parts of the run: epochs are made to fit"
    )
    max_time: float | None = Field(
        None, gt=0, le=1e7, description="minutes, then stop after the epoch, whatever the schedule"
    )
    batch_size: int = Field(2, ge=1, le=10**6, description="frames per step and process")
    batch_edges: int | None = Field(
        None,
        ge=1,
        le=10**10,
        description="in place of batch_size: most neighbor pairs per step and process",
    )
    optimizer: Literal["adam", "adamw", "muon"] = Field(
        "adam",
        description="muon: orthogonal steps for the matrices of the layers, adamw for the rest",
    )
    amsgrad: bool = Field(False, description="steps by the largest second moment so far")
    learning_rate: float = Field(0.006, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Schedule = Field(
        "cosine",
        description="cosine: to zero at the end; stable: falls in the last fifth, so that a run can be "
        "prolonged; plateau: halve when valid stalls",
    )
    patience: int = Field(
        25, ge=1, le=10**7, description="epochs without progress before plateau halves"
    )
    warmup_steps: int = Field(100, ge=0, le=10**9)
    ema_decay: float = Field(0.99, ge=0, lt=1, description="moving average of the weights")
    gradient_clip: float = Field(
        5.0, gt=0, description="largest norm of the gradient, in units of its recent mean"
    )
    early_stopping: int | None = Field(
        None, ge=1, le=10**7, description="epochs without progress, then stop"
    )
    seed: int = 1
    members: int = Field(
        1,
        ge=1,
        le=100,
        description="models of a committee, trained one after another: seed, seed + 1, ...",
    )
    dtype: Literal["float32", "float64"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int | None = Field(
        None, ge=1, le=1024, description="of a process; default: torch's choice"
    )
    devices: int = Field(1, ge=1, le=1024, description="processes per node, with cuda one per GPU")
    num_nodes: int = Field(1, ge=1, le=10_000, description="machines")
    loss: LossConfig = LossConfig()

    @model_validator(mode="before")
    @classmethod
    def _as_many_epochs_as_fit(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("hours"):
            return {"max_epochs": MOST_EPOCHS, **values}
        return values

    def length(self) -> str:
        """In words."""
        limited = self.hours is None or self.max_epochs < MOST_EPOCHS
        return str(self.max_epochs) if limited else f"{self.hours:g} hours"

    @field_validator("seed")
    @classmethod
    def _bounded(cls, seed: int) -> int:
        if not 0 <= seed <= LARGEST_SEED:
            raise ValueError(f"must be from 0 to {LARGEST_SEED}")
        return seed

    @model_validator(mode="after")
    def _members_alone(self) -> "TrainingConfig":
        if self.members > 1 and self.devices * self.num_nodes > 1:
            raise ValueError(
                "members are trained in one process each: set devices and num_nodes to 1"
            )
        if self.seed + self.members - 1 > LARGEST_SEED:
            raise ValueError(f"the last seed, seed + members - 1, must be at most {LARGEST_SEED}")
        return self


class Config(_Section):
    """A whole training run."""

    run_dir: FilePath = Field(Path("run"), description="where everything is written")
    data: DataConfig
    model: ModelConfig = NequIPConfig()
    init_from: FilePath | None = Field(
        None, description="model file to start from, instead of model"
    )
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="before")
    @classmethod
    def _default_architecture(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if "model" in values and values.get("init_from"):
            raise ValueError("model and init_from exclude each other: the file holds its model")
        if isinstance(values.get("model"), dict):
            return {**values, "model": {"arch": "nequip", **values["model"]}}
        return values

    def absolute(self, folder: Path) -> "Config":
        """The same with paths relative to `folder` made absolute, and ~ the home folder."""
        data = self.data.absolute(folder)
        initial = folder / expand(self.init_from) if self.init_from else None
        return self.model_copy(
            update={"run_dir": folder / expand(self.run_dir), "data": data, "init_from": initial}
        )

    def lasting(self, hours: float) -> "Config":
        """The same for so many hours, in place of epochs."""
        limits = {"hours": hours, "max_epochs": MOST_EPOCHS}
        return self.model_copy(update={"training": self.training.model_copy(update=limits)})


class ConfigError(ValueError):
    """A configuration that does not say what it means; the message names each key."""


def load_config(path: Path) -> Config:
    """Read a YAML configuration; relative paths in it start at its folder.

    Raises:
        ConfigError: naming every unknown or ill-typed key and what was expected.
    """
    try:
        values = read_yaml(path)
    except YamlError as error:
        raise ConfigError(str(error)) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys such as data, model, training")
    try:
        return Config.model_validate(values).absolute(path.resolve().parent)
    except ValidationError as error:
        lines = shorten([_explain(item) for item in _one_of_each(error.errors())])
        raise ConfigError(f"{path}:\n  " + "\n  ".join(lines)) from None


MODELS = {config.model_fields["arch"].default: config for config in ARCHITECTURES}


def _one_of_each(items: Iterable[Any]) -> list[Any]:
    """Of entries of one list with one fault, the first."""
    found: dict[tuple, Any] = {}
    for item in items:
        place = tuple("" if isinstance(part, int) else part for part in item["loc"])
        found.setdefault((place, item["msg"]), item)
    return list(found.values())


def _explain(item: Any) -> str:
    # pydantic names the architecture between the section and its key
    named = [p for n, p in enumerate(item["loc"]) if not (n == 1 and p in MODELS)]
    where = [brief(str(part)) for part in named]
    key = ".".join(where)
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(where[-1], _known_keys(item["loc"]), n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"{key}: unknown key{hint}"
    if item["type"] == "missing":
        return f"{key}: required"
    value = item["input"]
    shown = f"'{brief(value)}'" if isinstance(value, str) else brief(value)
    return f"{key}: {one_line(item['msg'], 200)}, got {shown}"


def _known_keys(location: tuple) -> list[str]:
    sections: dict[tuple, type[BaseModel]] = {
        (): Config, ("data",): DataConfig, ("data", "keys"): DataKeys,
        ("training",): TrainingConfig, ("training", "loss"): LossConfig,
        **{("model", arch): config for arch, config in MODELS.items()},
    }  # fmt: skip
    section = sections.get(tuple(location[:-1]))
    return list(section.model_fields) if section else []
