"""`e3md evaluate` compares what the calculator gives with the labels."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from typer.testing import CliRunner

from conftest import random_structure
from e3md import E3Calculator
from e3md.accuracy.evaluate import evaluate
from e3md.cli import app
from e3md.data.read import DataError

SHIFT = {"energy": 0.5, "forces": 0.1, "stress": 0.01}


@pytest.fixture
def model(make_model) -> Path:
    return make_model()


@pytest.fixture
def data(model: Path, tmp_path: Path) -> Path:
    """Labels that are the model's own values, shifted by SHIFT; the second frame is a molecule."""
    frames = []
    for atoms in (random_structure(10, 1), random_structure(6, 2, pbc=False)):
        atoms.calc = E3Calculator(model)
        labels = {
            "energy": atoms.get_potential_energy() + SHIFT["energy"],
            "forces": atoms.get_forces() + SHIFT["forces"],
        }
        if atoms.pbc.all():
            labels["stress"] = atoms.get_stress() + SHIFT["stress"]
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    path = tmp_path / "data.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


def test_known_errors_are_found(model: Path, data: Path) -> None:
    errors = evaluate(model, data)
    per_atom = np.array([0.5 / 10, 0.5 / 6])
    assert errors.n_frames == 2
    assert errors.energy_per_atom.mae == pytest.approx(per_atom.mean(), abs=1e-6)
    assert errors.energy_per_atom.rmse == pytest.approx(np.sqrt((per_atom**2).mean()), abs=1e-6)
    assert errors.forces.mae == pytest.approx(0.1, abs=1e-6)
    assert errors.stress is not None
    assert errors.stress.mae == pytest.approx(0.01, abs=1e-6)
    elements = {s for atoms in ase.io.read(data, ":") for s in atoms.symbols}
    assert set(errors.forces_per_element) == elements
    for pair in errors.forces_per_element.values():
        assert pair.rmse == pytest.approx(0.1, abs=1e-6)


def test_command_writes_json_and_plots(model: Path, data: Path, tmp_path: Path) -> None:
    found, plots = tmp_path / "new" / "errors.json", tmp_path / "plots"
    command = ["evaluate", str(model), str(data), "--json", str(found), "--plots", str(plots)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "100.000" in result.output  # meV/Å
    errors = json.loads(found.read_text())
    assert errors["forces"]["mae"] == pytest.approx(0.1, abs=1e-6)
    names = ["parity_energy.png", "parity_forces.png", "parity_stress.png"]
    assert sorted(p.name for p in plots.iterdir()) == names


def test_without_stress_labels_there_is_none(model: Path, data: Path, tmp_path: Path) -> None:
    molecule = tmp_path / "molecule.xyz"
    ase.io.write(molecule, ase.io.read(data, 1), format="extxyz")
    evaluate(model, molecule, json_path=tmp_path / "errors.json", plots_dir=tmp_path / "plots")
    assert json.loads((tmp_path / "errors.json").read_text())["stress"] is None
    assert len(list((tmp_path / "plots").iterdir())) == 2


def test_keys_of_ones_own(model: Path, data: Path) -> None:
    text = data.read_text().replace("forces:R:3", "dft_f:R:3").replace(" energy=", " dft_e=")
    data.write_text(text)
    command = ["evaluate", str(model), str(data)]
    failed = CliRunner().invoke(app, command)
    assert failed.exit_code == 1
    assert "error: 2 unusable frame(s)" in failed.output
    keys = ["--energy-key", "dft_e", "--forces-key", "dft_f"]
    result = CliRunner().invoke(app, [*command, *keys])
    assert result.exit_code == 0, result.output
    assert "100.000" in result.output


def test_a_frame_the_model_cannot_evaluate_is_named(make_model, data: Path) -> None:
    with pytest.raises(DataError, match=r"data\.xyz frame 0: .*not trained on the element"):
        evaluate(make_model(species=("Ar", "Kr")), data)


def _labelled_by(model: Path, atoms: Atoms) -> Atoms:
    """The same atoms with the model's own values as labels."""
    free = atoms.copy()
    free.set_constraint()
    free.calc = E3Calculator(model)
    names = ("energy", "forces", "stress")
    labels = {name: free.calc.get_property(name, free) for name in names}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def test_forces_of_constrained_atoms_are_compared(model: Path, tmp_path: Path) -> None:
    """ASE writes constraints as move_mask, and gives zero for the forces that they hold."""
    atoms = random_structure(10, 1)
    atoms.set_constraint([FixAtoms([0, 1, 2, 3]), FixCartesian(5, (True, False, True))])
    ase.io.write(tmp_path / "fixed.xyz", [_labelled_by(model, atoms)], format="extxyz")
    assert evaluate(model, tmp_path / "fixed.xyz").forces.mae < 1e-7


def test_stress_of_a_slab_is_compared(model: Path, tmp_path: Path) -> None:
    atoms = random_structure(10, 1)
    atoms.pbc = (True, True, False)
    ase.io.write(tmp_path / "slab.xyz", [_labelled_by(model, atoms)], format="extxyz")
    errors = evaluate(model, tmp_path / "slab.xyz")
    assert errors.stress is not None
    assert errors.stress.mae < 1e-8


def test_labels_of_weight_zero_are_not_compared(model: Path, tmp_path: Path) -> None:
    frames = [_labelled_by(model, random_structure(8, seed)) for seed in (1, 2)]
    frames[0].info["config_energy_weight"] = 0.0
    frames[0].calc.results["energy"] = 1e6
    frames[1].arrays["force_mask"] = np.arange(8) < 2
    frames[1].calc.results["forces"][:2] = 99.0
    ase.io.write(tmp_path / "weighted.xyz", frames, format="extxyz")
    errors = evaluate(model, tmp_path / "weighted.xyz", plots_dir=tmp_path / "plots")
    assert errors.energy_per_atom.mae < 1e-7
    assert errors.forces.mae < 1e-7
    assert len(list((tmp_path / "plots").glob("*.png"))) == 3


def test_without_any_energy_the_rest_is_compared(model: Path, tmp_path: Path) -> None:
    atoms = _labelled_by(model, random_structure(8, 1))
    atoms.info["config_energy_weight"] = 0.0
    ase.io.write(tmp_path / "forces.xyz", [atoms], format="extxyz")
    errors = evaluate(model, tmp_path / "forces.xyz", tmp_path / "e.json", tmp_path / "plots")
    assert errors.energy_per_atom is None
    assert json.loads((tmp_path / "e.json").read_text())["energy_per_atom"] is None
    assert errors.forces.mae < 1e-7
