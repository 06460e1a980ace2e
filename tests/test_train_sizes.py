"""What does not fit a machine is refused by name, before memory goes."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms

from e3md import E3Calculator
from e3md.train import sizes
from e3md.train.config import ConfigError
from e3md.train.run import train
from training_data import write_run


def _with(folder: Path, section: str, **settings: object) -> Path:
    path = write_run(folder)
    values = yaml.safe_load(path.read_text())
    values[section] |= settings
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize(
    ("section", "settings", "named"),
    [
        ("model", {"cutoff": 300.0}, r"model\.cutoff: about .* neighbor pairs within 300 Å take"),
        (
            "model",
            {"channels": 8192},
            r"model: .* weights and more take .* this machine has 0 GB",
        ),
        ("training", {"devices": 2}, r"training\.devices: 2 processes take"),
    ],
)
def test_what_does_not_fit_is_named(
    section: str, settings: dict, named: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(sizes, "machine_memory", lambda: 3e8)
    with pytest.raises(ConfigError, match=named):
        train(_with(tmp_path, section, **settings))
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_a_crowd_has_no_neighbor_list(make_model) -> None:
    rng = np.random.default_rng(0)
    crowd = Atoms("Li50000", rng.random((50_000, 3)), cell=np.eye(3), pbc=True)
    with pytest.raises(ValueError, match="denser than any matter"):
        E3Calculator(make_model()).get_property("energy", crowd)
