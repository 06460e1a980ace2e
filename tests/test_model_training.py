"""Models say how they were trained: in their file, in `info` and `check`, in ASE and in LAMMPS."""

import copy
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms, units
from ase.filters import FrechetCellFilter
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list
from typer.testing import CliRunner

from conftest import random_statistics, random_structure, small_config
from e3md import E3Calculator
from e3md.__main__ import _in_a_line
from e3md._core import parse_metadata, read_metadata
from e3md.calculator import NotFinished, StressNotTrained
from e3md.check.subject import Subject
from e3md.check.training import training
from e3md.cli import app
from e3md.export import export_run, save_model
from e3md.lammps.runner import run_input
from e3md.lammps.structure import write_data
from e3md.model import build_model
from e3md.model_file import TrainingRecord
from e3md.train.checkpoint import RECORD, load_run
from e3md.train.run import train
from lammps_cases import needs_lammps
from program import Program
from test_metadata import GOOD
from training_data import labelled_frames, write_run

SPECIES = ("Li", "P", "S")
KNOWN: dict[str, Any] = {
    "state": "finished",
    "valid_errors": {"forces_mae": 0.0402, "energy_per_atom_mae": 0.0012},
    "test_errors": {"forces_mae": 0.0451, "energy_per_atom_mae": 0.0013},
    "stress_learned": True,
    "periodic": True,
    "temperature_range": (300.0, 600.0),
    "composition_range": {"Li": (0.25, 0.375), "P": (0.125, 0.125), "S": (0.5, 0.625)},
    "shortest_distances": {"Li-Li": 2.41, "P-S": 1.93},
}


@pytest.fixture(scope="module")
def make_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """make_file(**record): a model file with random weights that says this of its training."""
    folder = tmp_path_factory.mktemp("files")

    def make(**record: Any) -> Path:
        config, statistics = small_config("nequip"), random_statistics(SPECIES)
        path = folder / f"{len(list(folder.iterdir()))}.pt"
        with torch.random.fork_rng():
            torch.manual_seed(7)
            model = build_model(config, statistics, torch.float64)
        save_model(model, config, statistics, TrainingRecord(**record), path, exact=True)
        return path

    return make


@pytest.fixture(scope="module")
def known(make_file: Callable[..., Path]) -> Path:
    return make_file(**KNOWN)


@pytest.fixture(scope="module")
def stressless(make_file: Callable[..., Path]) -> Path:
    return make_file(**{**KNOWN, "stress_learned": False})


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(_hot_run(tmp_path_factory.mktemp("train"), max_epochs=2))


def _hot_run(folder: Path, **training: object) -> Path:
    """A run on frames with velocities of 300 and 600 K."""
    path = write_run(folder, **training)
    frames = labelled_frames(8)
    for k, atoms in enumerate(frames):
        rng = np.random.default_rng(k)
        MaxwellBoltzmannDistribution(
            atoms, temperature_K=300 + 300 * (k % 2), force_temp=True, rng=rng
        )
        atoms.set_momenta(atoms.get_momenta() * (7 / 8) ** 0.5)  # of 3 N - 3 degrees of freedom
    ase.io.write(folder / "train.xyz", frames, format="extxyz")
    return path


def test_a_run_records_what_its_training_set_covers(run_dir: Path) -> None:
    frames = labelled_frames(8)  # valid_fraction holds out some
    record = load_run(run_dir)[3]
    assert record.state == "finished"
    assert record.stress_learned
    assert record.periodic
    assert record.temperature_range == pytest.approx((300, 600), abs=0.2)
    assert record.e0_source.startswith("least squares over compositions")
    low, high = record.composition_range["Kr"]
    shares = sorted({float((f.numbers == 36).mean()) for f in frames})
    assert shares[0] <= low <= high <= shares[-1]
    assert record.composition_range["Ar"] == pytest.approx((1 - high, 1 - low))
    assert set(record.shortest_distances) == {"Ar-Ar", "Ar-Kr", "Kr-Kr"}
    for pair, distance in record.shortest_distances.items():
        kinds = tuple(pair.split("-"))
        shortest = min(_shortest(atoms, *kinds) for atoms in frames)
        assert distance >= shortest - 1e-3
    nearest = min(record.shortest_distances.values())
    assert nearest >= record.shortest_distance - 1e-3  # which held-out frames may have
    errors = json.loads((run_dir / "report" / "errors.json").read_text())
    assert record.valid_errors["forces_rmse"] == errors["valid"]["forces"]["rmse"]
    assert record.test_errors["stress_mae"] == errors["test"]["stress"]["mae"]


