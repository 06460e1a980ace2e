"""What a published protocol is: data files, which errors are told in which unit, published figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class TestSet:
    """Frames that errors are measured on; never seen in training, nor in the choice of weights."""

    label: str  # part of the name of a column
    file: str  # relative to the data folder
    config_types: tuple[str, ...] = ()  # only frames of these, if given


@dataclass(frozen=True)
class Protocol:
    """One column of a table: what is trained on and what is tested on."""

    name: str
    title: str
    train: tuple[str, ...]  # files, relative to the data folder
    valid: tuple[str, ...]  # files; none: a tenth of train, chosen by seed
    tests: tuple[TestSet, ...]
    n_train: int | None = None  # only the first frames of train
    n_valid: int | None = None  # only the first frames of valid
    atoms: int = 1  # the energy is told per so many atoms

    def columns(self) -> dict[str, TestSet]:
        """Column name → test set; a protocol with one test set has one column of its own name."""
        if len(self.tests) == 1:
            return {self.name: self.tests[0]}
        return {f"{self.name}/{test.label}": test for test in self.tests}


@dataclass(frozen=True)
class Published:
    """One row of a table: a model of the literature."""

    model: str
    source: (
        str  # ends with [V], read in the source, or [M], quoted from memory: see docs/accuracy.md
    )
    errors: Mapping[str, tuple[float | None, float | None]]  # column → energy, forces (meV, meV/Å)


@dataclass(frozen=True)
class Experiment:
    """One training run."""

    name: str
    protocol: Protocol
    recipe: str  # file in recipes/, without .yaml
    steps: int | None = None  # optimizer steps, in place of the recipe's max_epochs

    @property
    def recipe_path(self) -> Path:
        return RECIPES / f"{self.recipe}.yaml"


@dataclass(frozen=True)
class Family:
    """One table."""

    key: str
    title: str
    text: str  # theory, source of the data, what differs from the published protocol
    statistic: str  # "mae" or "rmse", as the source defines
    energy_unit: str
    published: tuple[Published, ...]
    experiments: tuple[Experiment, ...]

    def protocols(self) -> list[Protocol]:
        """In the order of the columns."""
        return list(dict.fromkeys(experiment.protocol for experiment in self.experiments))
