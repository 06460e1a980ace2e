"""What a model is, and how it was trained: a table of settings."""

from collections.abc import Iterator, Mapping
from typing import Any

from e3md.report.content import Section, Table


def model_section(model: Mapping[str, Any], training: Mapping[str, Any]) -> Section:
    """Keys with units in their names → values; sections of settings may lie in one another."""
    tables = [Table("Model", ("property", "value"), list(_rows(model)))]
    if training:
        tables.append(Table("Training", ("setting", "value"), list(_rows(training))))
    return Section("model", "Model and training", tables=tables)


def _rows(values: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{head}{key}.")
        elif value is not None:
            yield f"{head}{key}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