def _shortest(atoms: Atoms, first: str, second: str) -> float:
    i, j, d = neighbor_list("ijd", atoms, 5.0)
    symbols = np.array(atoms.get_chemical_symbols())
    return float(d[(symbols[i] == first) & (symbols[j] == second)].min(initial=np.inf))


@pytest.mark.parametrize("without", ["labels", "weight"])
def test_stress_without_labels_or_weight_is_not_learned(tmp_path: Path, without: str) -> None:
    loss = {"loss": {"stress": 0.0}} if without == "weight" else {}
    path = write_run(tmp_path, max_epochs=1, warmup_steps=0, **loss)
    if without == "labels":
        frames = labelled_frames(8)
        for atoms in frames:
            del atoms.calc.results["stress"]
        ase.io.write(tmp_path / "train.xyz", frames, format="extxyz")
    assert load_run(train(path))[3].stress_learned is False


def test_fine_tuning_without_stress_keeps_what_was_learned(run_dir: Path, tmp_path: Path) -> None:
    export_run(run_dir, tmp_path / "first.pt")
    path = write_run(tmp_path, max_epochs=1, warmup_steps=0, loss={"stress": 0.0})
    settings = yaml.safe_load(path.read_text())
    del settings["model"]
    path.write_text(yaml.safe_dump({**settings, "init_from": "first.pt"}))
    assert load_run(train(path))[3].stress_learned is True


def test_an_unfinished_run_has_the_errors_of_its_best_epoch(run_dir: Path, tmp_path: Path) -> None:
    record = json.loads((run_dir / RECORD).read_text())
    whole = load_run(run_dir)[3].valid_errors
    record["training"] |= {"state": "unfinished", "valid_errors": {}, "test_errors": {}}
    shorter = tmp_path / "run"
    shorter.mkdir()
    (shorter / RECORD).write_text(json.dumps(record))
    (shorter / "best.ckpt").write_bytes((run_dir / "best.ckpt").read_bytes())
    found = load_run(shorter)[3]
    assert found.valid_errors == {
        key: pytest.approx(whole[key], rel=1e-3) for key in ("energy_per_atom_mae", "forces_mae")
    }
    export_run(shorter, tmp_path / "m.pt")
    with pytest.warns(UserWarning, match="has not ended .unfinished, weights of epoch"):
        E3Calculator(tmp_path / "m.pt")


def test_words_of_what_is_known() -> None:
    found = parse_metadata(json.dumps({**GOOD, "training": KNOWN}), "m.pt").training
    assert found.quality == "finished; MAE on the test set: forces 45.1 meV/Å, energy 1.3 meV/atom"
    assert found.learned == (
        "stress was trained; Li 25 to 37.5 %, P 12.5 %, S 50 to 62.5 %; "
        "closest atoms P-S 1.93, Li-Li 2.41 Å; 300 to 600 K"
    )
    assert found.unfinished_warning("m.pt") == found.stress_warning("m.pt") == ""
    without_test = parse_metadata(
        json.dumps({**GOOD, "training": {**KNOWN, "test_errors": {}}}), "m.pt"
    ).training
    assert "MAE on the validation set: forces 40.2 meV/Å" in without_test.quality
    assert "no errors on a test set" in without_test.quality


