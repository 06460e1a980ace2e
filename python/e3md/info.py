"""What a model file says of itself."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from e3md.quantities import QUANTITIES

NOT_RECORDED = "not recorded"
# of "training", in words: files of older versions and converted ones lack some
_TRAINING = {
    "state": "training",
    "valid_errors": "validation errors",
    "test_errors": "test errors",
    "stress_learned": "stress learned",
    "temperature_range": "temperature, K",
    "composition_range": "composition",
    "shortest_distances": "closest atoms, Å",
    "e0_source": "E0s from",
}
_UNITS = {quantity.error: quantity.milli for quantity in QUANTITIES}


def print_info(model: str | Path, as_json: bool = False) -> None:
    """Print the metadata of a model file, as a table or as JSON.

    Raises:
        ValueError: if the file is missing, damaged, not an e3md model, or of a newer format.
    """
    from e3md._core import read_metadata

    text = read_metadata(str(model)).json
    if as_json:
        print(text)
        return
    table = Table(title=str(model), show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for key, value in json.loads(text).items():
        if key == "training" and isinstance(value, dict):
            for row in _training_rows(value):
                table.add_row(*row)
        else:
            table.add_row(key, _readable(value))
    Console().print(table)


def _training_rows(training: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of the training, then what else the file says of it."""
    rest = {key: value for key, value in training.items() if key not in _TRAINING}
    return [*known_rows(training), ("provenance", _readable(rest))]


def known_rows(training: dict[str, Any]) -> list[tuple[str, str]]:
    """What a file's "training" tells of range and errors, in words; a title and a text each."""
    return [(title, _known(key, training.get(key))) for key, title in _TRAINING.items()]


def _known(key: str, value: Any) -> str:
    if value is None or value == "" or value == {}:
        return NOT_RECORDED
    match key, value:
        case "stress_learned", bool():
            return "yes" if value else "never: pressures and stresses may be far off"
        case "temperature_range", [low, high]:
            return _range(low, high)
        case "composition_range", dict():
            shares = {symbol: [100 * x for x in share] for symbol, share in value.items()}
            return "  ".join(f"{symbol} {_range(*share)} %" for symbol, share in shares.items())
        case "shortest_distances", dict():
            return "  ".join(f"{pair} {distance:.2f}" for pair, distance in value.items())
        case "valid_errors" | "test_errors", dict():
            return "\n".join(_error(name, error) for name, error in value.items())
        case _:
            return _readable(value)


def _range(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _error(name: str, error: float) -> str:
    """As in forces MAE 40.1 meV/Å, of forces_mae in eV/Å."""
    quantity, _, statistic = name.rpartition("_")
    unit = _UNITS.get(quantity, "")
    return f"{quantity.replace('_', ' ')} {statistic.upper()} {1000 * error:.4g} {unit}"


def _readable(value: Any) -> str:
    match value:
        case dict():
            return "\n".join(f"{key}: {_readable(item)}" for key, item in value.items())
        case list() if all(isinstance(item, dict) for item in value):
            return "\n".join(_readable(item) for item in value)
        case list():
            return " ".join(_readable(item) for item in value)
        case float():
            return f"{value:.6g}"
        case _:
            return str(value)
