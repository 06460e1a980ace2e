"""What a finished run leaves: one JSON file in results/, small enough to commit."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from e3md.accuracy.errors import Errors
from e3md.files import write_text

RESULTS = Path(__file__).parent / "results"


class Result(BaseModel):
    """One trained and tested model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # of the experiment
    protocol: str
    recipe: str
    architecture: str
    hyperparameters: dict[str, Any]
    training: dict[str, Any]  # the section of the configuration
    seed: int
    n_train: int  # frames
    n_valid: int
    epochs: int  # done, of training["max_epochs"]
    n_weights: int
    hours: float  # wall time of the optimization, over all sessions
    threads: int
    machine: str
    versions: dict[str, str]
    tests: dict[str, Errors]  # of the exported file, evaluated in float64: eV/atom, eV/Å, eV/Å³
    date: str


def write_result(result: Result, folder: Path) -> Path:
    """Write results/NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.name}.json"
    write_text(path, result.model_dump_json(indent=1) + "\n")
    return path


def read_results(folder: Path) -> dict[str, Result]:
    """Name → result, of every file in the folder.

    Raises:
        ValueError: naming a file that is no result.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = Result.model_validate_json(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path}: not a result of run.py ({error})") from error
    return found