@pytest.mark.parametrize(
    "record",
    [
        None, [], {}, {"data": [], "seed": 0, "test_errors": {}, "shortest_distance": 2.1},
        {"state": 3, "test_errors": [1], "shortest_distances": "x", "stress_learned": "no"},
        {"converted_from": 5, "composition_range": [[1, 2]], "temperature_range": {"a": 1}},
    ],
)  # fmt: skip
def test_what_a_file_lacks_or_garbles_is_not_recorded(record: object) -> None:
    found = parse_metadata(json.dumps({**GOOD, "training": record}), "m.pt").training
    assert (found.quality, found.learned) == ("not recorded", "not recorded")
    assert not found.unfinished
    assert not found.stress_untrained


def test_garbled_entries_beside_sound_ones_are_left_out() -> None:
    record = {
        **KNOWN,
        "composition_range": {"Li": "x", "P": [1]},
        "shortest_distances": {"P-S": []},
    }
    record |= {"state": "finished\x1b[31m", "temperature_range": [1, 2, 3]}
    found = parse_metadata(json.dumps({**GOOD, "training": record}), "m.pt").training
    assert found.learned == "stress was trained; temperature: not recorded"
    assert "\x1b" not in found.quality


def test_a_converted_model_says_where_it_is_from() -> None:
    record = {"converted_from": "nequip 0.19.1: a.pt", "test_errors": {}, "stress_learned": None}
    found = parse_metadata(json.dumps({**GOOD, "training": record}), "m.pt").training
    assert found.quality == "converted from nequip 0.19.1: a.pt"
    assert found.learned == "not recorded"


def test_the_log_of_a_calculator_says_it_once(
    known: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "e3md"), warnings.catch_warnings():
        warnings.simplefilter("error")
        calculator = E3Calculator(known)
        copy.deepcopy(calculator).get_stress(random_structure(6, 0))
    (line,) = caplog.messages
    assert "forces 45.1 meV/Å" in line
    assert "stress was trained" in line


def test_stress_that_was_never_trained_is_warned_of_once(stressless: Path, tmp_path: Path) -> None:
    atoms = random_structure(8, seed=1)
    atoms.calc = E3Calculator(stressless)
    with warnings.catch_warnings():  # nobody has asked for it: forces, a trajectory of MD
        warnings.simplefilter("error")
        atoms.get_forces()
        VelocityVerlet(atoms, 0.1 * units.fs, trajectory=str(tmp_path / "md.traj")).run(2)
    with pytest.warns(StressNotTrained, match="never trained in model file .*NPT"):
        atoms.get_stress()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.rattle(0.01)
        atoms.get_stress()
        atoms.copy().get_positions()


def test_a_cell_relaxation_is_warned_of(stressless: Path) -> None:
    atoms = random_structure(8, seed=1)
    atoms.calc = E3Calculator(stressless)
    with pytest.warns(StressNotTrained):
        FrechetCellFilter(atoms).get_forces()


