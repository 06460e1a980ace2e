"""Extended XYZ in any wrapping gives the same frames, graphs and order."""

import gzip
import lzma
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms

from e3md.data.dataset import build_samples
from e3md.data.read import DataError, DataKeys, read_frames
from e3md.data.split import split
from training_data import labelled_frames

PLAIN = DataKeys()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.xyz"
    ase.io.write(path, labelled_frames(4), format="extxyz")
    return path


@pytest.mark.parametrize(("suffix", "opener"), [(".gz", gzip.open), (".xz", lzma.open)])
def test_compressed_files_are_read_alike(data: Path, suffix: str, opener) -> None:
    packed = data.with_suffix(".xyz" + suffix)
    with opener(packed, "wt") as handle:
        handle.write(data.read_text())
    for a, b in zip(*(read_frames([p], PLAIN) for p in (data, packed)), strict=True):
        assert a.energy == b.energy
        np.testing.assert_array_equal(a.forces, b.forces)
        np.testing.assert_array_equal(a.stress, b.stress)


def test_keys_of_ones_own(data: Path, tmp_path: Path) -> None:
    text = data.read_text().replace("forces:R:3", "dft_f:R:3")
    text = text.replace(" energy=", " dft_e=").replace(" stress=", " dft_s=")
    renamed = tmp_path / "renamed.xyz"
    renamed.write_text(text)
    keys = DataKeys(energy="dft_e", forces="dft_f", stress="dft_s")
    for a, b in zip(read_frames([data], PLAIN), read_frames([renamed], keys), strict=True):
        assert a.energy == b.energy
        np.testing.assert_array_equal(a.forces, b.forces)
        np.testing.assert_allclose(a.stress, b.stress)
    with pytest.raises(DataError, match=r"no energy \(it has: .*dft_e.*set data.keys.energy"):
        read_frames([renamed], PLAIN)


def test_graphs_come_back_from_the_cache(data: Path, tmp_path: Path) -> None:
    frames = read_frames([data], PLAIN)
    arguments = (frames, ("Ar", "Kr"), 4.5, torch.float32, tmp_path / "cache", "graphs")
    built = build_samples(*arguments)
    stored = list((tmp_path / "cache").iterdir())
    again = build_samples(*arguments)
    assert len(stored) == 1
    assert list((tmp_path / "cache").iterdir()) == stored
    for a, b in zip(built, again, strict=True):
        for x, y in zip((*a.graph, *a[1:]), (*b.graph, *b[1:]), strict=True):
            torch.testing.assert_close(x, y, atol=0, rtol=0)


def test_a_stress_in_voigt_order_becomes_its_matrix(data: Path) -> None:
    atoms = labelled_frames(1)[0]
    frame = read_frames([data], PLAIN)[0]
    np.testing.assert_allclose(frame.stress, atoms.get_stress(voigt=False))
    assert isinstance(frame.atoms, Atoms)


def test_a_split_depends_on_its_seed_alone(data: Path) -> None:
    frames = read_frames([data], PLAIN) * 5
    train, valid = split(frames, 0.25, seed=1)
    assert (len(train), len(valid)) == (15, 5)
    assert {id(f) for f in train} | {id(f) for f in valid} == {id(f) for f in frames}
    labels = [f.label for f in split(frames, 0.25, seed=1)[1]]
    assert labels == [f.label for f in valid]
    assert any([f.label for f in split(frames, 0.25, seed=k)[1]] != labels for k in range(2, 6))
    assert [len(part) for part in split(frames[:2], 0.9, seed=1)] == [1, 1]
    with pytest.raises(DataError, match="at least 2 frames"):
        split(frames[:1], 0.5, seed=1)
