"""A configuration says what it means, or its message names the key."""

from pathlib import Path

import pytest
import yaml

from e3md.train.config import ConfigError, load_config


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