def test_files_that_do_not_tell_give_no_warning(make_file: Callable[..., Path]) -> None:
    for record in ({}, {"converted_from": "mace-torch 0.3.16: x.model"}):
        path = make_file(**record)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            E3Calculator(path).get_stress(random_structure(6, 0))


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, "pass", "forces 45.1 meV/Å"),
        ({"state": "unfinished, weights of epoch 3 of 556 (run)"}, "warn", "Finish the training"),
        ({"stress_learned": False}, "warn", "Train with stress labels before NPT"),
        ({"stress_learned": False, "periodic": False}, "pass", "stress was never trained"),
        (dict.fromkeys(KNOWN), "pass", "not recorded"),
    ],
)
def test_check_says_it(
    make_file: Callable[..., Path], change: dict[str, Any], status: str, words: str
) -> None:
    record = {k: v for k, v in {**KNOWN, **change}.items() if v is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = training(Subject(make_file(**record), random_structure(6, 0)))
    assert (result.status, result.name) == (status, "training")
    assert words in result.message


def test_info_says_it(known: Path, make_file: Callable[..., Path]) -> None:
    text = " ".join(CliRunner().invoke(app, ["info", str(known)]).output.split())
    for words in ("finished", "forces MAE 45.1 meV/Å", "300 to 600", "Li 25 to 37.5 %", "P-S 1.93"):
        assert words in text
    old = " ".join(CliRunner().invoke(app, ["info", str(make_file())]).output.split())
    assert old.count("not recorded") == 8
    assert json.loads(read_metadata(str(known)).json)["training"]["stress_learned"] is True


def _lammps(model: Path, commands: str, folder: Path, n_ranks: int = 1) -> str:
    write_data(folder / "s.data", random_structure(40, seed=3), SPECIES)
    head = f"""units metal
read_data s.data
pair_style e3nn
pair_coeff * * "{model}" Li P S
timestep 1e-5
"""
    return run_input(head + commands, n_ranks, folder)


USERS = {
    "barostat": "fix 1 all npt temp 300 300 0.1 iso 0 0 1\nrun 2\nrun 2\n",
    "relaxation of the box": "fix 1 all box/relax iso 0\nminimize 0 1e-3 1 2\n",
    "atomic stress": "compute s all stress/atom NULL\nfix 1 all nve\nrun 2\n",
}
NO_USERS = "thermo 1\nthermo_style custom step press pxx\nfix 1 all nvt temp 300 300 0.1\nrun 2\n"


@needs_lammps
@pytest.mark.parametrize("user", USERS)
def test_lammps_warns_once_of_stress(stressless: Path, tmp_path: Path, user: str) -> None:
    log = _lammps(stressless, USERS[user], tmp_path, 2 if user == "barostat" else 1)
    assert log.count("uses the pressure, and stress was never trained") == 1


@needs_lammps
def test_lammps_says_it_once_and_warns_of_nothing_that_is_not_used(
    stressless: Path, known: Path, tmp_path: Path
) -> None:
    log = _lammps(stressless, NO_USERS + "run 2\n", tmp_path)
    assert log.count("  learned    stress was never trained; Li 25 to 37.5 %") == 1
    assert log.count("  training   finished; MAE on the test set: forces 45.1 meV/Å") == 1
    assert "WARNING: pair_style e3nn" not in log
    assert "never trained" not in _lammps(known, USERS["barostat"], tmp_path)


@needs_lammps
def test_warnings_that_ase_passes_on_are_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """A stress is asked for by ASE's code, whose line says nothing either."""
    others: list[str] = []
    show = _in_a_line(lambda message, *_: others.append(str(message)))
    show("never trained", StressNotTrained, "site-packages/ase/atoms.py", 1)
    show("deprecated", DeprecationWarning, "site-packages/ase/atoms.py", 1)
    assert capsys.readouterr().err == "warning: never trained\n"
    assert others == ["deprecated"]


@pytest.mark.parametrize("command", ["evaluate", "check"])
def test_commands_warn_in_one_line(
    command: str, make_file: Callable[..., Path], tmp_path: Path
) -> None:
    """`check` has a line of its own."""
    path = make_file(**{**KNOWN, "state": "unfinished, weights of epoch 3 of 556 (run)"})
    atoms = random_structure(8, seed=1)
    with pytest.warns(NotFinished):
        atoms.calc = E3Calculator(path)
    atoms.get_forces()
    ase.io.write(tmp_path / "frames.xyz", atoms, format="extxyz")
    process = Program(command, str(path), "frames.xyz", folder=tmp_path)
    printed, said = process.communicate(timeout=120)
    times = 1 if command == "evaluate" else 0
    assert said.count("warning: model file") == said.count("has not ended") == times, said
    assert ".py:" not in said
    assert (printed.count("unfinished, weights of epoch 3") == 1) == (command == "check")


def test_lammps_warns_of_an_unfinished_training(
    make_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_file(**{**KNOWN, "state": "unfinished, weights of epoch 3 of 556 (run)"})
    log = _lammps(path, "run 0\nrun 0\n", tmp_path)
    assert log.count("was exported from a training that has not ended (unfinished") == 1
