"""A model knows the elements that it was trained on, with one zero of energy, and no others."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from conftest import random_structure, small_config
from e3md import E3Calculator
from e3md._core import read_metadata
from e3md.data.coverage import pairless_frames, rare_elements, unused_atoms
from e3md.data.read import DataError, DataKeys, Frame, read_frames
from e3md.data.split import split
from e3md.data.statistics import reference_energies
from e3md.export import export_run
from e3md.graph import AtomGraph
from e3md.model import build_model
from e3md.neighbors import atoms_to_graph
from e3md.train.checkpoint import load_run
from e3md.train.config import ConfigError, load_config
from e3md.train.initial import load_initial
from e3md.train.run import train
from training_data import labelled_frames, write_run


def _read(folder: Path, frames: list[Atoms]) -> list[Frame]:
    ase.io.write(folder / "data.xyz", frames, format="extxyz")
    return read_frames([folder / "data.xyz"], DataKeys())


def _doped(n_frames: int, at: int) -> list[Atoms]:
    """Frames of which one holds xenon."""
    frames = labelled_frames(n_frames)
    frames[at].numbers[0] = 54
    frames[at].calc.atoms = frames[at].copy()
    return frames


def _isolated(symbol: str, energy: float) -> Atoms:
    atoms = Atoms(symbol)
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((1, 3)))
    return atoms


def _elements(frames: list[Frame]) -> set[str]:
    return {symbol for frame in frames for symbol in frame.atoms.symbols}


@pytest.mark.parametrize("seed", range(12))
def test_every_element_stays_in_train(tmp_path: Path, seed: int) -> None:
    frames = _read(tmp_path, _doped(12, at=7))
    train_frames, valid = split(frames, 0.4, seed)
    assert "Xe" in _elements(train_frames)
    assert len(valid) == 5
    assert [f.label for f in split(frames, 0.4, seed)[1]] == [f.label for f in valid]
    held = set(np.random.default_rng(seed).permutation(12)[:5].tolist())
    if 7 not in held:  # where no element is concerned, the split is that of the permutation
        assert [frames.index(f) for f in valid] == sorted(held)


def test_some_seed_would_hold_the_element_out() -> None:
    held = [7 in np.random.default_rng(seed).permutation(12)[:5] for seed in range(12)]
    assert 0 < sum(held) < 12


def test_frames_of_unlike_elements_cannot_be_split(tmp_path: Path) -> None:
    frames = labelled_frames(2)
    for atoms, number in zip(frames, (18, 36), strict=True):
        atoms.numbers[:] = number
        atoms.calc.atoms = atoms.copy()
    with pytest.raises(DataError, match=r"holds an element that no other.*data\.valid"):
        split(_read(tmp_path, frames), 0.5, seed=1)


def test_isolated_atoms_of_other_elements_make_no_species(tmp_path: Path, capsys) -> None:
    table = [_isolated(s, e) for s, e in (("He", -0.1), ("Ar", -1.0), ("Kr", -2.0), ("Xe", -3.0))]
    config = write_run(tmp_path, max_epochs=1)
    ase.io.write(tmp_path / "train.xyz", [*labelled_frames(8), *table], format="extxyz")
    export_run(train(config), tmp_path / "model.pt")
    said = capsys.readouterr().out
    assert "isolated atoms of He Xe (train.xyz frame 8 and others) are not used" in said
    assert re.search(r"Ar -1\.0000  Kr -2\.0000", said)
    assert E3Calculator(tmp_path / "model.pt").species == ["Ar", "Kr"]
    with pytest.raises(ValueError, match="not trained on the element Xe"):
        E3Calculator(tmp_path / "model.pt").get_potential_energy(Atoms("Xe"))


def test_e0s_come_from_the_training_frames(tmp_path: Path) -> None:
    """Not from those that are held out, whose energies would leak."""
    run = train(write_run(tmp_path, max_epochs=1))
    frames = read_frames([tmp_path / "train.xyz"], DataKeys())
    expected = reference_energies(split(frames, 0.25, seed=1)[0], [])
    assert load_run(run)[2].e0s == expected.e0s
    assert load_run(run)[2].e0s != reference_energies(frames, []).e0s


@pytest.mark.parametrize("name", ["valid", "test"])
@pytest.mark.parametrize("kind", ["isolated", "weightless"])
def test_a_file_without_a_frame_to_compare_is_no_set(tmp_path: Path, name: str, kind: str) -> None:
    """A part of train would be held out in place of what the user gave."""
    path = write_run(tmp_path)
    config = yaml.safe_load(path.read_text())
    config["data"][name] = ["empty.xyz"]
    path.write_text(yaml.safe_dump(config))
    frame = labelled_frames(1)[0]
    frame.info["config_weight"] = 0.0
    if kind == "isolated":
        frame = Atoms("Ar")
        frame.calc = SinglePointCalculator(frame, energy=0.0)
    ase.io.write(tmp_path / "empty.xyz", [frame], format="extxyz")
    with pytest.raises(DataError, match=rf"data\.{name}: its files hold no frame"):
        train(path)


def test_an_element_of_valid_alone_is_an_error(tmp_path: Path) -> None:
    config = write_run(tmp_path)
    ase.io.write(tmp_path / "valid.xyz", _doped(2, at=0), format="extxyz")
    settings = yaml.safe_load(config.read_text())
    settings["data"] = {"train": ["train.xyz"], "valid": ["valid.xyz"]}
    config.write_text(yaml.safe_dump(settings))
    with pytest.raises(DataError, match=r"data\.valid: Xe does not occur in data\.train"):
        train(config)


def test_rare_elements_are_named(tmp_path: Path) -> None:
    frames = _read(tmp_path, _doped(5, at=3))
    (line,) = rare_elements(frames)
    assert line.startswith("Xe occurs in data.xyz frame 3 only")
    assert rare_elements(frames[:2]) == []
    assert rare_elements(frames[:3]) == []


def test_frames_without_a_pair_are_named_once(tmp_path: Path, capsys) -> None:
    frames = labelled_frames(8)
    for k in (2, 6):
        frames[k].set_cell(frames[k].cell * 3, scale_atoms=True)
        frames[k].calc.atoms = frames[k].copy()
    config = write_run(tmp_path, max_epochs=2, batch_size=8)
    ase.io.write(tmp_path / "train.xyz", frames, format="extxyz")
    train(config)
    said = capsys.readouterr().out
    assert "no pair within the cutoff of 5 Å, which teaches nothing but E0" in said
    for k in (2, 6):
        assert said.count(f"train.xyz frame {k}") == 1


def test_pairs_are_counted_frame_by_frame(tmp_path: Path) -> None:
    frames = _read(tmp_path, labelled_frames(3))
    assert pairless_frames(frames, [4, 2, 6], 4.0) == []
    (line,) = pairless_frames(frames, [0, 2, 0], 4.0)
    assert line.endswith("data.xyz frame 0, data.xyz frame 2")


def test_unused_atoms_need_a_stranger(tmp_path: Path) -> None:
    atoms = _read(tmp_path, [_isolated("Ar", -1.0), _isolated("Kr", -2.0)])
    assert unused_atoms(atoms, ("Ar", "Kr")) == []
    (line,) = unused_atoms(atoms, ("Ar",))
    assert line.startswith("isolated atoms of Kr (data.xyz frame 1) are not used")


def test_two_energies_of_an_isolated_atom_name_both_frames(tmp_path: Path) -> None:
    frames = _read(tmp_path, [*labelled_frames(2), _isolated("Ar", -1.0), _isolated("Kr", -2.0)])
    crystals, atoms = frames[:2], frames[2:]
    again = replace(atoms[0], energy=-1.0 + 2e-4, label="other.xyz frame 0")
    assert reference_energies(crystals, [*atoms, again]).e0s == (-1.0, -2.0)
    with pytest.raises(DataError, match=r"other\.xyz frame 0: isolated Ar.*data\.xyz frame 2"):
        reference_energies(crystals, [*atoms, replace(again, energy=-1.2)])


def _with_e0s(folder: Path, e0s: dict, frames: list[Atoms] | None = None) -> Path:
    config = write_run(folder, max_epochs=1)
    if frames:
        ase.io.write(folder / "train.xyz", frames, format="extxyz")
    settings = yaml.safe_load(config.read_text())
    settings["data"]["e0s"] = e0s
    config.write_text(yaml.safe_dump(settings))
    return config


def test_e0s_of_the_configuration_win(tmp_path: Path, capsys) -> None:
    atoms = [_isolated("Ar", -9.0), _isolated("Kr", -9.0)]
    e0s = {"Ar": -1.5, "Kr": -2.5, "Xe": -3.5}
    run = train(_with_e0s(tmp_path, e0s, [*labelled_frames(8), *atoms]))
    assert load_run(run)[2].e0s == (-1.5, -2.5)
    assert load_run(run)[2].species == ("Ar", "Kr")
    said = capsys.readouterr().out
    assert "those of data.e0s: isolated atoms are not used" in said
    assert "Ar -1.5000  Kr -2.5000" in said
    assert "data.e0s: Xe does not occur in data.train" in said


def test_e0s_must_cover_the_elements(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.e0s: no energy for Kr"):
        train(_with_e0s(tmp_path, {"Ar": -1.5}))


@pytest.mark.parametrize(
    ("e0s", "message"),
    [
        ({"Ar": -1.5, "Qq": 0.0}, r"data\.e0s: .*Qq: no chemical symbol"),
        ({"X": 0.0}, "X: no chemical symbol"),
        ({"Ar": "much"}, r"data\.e0s\.Ar: .*number"),
        ({"Ar": float("nan")}, r"data\.e0s\.Ar: .*finite"),
    ],
)
def test_e0s_are_numbers_of_elements(tmp_path: Path, e0s: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(_with_e0s(tmp_path, e0s))


OPTIONS = {
    "nequip": {"zbl": True, "pair_cutoffs": {"Li-S": 3.0}, "n_layers": 2},
    "mace": {"distance_transform": "agnesi", "zbl": True},
    "schnet": {"zbl": True},
    "so3net": {"l_max": 1},
}


@pytest.mark.parametrize("arch", OPTIONS)
def test_a_model_of_some_of_its_species_is_the_same_for_them(arch: str, make_model) -> None:
    """Also where the number of species is one of channels or components."""
    species = ("Li", "O", "P", "S", "Cl", "Br", "I", "F")
    initial = load_initial(make_model(arch, species=species, **OPTIONS[arch]))
    limited = initial.limited_to({"Li", "S", "I"})
    assert limited.statistics.species == ("Li", "S", "I")
    atoms = random_structure(12, seed=3, species=("Li", "S", "I"))
    found = []
    for one in (initial, limited):
        model = build_model(small_config(arch, **OPTIONS[arch]), one.statistics, torch.float64)
        one.load_into(model)
        graph: AtomGraph = atoms_to_graph(atoms, one.statistics.species, 4.0, torch.float64)
        found.append(model(graph.types, graph.edge_index, graph.edge_vec, 12).detach())
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


def test_a_model_of_all_its_species_stays_as_it_is(make_model) -> None:
    initial = load_initial(make_model())
    assert initial.limited_to(("S", "Li", "P")) is initial


@pytest.fixture(scope="module")
def three_elements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of Ar, Kr and Xe."""
    folder = tmp_path_factory.mktemp("three")
    config, frames = write_run(folder, max_epochs=1), labelled_frames(8)
    for atoms in frames:
        atoms.numbers[0] = 54
        atoms.calc.atoms = atoms.copy()
    ase.io.write(folder / "train.xyz", frames, format="extxyz")
    export_run(train(config), folder / "model.pt")
    return folder / "model.pt"


