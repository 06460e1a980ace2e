"""Labels of other units are told by their magnitudes, and by their slope against predictions."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from conftest import random_structure
from e3md import E3Calculator
from e3md.accuracy.errors import Compared
from e3md.accuracy.evaluate import evaluate
from e3md.data.magnitudes import all_electron_energy, unlikely_stress, unlikely_units
from e3md.data.oddities import odd_frames
from e3md.data.read import DataKeys, Frame, read_frames
from e3md.data.units import ENERGIES, FORCES, STRESSES, Unit
from e3md.label_slopes import label_remarks

BONDS = {"HH": 0.0, "CH": 31.0, "CC": 45.0, "CO": 35.0, "HO": 50.0}  # eV/Å², of ethanol


def harmonic(atoms: Atoms, rest: Atoms) -> dict[str, object]:
    """Labels of bonds that are springs, about the energy of all electrons."""
    energy, forces = float(all_electron_energy(atoms.numbers).sum()), np.zeros((len(atoms), 3))
    for i in range(len(atoms)):
        for j in range(i):
            length = rest.get_distance(i, j)
            stiff = BONDS["".join(sorted(atoms.symbols[i] + atoms.symbols[j]))] * (length < 1.7)
            way = atoms.positions[i] - atoms.positions[j]
            stretch = np.linalg.norm(way) - length
            energy += 0.5 * stiff * stretch**2
            forces[i] -= stiff * stretch * way / np.linalg.norm(way)
            forces[j] += stiff * stretch * way / np.linalg.norm(way)
    return {"energy": energy, "forces": forces}


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> list[Frame]:
    rest = molecule("CH3CH2OH")
    return _read(tmp_path_factory.mktemp("data"), rest, 12, 0.03, lambda a: harmonic(a, rest))


@pytest.fixture(scope="module")
def metals(tmp_path_factory: pytest.TempPathFactory) -> list[Frame]:
    def labels(atoms: Atoms) -> dict[str, object]:
        atoms.calc = EMT()
        return {k: atoms.calc.get_property(k, atoms) for k in ("energy", "forces", "stress")}

    crystal = bulk("Cu", cubic=True).repeat(2)
    crystal.set_cell(crystal.cell * 0.97, scale_atoms=True)
    return _read(tmp_path_factory.mktemp("data"), crystal, 6, 0.12, labels)


def _read(
    folder: Path, start: Atoms, n: int, rattle: float, labels: Callable[[Atoms], dict]
) -> list[Frame]:
    rng, frames = np.random.default_rng(3), []
    for _ in range(n):
        atoms = start.copy()
        atoms.positions += rng.normal(0, rattle, atoms.positions.shape)
        atoms.calc = SinglePointCalculator(atoms, **labels(atoms.copy()))
        frames.append(atoms)
    ase.io.write(folder / "data.xyz", frames, format="extxyz")
    return read_frames([folder / "data.xyz"], DataKeys())


def in_units(frames: list[Frame], energy: float, forces: float) -> list[Frame]:
    return [replace(f, energy=energy * f.energy, forces=forces * f.forces) for f in frames]


def test_the_right_units_give_no_line(molecules: list[Frame], metals: list[Frame]) -> None:
    assert unlikely_units(molecules) == unlikely_units(metals) == unlikely_stress(metals) == []


@pytest.mark.parametrize(
    ("energy", "forces"),
    [
        ("kcal/mol", "kcal/mol/Å"),
        ("kJ/mol", "kJ/mol/Å"),
        ("Hartree", "Hartree/Bohr"),
        ("Ry", "Ry/Bohr"),
        ("meV", "meV/Å"),
    ],
)
def test_molecules_in_other_units_give_one_line(
    molecules: list[Frame], energy: str, forces: str
) -> None:
    e, f = _unit(ENERGIES, energy), _unit(FORCES, forces)
    wrong = in_units(molecules, e.factor, f.factor)
    (line,) = unlikely_units(wrong)
    assert "energies and forces of 12 frames are those of another unit" in line
    assert f"{e.name} ({e.remedy})" in line
    assert f"{f.name} ({f.remedy})" in line
    (line,) = odd_frames(wrong)  # or by slopes: once in any case
    assert e.name in line
    (line,) = unlikely_units(in_units(molecules, e.factor, 1.0))
    assert "energies of 12 frames cannot be eV" in line
    assert e.name in line
    (line,) = unlikely_units(in_units(molecules, 1.0, f.factor))
    assert "forces of 12 frames change about" in line
    assert f.name in line


def test_metals_are_told_by_their_forces_and_stress(metals: list[Frame]) -> None:
    kcal = _unit(FORCES, "kcal/mol/Å").factor
    (line,) = unlikely_units(in_units(metals, kcal, kcal))
    assert "kcal/mol/Å (divide by 23.0605)" in line
    for name in ("GPa", "kbar", "bar"):
        unit = _unit(STRESSES, name)
        wrong = [replace(f, stress=-unit.factor * f.stress) for f in metals]
        (line,) = unlikely_stress(wrong)
        assert f"{name} ({unit.remedy})" in line
        assert "stress of 6 frames" in line


def test_deep_energies_of_valence_electrons_are_possible(molecules: list[Frame]) -> None:
    """Pseudopotentials leave the core out; references may be anything less deep."""
    for share in (0.2, 0.01, 0.0):
        shifted = [
            replace(f, energy=f.energy - (1 - share) * all_electron_energy(f.atoms.numbers).sum())
            for f in molecules
        ]
        assert unlikely_units(shifted) == []


def test_real_data_sets_give_no_line(data_dir: Path) -> None:
    paths = sorted(data_dir.glob("*/*valid*.xyz.xz"))
    assert len(paths) > 10
    for path in paths:
        frames = read_frames([path], DataKeys())
        assert unlikely_units(frames) + unlikely_stress(frames) == [], path


def test_all_electrons_of_neon_argon_and_water() -> None:
    """Hartree: exact without relativity, by experiment less its corrections."""
    known = {"Ne": -128.94, "Ar": -527.54, "O": -75.07}
    for symbol, hartree in known.items():
        found = all_electron_energy(Atoms(symbol).numbers).sum() / 27.211386
        assert found == pytest.approx(hartree, rel=0.01)


@pytest.fixture
def predictions(make_model) -> list[Compared]:
    """The values of a model, twice, as prediction and as label."""
    calculator, frames = E3Calculator(make_model()), []
    for seed in range(8):
        atoms = random_structure(10, seed)
        atoms.calc = calculator
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        stress = atoms.get_stress(voigt=False)
        frames.append(Compared(list(atoms.symbols), (energy,) * 2, (forces,) * 2, (stress,) * 2))
    return frames


def _labels(
    frames: list[Compared],
    energy: float = 1,
    forces: float = 1,
    stress: float = 1,
    shift: float = 0,
) -> list[Compared]:
    """With labels that are so many times as large, and off by the errors of a model."""
    rng, found = np.random.default_rng(0), []
    for f in frames:
        noise = rng.normal(0, 0.1 * np.abs(f.forces[0]).mean(), f.forces[0].shape)
        label = energy * (f.energy[0] + shift * len(f.symbols))
        found.append(
            Compared(
                f.symbols,
                (f.energy[0], label),
                (f.forces[0], forces * (f.forces[0] + noise)),
                (f.stress[0], stress * f.stress[0]),
            )
        )
    return found


def test_labels_of_the_model_give_no_line(predictions: list[Compared]) -> None:
    assert label_remarks(_labels(predictions)) == []
    assert label_remarks(_labels(predictions, forces=1.2, stress=0.9, shift=0.01)) == []


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (
            {"energy": 23.0605, "forces": 23.0605},
            "energies and forces: .* kcal/mol .*divide by 23.0605",
        ),
        ({"energy": 96.4853, "forces": 96.4853}, "energies and forces: .* kJ/mol "),
        ({"energy": 1 / 27.2114, "forces": 1 / 51.422}, "energies and forces: .*Hartree/Bohr"),
        ({"forces": 1 / 25.711}, "forces: slope 0.038.* Ry/Bohr .multiply by 25.711"),
        ({"forces": -1.0}, "forces: slope -[01].*gradients.*multiply by -1"),
        ({"energy": 1000.0}, "energies: slope 1000 .*meV .divide by 1000"),
        ({"stress": 160.2177}, "stress: slope 160.2 .*GPa"),
        ({"stress": -1602.177}, "stress: slope -1602 .*kbar.*VASP.*divide by -1602.18"),
        ({"forces": 3.3}, "forces: slope 3.*in which unit"),
        ({"shift": 7.5}, r"energies: labels are \+7.5 eV per atom from .* in 8 frames"),
    ],
)
def test_slopes_and_offsets_of_labels_give_one_line(
    predictions: list[Compared], factors: dict[str, float], words: str
) -> None:
    (line,) = label_remarks(_labels(predictions, **factors))
    assert re.search(words, line), line


def test_evaluate_says_it(make_model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, frames = make_model(), []
    for seed in range(6):
        atoms = random_structure(8, seed)
        atoms.calc = E3Calculator(model)
        labels = {
            "energy": 23.0605 * atoms.get_potential_energy(), "forces": 23.0605 * atoms.get_forces()
        }  # fmt: skip
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    ase.io.write(tmp_path / "data.xyz", frames, format="extxyz")
    evaluate(model, tmp_path / "data.xyz")
    text = capsys.readouterr().out
    assert text.count("warning:") == 1
    assert "slopes 23.06 and 23.06 of labels against predictions (6 frames)" in text
    assert "kcal/mol" in text


def _unit(units: tuple[Unit, ...], name: str) -> Unit:
    (unit,) = [u for u in units if u.name == name]
    return unit
