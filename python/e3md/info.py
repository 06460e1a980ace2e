"""What a model file says of itself."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


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
        table.add_row(key, _readable(value))
    Console().print(table)


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
