"""Extended XYZ in any wrapping gives the same frames, and statistics follow from them."""

import gzip
import lzma
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms

from e3md.data.dataset import EpochShuffle, build_samples
from e3md.data.read import DataError, DataKeys, read_frames
from e3md.data.statistics import collect_statistics, reference_energies
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
    for a, b in zip(*(read_frames([p], PLAIN)[0] for p in (data, packed)), strict=True):
        assert a.energy == b.energy
        np.testing.assert_array_equal(a.forces, b.forces)
        np.testing.assert_array_equal(a.stress, b.stress)


def test_keys_of_ones_own(data: Path, tmp_path: Path) -> None:
    text = data.read_text().replace("forces:R:3", "dft_f:R:3")
    text = text.replace(" energy=", " dft_e=").replace(" stress=", " dft_s=")
    renamed = tmp_path / "renamed.xyz"
    renamed.write_text(text)
    keys = DataKeys(energy="dft_e", forces="dft_f", stress="dft_s")
    for a, b in zip(read_frames([data], PLAIN)[0], read_frames([renamed], keys)[0], strict=True):
        assert a.energy == b.energy
        np.testing.assert_array_equal(a.forces, b.forces)
        np.testing.assert_allclose(a.stress, b.stress)
    with pytest.raises(DataError, match=r"no energy \(it has: .*dft_e.*set data.keys.energy"):
        read_frames([renamed], PLAIN)


def test_isolated_atoms_define_e0(data: Path) -> None:
    frames, _ = read_frames([data], PLAIN)
    for symbol, energy in (("Ar", -1.25), ("Kr", -2.5)):
        path = data.with_name(f"{symbol}.xyz")
        path.write_text(
            f'1\nProperties=species:S:1:pos:R:3:forces:R:3 energy={energy} pbc="F F F"\n'
            f"{symbol} 0 0 0 0 0 0\n"
        )
        frames += read_frames([path], PLAIN)[0]
    reference = reference_energies(frames)
    assert reference.species == ("Ar", "Kr")
    assert reference.e0s == (-1.25, -2.5)
    with pytest.raises(DataError, match="but not for Kr"):
        reference_energies(frames[:-1])


def test_least_squares_e0s_reproduce_additive_energies(data: Path) -> None:
    frames, _ = read_frames([data], PLAIN)
    e0 = {"Ar": -3.0, "Kr": -5.0}
    from dataclasses import replace

    additive = [replace(f, energy=sum(e0[s] for s in f.atoms.symbols)) for f in frames]
    reference = reference_energies(additive)
    statistics = collect_statistics(additive, reference, [100] * len(frames))
    assert statistics.shift == pytest.approx(0, abs=1e-9)
    for f in additive:
        found = dict(zip(reference.species, reference.e0s, strict=True))
        assert sum(found[s] for s in f.atoms.symbols) == pytest.approx(f.energy)
    forces = np.concatenate([f.forces for f in frames])
    assert statistics.scale == pytest.approx(np.sqrt((forces**2).mean()))


def test_one_composition_is_said_to_be_undetermined(data: Path) -> None:
    frames, _ = read_frames([data], PLAIN)
    same = [f for f in frames if f.atoms.symbols.formula == frames[0].atoms.symbols.formula]
    assert "rank 1 of 2" in reference_energies(same[:1]).source


def test_graphs_come_back_from_the_cache(data: Path, tmp_path: Path) -> None:
    frames, _ = read_frames([data], PLAIN)
    arguments = (frames, ("Ar", "Kr"), 4.5, torch.float32, tmp_path / "cache", "graphs")
    built = build_samples(*arguments)
    stored = list((tmp_path / "cache").iterdir())
    again = build_samples(*arguments)
    assert len(stored) == 1
    assert list((tmp_path / "cache").iterdir()) == stored
    for a, b in zip(built, again, strict=True):
        for x, y in zip((*a.graph, *a[1:]), (*b.graph, *b[1:]), strict=True):
            torch.testing.assert_close(x, y, atol=0, rtol=0)


def test_shuffle_depends_on_seed_and_epoch_alone() -> None:
    one, two = EpochShuffle(20, seed=3), EpochShuffle(20, seed=3)
    first = list(one)
    one.set_epoch(1)
    assert list(one) != first
    two.set_epoch(1)
    assert list(one) == list(two)
    assert sorted(first) == list(range(20))


def test_a_stress_in_voigt_order_becomes_its_matrix(data: Path) -> None:
    atoms = labelled_frames(1)[0]
    frame = read_frames([data], PLAIN)[0][0]
    np.testing.assert_allclose(frame.stress, atoms.get_stress(voigt=False))
    assert isinstance(frame.atoms, Atoms)
