"""Bad training data is reported by file and frame before training starts."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from e3md.data.dataset import build_samples
from e3md.data.oddities import odd_frames
from e3md.data.packed import OPENERS
from e3md.data.read import DataError, DataKeys, read_frames
from e3md.train.module import DivergedError
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
    text = "\n".join(odd_frames(read_frames([_write(tmp_path, frames)], DataKeys())))
    assert "frame 1: the same structure as data.xyz frame 0" in text
    assert "frame 2: atom 5 has a force of 10000 eV/Å" in text
    assert "TTT (3, first data.xyz frame 0), TTF (1, first data.xyz frame 3)" in text


def test_a_volume_scan_is_not_taken_for_duplicates(tmp_path: Path) -> None:
    frames = []
    for a in (3.5, 3.6, 3.7):
        atoms = Atoms("Ar", cell=np.eye(3) * a, pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=-a, forces=np.zeros((1, 3)))
        frames.append(atoms)
    assert odd_frames(read_frames([_write(tmp_path, frames)], DataKeys())) == []


def test_many_warnings_are_cut_short(tmp_path: Path) -> None:
    lines = odd_frames(read_frames([_write(tmp_path, labelled_frames(1) * 40)], DataKeys()))
    assert len(lines) == 21
    assert lines[-1] == "... 39 in all"


def test_coincident_atoms_are_listed(tmp_path: Path) -> None:
    frames = labelled_frames(3)
    for k in (0, 2):
        frames[k].positions[3] = frames[k].positions[2] + 1e-5
        frames[k].calc.atoms = frames[k].copy()
    read = read_frames([_write(tmp_path, frames)], DataKeys())
    with pytest.raises(DataError) as raised:
        build_samples(read, ("Ar", "Kr"), 4.0, torch.float32, None, "graphs")
    assert "2 unusable frame(s)" in str(raised.value)
    for k in (0, 2):
        assert f"frame {k}: atoms 2 and 3 are" in str(raised.value)


def test_test_frames_that_were_trained_on_are_warned_of(tmp_path: Path, capsys) -> None:
    config = write_run(tmp_path, max_epochs=1)
    ase.io.write(tmp_path / "test.xyz", labelled_frames(8)[5], format="extxyz")
    train(config)
    expected = "warning: test.xyz frame 0: the same structure as train.xyz frame 5"
    assert expected in capsys.readouterr().out


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        paths.append(_write(tmp_path / name, labelled_frames(2)))
    frames = read_frames(paths, DataKeys())
    assert [f.label for f in frames[::2]] == [f"{p} frame 0" for p in paths]
    assert len(odd_frames(frames)) == 2


def test_a_file_given_twice(tmp_path: Path) -> None:
    config = write_run(tmp_path)
    config.write_text(config.read_text().replace("- test.xyz", "- train.xyz"))
    with pytest.raises(DataError, match=r"train\.xyz is given more than once"):
        train(config)


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2"])
def test_damaged_archives_are_named(tmp_path: Path, suffix: str) -> None:
    whole = OPENERS[suffix](tmp_path / f"whole.xyz{suffix}", "wt")
    with whole as handle:
        handle.write(_write(tmp_path, labelled_frames(4)).read_text())
    packed = (tmp_path / f"whole.xyz{suffix}").read_bytes()
    for name, content in (("cut", packed[: len(packed) // 2]), ("foreign", b"no archive")):
        path = tmp_path / f"{name}.xyz{suffix}"
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{name}.xyz{suffix}: not readable"):
            read_frames([path], DataKeys())


def test_stress_is_asked_only_of_periodic_frames(tmp_path: Path) -> None:
    frames = labelled_frames(2)
    for frame in frames:
        frame.info["dft_s"] = frame.calc.results["stress"]
    frames[1].pbc = False
    del frames[1].info["dft_s"], frames[1].calc.results["stress"]
    frames[1].calc.atoms = frames[1].copy()
    path = _write(tmp_path, frames)
    assert read_frames([path], DataKeys(stress="dft_s"))[1].stress is None
    with pytest.raises(DataError, match=r"frame 0: no 'sigma', which data\.keys\.stress"):
        read_frames([path], DataKeys(stress="sigma"))


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    config = write_run(tmp_path, learning_rate=1e30, warmup_steps=0, gradient_clip=1e30)
    with pytest.raises(DivergedError, match=r"epoch \d+: lower training\.learning_rate"):
        train(config)


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
    with pytest.raises(DataError, match=r"data\.test: Xe"):
        train(config)
