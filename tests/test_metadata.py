"""e3md.json: read whole, every field checked, every complaint names the file and the key."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e3md._core import parse_metadata, read_metadata

GOOD: dict[str, Any] = {
    "format_version": 1,
    "e3md_version": "0.1.0",
    "torch_version": "2.13.0",
    "architecture": "nequip",
    "hyperparameters": {"l_max": 1},
    "species": ["Li", "P", "S"],
    "cutoff": 5.0,
    "n_layers": 3,
    "exchange_width": 128,
    "dtype": "float32",
    "units": {"energy": "eV", "length": "Å"},
}
REQUIRED = sorted(set(GOOD) - {"hyperparameters"})


def parse(**changes: Any) -> Any:
    return parse_metadata(json.dumps({**GOOD, **changes}), "some/model.pt")


def test_fields() -> None:
    metadata = parse()
    for key in set(REQUIRED) - {"units"}:
        assert getattr(metadata, key) == GOOD[key]
    assert json.loads(metadata.json) == GOOD
    assert metadata.path == "some/model.pt"


def test_a_file_that_names_no_members_holds_one_model() -> None:
    assert parse().members == 1
    assert parse(members=4).members == 4


def test_of_a_file(make_model: Callable[..., Path]) -> None:
    path = make_model("mace", "float32", n_layers=3)
    metadata = read_metadata(str(path))
    assert metadata.architecture == "mace"
    assert metadata.dtype == "float32"
    assert metadata.n_layers == 3
    assert metadata.exchange_width > 0


@pytest.mark.parametrize("key", REQUIRED)
def test_missing_key(key: str) -> None:
    text = json.dumps({k: v for k, v in GOOD.items() if k != key})
    with pytest.raises(ValueError, match=rf"some/model\.pt.*no key '{key}'"):
        parse_metadata(text, "some/model.pt")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format_version", 0),
        ("format_version", "1"),
        ("e3md_version", 1),
        ("torch_version", None),
        ("architecture", ""),
        ("species", []),
        ("species", "Li"),
        ("species", ["Li", "Li"]),
        ("species", ["Li", 3]),
        ("cutoff", 0.0),
        ("cutoff", -5),
        ("cutoff", "5"),
        ("n_layers", 0),
        ("n_layers", 1.5),
        ("exchange_width", -1),
        ("members", 0),
        ("members", "4"),
        ("dtype", "float16"),
        ("units", {"energy": "kcal/mol", "length": "Å"}),
    ],
)
def test_bad_value(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"some/model\.pt.* {key} = .*expected"):
        parse(**{key: value})


def test_newer_format() -> None:
    with pytest.raises(ValueError, match=r"format_version 3, .* reads only up to 2"):
        parse(format_version=3)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"species": '])
def test_damaged_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"some/model\.pt.*damaged"):
        parse_metadata(text, "some/model.pt")


def test_type_of() -> None:
    metadata = parse()
    assert [metadata.type_of(symbol) for symbol in ("S", "Li", "P")] == [2, 0, 1]
    with pytest.raises(ValueError, match=r"not trained on the element Cl: .* Li P S"):
        metadata.type_of("Cl")