def _fine_tuning(folder: Path, start: Path, **data: object) -> Path:
    config = write_run(folder, max_epochs=1)
    settings = yaml.safe_load(config.read_text())
    del settings["model"]
    settings |= {"init_from": str(start)}
    settings["data"] |= data
    config.write_text(yaml.safe_dump(settings))
    return config


def test_fine_tuning_leaves_one_zero_of_energy(three_elements: Path, tmp_path: Path, capsys):
    config, frames = _fine_tuning(tmp_path, three_elements), labelled_frames(8)
    for atoms in frames:  # another functional: 5 eV per atom higher
        atoms.calc.results["energy"] += 5.0 * len(atoms)
    ase.io.write(tmp_path / "train.xyz", frames, format="extxyz")
    run = train(config)
    said = capsys.readouterr().out
    assert "init_from: Xe does not occur in data.train" in said
    export_run(run, tmp_path / "tuned.pt")
    assert E3Calculator(tmp_path / "tuned.pt").species == ["Ar", "Kr"]
    before, after = (
        json.loads(read_metadata(str(path)).json)["statistics"]["e0s"]
        for path in (three_elements, tmp_path / "tuned.pt")
    )
    assert [after[s] - before[s] for s in ("Ar", "Kr")] == pytest.approx([5.0, 5.0], abs=0.5)
    # the table at the start shows the E0s in use, not those of the file
    for symbol in ("Ar", "Kr"):
        assert f"{symbol} {after[symbol]:.4f}" in said
    moved = E3Calculator(tmp_path / "tuned.pt").get_potential_energy(frames[0])
    assert moved == pytest.approx(frames[0].calc.results["energy"], abs=8.0)
    assert Counter(load_run(run)[2].species) == Counter(("Ar", "Kr"))


