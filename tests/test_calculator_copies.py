"""Copies of a calculator keep its results, share its potential and disturb nobody."""

import copy
import gc
import os
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import e3md.loaded
from committees import write_committee
from conftest import random_structure
from e3md import E3Calculator

MakeModel = Callable[..., Path]
Copy = Callable[[E3Calculator], E3Calculator]


def through_pickle(calculator: E3Calculator) -> E3Calculator:
    return pickle.loads(pickle.dumps(calculator))


@pytest.fixture(params=[copy.copy, copy.deepcopy, through_pickle], ids=lambda f: f.__name__)
def make_copy(request: pytest.FixtureRequest) -> Copy:
    return request.param


@pytest.fixture
def atoms(make_model: MakeModel) -> Atoms:
    atoms = random_structure(12, seed=3)
    atoms.calc = E3Calculator(make_model("nequip"), skin=0.7)
    atoms.get_stresses()
    return atoms


def test_copies_keep_results(atoms: Atoms, make_copy: Copy) -> None:
    twin = make_copy(atoms.calc)
    assert not twin.calculation_required(atoms, ["energy", "forces", "stress", "stresses"])
    assert twin.results.keys() == atoms.calc.results.keys()
    for key, value in atoms.calc.results.items():
        np.testing.assert_array_equal(twin.results[key], value)


def test_copies_do_not_read_the_file_again(
    atoms: Atoms, make_copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(e3md.loaded, "Potential")
    twin = make_copy(atoms.calc)
    atoms.positions[0] += 0.1
    assert twin.get_potential_energy(atoms) == atoms.get_potential_energy()


def test_copies_are_independent(atoms: Atoms, make_copy: Copy) -> None:
    """Each follows atoms of its own, in turns, as if it were alone; none changes what another has."""
    twin, before = make_copy(atoms.calc), dict(atoms.calc.results)
    del twin.results["energy"]
    twin.parameters["model"] = "a name that another program gives it"
    assert "energy" in atoms.calc.results
    assert "model" not in atoms.calc.parameters
    others = [random_structure(9, seed=4), random_structure(14, seed=5)]
    alone = [E3Calculator(atoms.calc._arguments[0]).get_forces(other) for other in others]
    for other, forces in zip(others * 2, alone * 2, strict=True):
        np.testing.assert_array_equal(twin.get_forces(other), forces)
        assert atoms.calc.results.keys() == before.keys()
        assert atoms.calc.results["energy"] == before["energy"]
        np.testing.assert_array_equal(atoms.calc.results["forces"], before["forces"])


def test_a_deep_copy_shares_no_array(atoms: Atoms) -> None:
    forces = atoms.get_forces()
    copy.deepcopy(atoms).calc.results["forces"][:] = 0
    np.testing.assert_array_equal(atoms.calc.results["forces"], forces)


class WithOptions(E3Calculator):
    """A user's class whose arguments are not those of E3Calculator."""

    def __init__(self, options: dict) -> None:
        super().__init__(options["model"], dtype="float32")
        self.options = options


def test_copies_of_other_classes(make_model: MakeModel, make_copy: Copy) -> None:
    calculator = WithOptions({"model": make_model("nequip")})
    calculator.label = "run/7"
    twin = make_copy(calculator)
    assert type(twin) is WithOptions
    assert twin.options == calculator.options
    assert (twin.dtype, twin.label) == ("float32", "run/7")


@pytest.fixture(scope="module")
def committee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("committee")
    return write_committee(folder, "nequip", members=2, exact=True)[0]


def test_copies_of_committees(committee: Path, make_copy: Copy) -> None:
    calculator, atoms = E3Calculator(committee), random_structure(6, seed=1)
    calculator.get_property("energy_std", atoms)
    twin = make_copy(calculator)
    assert twin.implemented_properties == calculator.implemented_properties
    atoms.positions[0] += 0.1
    expected = E3Calculator(committee).get_property("forces_std", atoms)
    np.testing.assert_array_equal(twin.get_property("forces_std", atoms), expected)


def test_calculators_of_a_file_share_it_while_they_live(make_model: MakeModel) -> None:
    path = make_model("schnet", channels=7)  # a file that no other test has in use
    first, second = E3Calculator(path), E3Calculator(str(path), skin=0.0)
    assert first._potential is second._potential
    assert E3Calculator(path, dtype="float32")._potential is not first._potential
    n_in_use = len(e3md.loaded._in_use)
    del first, second
    gc.collect()
    assert len(e3md.loaded._in_use) < n_in_use


@pytest.mark.parametrize("replace", [os.replace, shutil.copyfile], ids=["renamed", "in place"])
def test_a_file_that_was_written_again_is_read_again(
    make_model: MakeModel, tmp_path: Path, replace: Callable[[Path, Path], object]
) -> None:
    path, newer, atoms = tmp_path / "m.pt", tmp_path / "newer.pt", random_structure(6, seed=2)
    shutil.copyfile(make_model("nequip"), path)
    shutil.copyfile(make_model("schnet"), newer)
    old, expected = E3Calculator(path), E3Calculator(newer).get_potential_energy(atoms)
    replace(newer, path)
    assert E3Calculator(path).get_potential_energy(atoms) == expected
    assert copy.copy(old).get_potential_energy(atoms) != expected


@pytest.mark.parametrize("arch", ["nequip", "mace"])
def test_copies_run_in_threads(make_model: MakeModel, arch: str) -> None:
    """Evaluations overlap, as they let go of Python's lock; each gives what it gives alone."""
    calculator = E3Calculator(make_model(arch))
    structures = [random_structure(4 + k, seed=k) for k in range(5)]
    expected = [calculator.get_forces(atoms) for atoms in structures]
    wrong: list[object] = []

    def work(start: int) -> None:
        own = copy.copy(calculator)
        try:
            for k in range(start, start + 150):
                found = own.get_forces(structures[k % 5])
                if not np.array_equal(found, expected[k % 5]):
                    wrong.append(found)
        except ValueError as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
