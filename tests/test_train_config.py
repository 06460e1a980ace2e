"""A configuration says what it means, or its message names the key."""

import re
import time
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from e3md.data.read import DataKeys
from e3md.train.config import (
    MODELS,
    Config,
    ConfigError,
    DataConfig,
    LossConfig,
    TrainingConfig,
    load_config,
)
from e3md.train.run import train


def _load(folder: Path, **sections: object):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"data": {"train": ["a.xyz"]}, **sections}))
    return load_config(path)


def test_defaults_and_paths(tmp_path: Path) -> None:
    config = _load(tmp_path)
    assert config.model.arch == "nequip"
    assert config.data.train == [tmp_path.resolve() / "a.xyz"]
    assert config.run_dir == tmp_path.resolve() / "run"


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"l_maxx": 1}}, r"model\.l_maxx: unknown key \(did you mean l_max\?\)"),
        ({"model": {"arch": "mace", "corelation": 2}}, r"did you mean correlation\?"),
        ({"training": {"max_epochs": "many"}}, r"training\.max_epochs: .*integer.*'many'"),
        ({"training": {"loss": {"force": 1}}}, r"training\.loss\.force: unknown key .*forces"),
        ({"trainning": {}}, r"trainning: unknown key \(did you mean training\?\)"),
        ({"model": {"arch": "gnn"}}, "gnn"),
        ({"model": {"arch": "mace", "hidden_irreps": "8x1o"}}, "no even scalars"),
        ({"model": {"arch": "mace", "hidden_irreps": "eight"}}, "not an irreps string"),
        ({"model": {"cutoff": -1}}, r"model\.cutoff: .*greater than 0"),
        ({"data": {}}, r"data\.train: required"),
    ],
)
def test_messages_name_the_key(tmp_path: Path, sections: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, **sections)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="not YAML"):
        load_config(tmp_path / "bad.yaml")


def _shown(default: bool | int | float | str) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return default if isinstance(default, str) else f"{default:g}"


def test_the_docs_list_every_key_with_its_default() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    listed = {key: row for row in rows for key in re.findall(r"`([\w.]+)`", row.split("|")[1])}
    sections = {"": Config, "data": DataConfig, "data.keys": DataKeys, "training": TrainingConfig,
                "training.loss": LossConfig}  # fmt: skip
    for name, section in sections.items():
        for key, field in section.model_fields.items():
            full = f"{name}.{key}".lstrip(".")
            if full in ("data", "data.keys", "model", "training", "training.loss"):
                continue
            assert full in listed, f"docs/training.md does not list {full}"
            if isinstance(field.default, bool | int | float | str):
                cell = listed[full].split("|")[2]
                assert _shown(field.default) in re.split(r"[`, ]+", cell), f"{full}: {cell}"
    for config in MODELS.values():
        for key in config.model_fields:
            assert f"model.{key}" in listed, f"docs/training.md does not list model.{key}"


def test_the_example_is_a_valid_configuration() -> None:
    config = load_config(ROOT / "examples" / "training" / "lips.yaml")
    assert config.data.train[0].name == "train_100.xyz.xz"


def test_cuda_without_a_device_or_kernels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("data: {train: [a.xyz]}\ntraining: {device: cuda}\n")
    with pytest.raises(ConfigError, match=r"training\.device: cuda, but"):
        train(path)


def _refusal(folder: Path, text: str) -> str:
    path = folder / "odd.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.yaml") as error:
        load_config(path)
    assert len(str(error.value)) < 1000
    return str(error.value)


@pytest.mark.parametrize("levels", [4, 9])
def test_aliases_of_aliases_are_not_expanded(levels: int, tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for k in range(1, levels):
        lines.append(f"a{k}: &a{k} [{', '.join(9 * [f'*a{k - 1}'])}]")
    text = "\n".join(lines) + f"\ndata: {{train: *a{levels - 1}}}\n"
    start = time.monotonic()
    _refusal(tmp_path, text)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("text", ["[" * 5000, "data: " + "[" * 300 + "]" * 300, "a: &a [*a]"])
def test_lists_within_lists_end_in_words(text: str, tmp_path: Path) -> None:
    _refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "channels", 10**9),
        ("model", "n_layers", 10**6),
        ("model", "cutoff", 1e6),
        ("model", "radial_hidden", [10**9]),
        ("training", "threads", 10**6),
        ("training", "devices", 10**6),
        ("training", "num_nodes", 10**6),
        ("training", "members", 10**9),
        ("training", "batch_size", 10**18),
    ],
)
def test_sizes_that_no_run_has_are_named(
    section: str, key: str, value: object, tmp_path: Path
) -> None:
    sections = {"data": {"train": ["a.xyz"]}, "run_dir": "run", section: {key: value}}
    sections.setdefault("model", {})
    assert f"{section}.{key}" in _refusal(tmp_path, yaml.safe_dump(sections))


@pytest.mark.parametrize("key", ["mace", "nequip"])
def test_a_key_named_as_an_architecture_is_unknown(key: str, tmp_path: Path) -> None:
    text = yaml.safe_dump({"data": {"train": ["a.xyz"]}, key: {"channels": 8}})
    assert f"{key}: unknown key" in _refusal(tmp_path, text)