def test_fine_tuning_names_elements_that_the_model_lacks(three_elements, tmp_path: Path) -> None:
    config, frames = _fine_tuning(tmp_path, three_elements), labelled_frames(8)
    frames[0].numbers[0] = 10
    frames[0].calc.atoms = frames[0].copy()
    ase.io.write(tmp_path / "train.xyz", frames, format="extxyz")
    with pytest.raises(DataError, match=r"data\.train: Ne does not occur in the model of init"):
        train(config)


def test_fine_tuning_takes_no_e0s(three_elements: Path, tmp_path: Path) -> None:
    config = _fine_tuning(tmp_path, three_elements, e0s={"Ar": 0.0, "Kr": 0.0})
    with pytest.raises(ConfigError, match=r"data\.e0s and init_from exclude each other"):
        train(config)


def test_the_reported_configuration_of_a_fine_tuning_trains(three_elements, tmp_path) -> None:
    run = train(_fine_tuning(tmp_path, three_elements))
    settings = yaml.safe_load((run / "report" / "config.yaml").read_text())
    (tmp_path / "again.yaml").write_text(yaml.safe_dump({**settings, "run_dir": "again"}))
    again = train(tmp_path / "again.yaml")
    for a, b in zip(*(load_run(r)[0].state_dict().values() for r in (run, again)), strict=True):
        assert torch.equal(a, b)
