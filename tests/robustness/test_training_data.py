"""Bad training data is reported by file and frame before training starts."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from e3md.data.dataset import build_samples
from e3md.data.read import DataError, DataKeys, read_frames
from e3md.train.config import ConfigError
from e3md.train.run import train
from training_data import labelled_frames, write_run


def _write(folder: Path, frames: list[Atoms]) -> Path:
    path = folder / "data.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


def test_frames_without_forces_are_listed(tmp_path: Path) -> None:
    frames = labelled_frames(4)
    for k in (1, 3):
        frames[k].calc = SinglePointCalculator(frames[k], energy=1.0)
    with pytest.raises(DataError) as raised:
        read_frames([_write(tmp_path, frames)], DataKeys())
    assert "2 unusable frame(s)" in str(raised.value)
    for k in (1, 3):
        assert f"data.xyz frame {k}: no forces" in str(raised.value)


def test_unknown_key_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path, labelled_frames(1))
    with pytest.raises(DataError, match=r"frame 0: no 'REF_energy'.*data\.keys\.energy"):
        read_frames([path], DataKeys(energy="REF_energy"))


@pytest.mark.parametrize("what", ["energy", "forces", "positions"])
def test_numbers_that_are_not_finite(tmp_path: Path, what: str) -> None:
    frames = labelled_frames(3)
    if what == "positions":
        frames[2].positions[1, 1] = np.nan
        frames[2].calc.atoms = frames[2].copy()
    elif what == "energy":
        frames[2].calc.results["energy"] = np.inf
    else:
        frames[2].calc.results["forces"][4, 0] = np.nan
    with pytest.raises(DataError, match=f"frame 2: {what} not finite"):
        read_frames([_write(tmp_path, frames)], DataKeys())


def test_odd_frames_are_warned_of(tmp_path: Path) -> None:
    frames = labelled_frames(4)
    frames[1] = frames[0]
    frames[2].calc.results["forces"][5, 2] = 1e4
    frames[3].pbc = (True, True, False)
    frames[3].calc.atoms = frames[3].copy()
    _, warnings = read_frames([_write(tmp_path, frames)], DataKeys())
    text = "\n".join(warnings)
    assert "frame 1: the same structure as data.xyz frame 0" in text
    assert "frame 2: atom 5 has a force of 10000 eV/Å" in text
    assert "different periodicity (TTF, TTT)" in text


def test_coincident_atoms_are_named(tmp_path: Path) -> None:
    frames = labelled_frames(2)
    frames[1].positions[3] = frames[1].positions[2] + 1e-5
    frames[1].calc.atoms = frames[1].copy()
    read, _ = read_frames([_write(tmp_path, frames)], DataKeys())
    with pytest.raises(DataError, match=r"frame 1: .*Å apart"):
        build_samples(read, ("Ar", "Kr"), 4.0, torch.float32, None, "graphs")


@pytest.mark.parametrize("content", ["", "not xyz", "3\ncomment\nAr 0 0 0\n"])
def test_files_that_are_no_data(tmp_path: Path, content: str) -> None:
    path = tmp_path / "data.xyz"
    path.write_text(content)
    with pytest.raises(DataError, match=r"data\.xyz"):
        read_frames([path], DataKeys())
    with pytest.raises(DataError, match="no such file"):
        read_frames([tmp_path / "none.xyz"], DataKeys())


def test_test_set_with_an_element_that_train_lacks(tmp_path: Path) -> None:
    config = write_run(tmp_path)
    stranger = labelled_frames(1)[0]
    stranger.numbers[0] = 54
    ase.io.write(tmp_path / "test.xyz", [stranger], format="extxyz")
    with pytest.raises(ConfigError, match=r"data\.test: Xe"):
        train(config)
