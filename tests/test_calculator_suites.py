"""Suites that run any ASE calculator (ml-peg, MLIPAudit, matcalc) find what they ask E3Calculator for.

Each test calls as such a suite does, without needing it.
"""

import copy
import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, all_properties
from ase.calculators.mixing import SumCalculator
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols, covalent_radii
from ase.mep import NEB
from ase.optimize import BFGS
from ase.outputs import all_outputs

from committees import write_committee
from conftest import random_structure
from e3md import E3Calculator

MakeModel = Callable[..., Path]
SHAPES = {
    "energy": (), "free_energy": (), "energies": (7,), "forces": (7, 3), "stress": (6,),
    "stresses": (7, 6), "energy_std": (), "forces_std": (7, 3),
}  # fmt: skip


def test_default_dtype_is_dtype(make_model: MakeModel) -> None:
    """ml-peg asks for high precision by default_dtype, if the signature names it."""
    assert {"device", "dtype", "default_dtype"} <= inspect.signature(E3Calculator).parameters.keys()
    path, atoms = make_model("nequip", "float32"), random_structure(8, seed=1)
    asked = E3Calculator(model=path, default_dtype="float64", device="cpu")
    assert asked.dtype == "float64"
    double = E3Calculator(path, dtype="float64").get_potential_energy(atoms)
    assert asked.get_potential_energy(atoms) == double
    assert E3Calculator(path).get_potential_energy(atoms) != double
    assert E3Calculator(path, dtype="float64", default_dtype="float64").dtype == "float64"


def test_dtypes_that_contradict_each_other_are_an_error(make_model: MakeModel) -> None:
    path = make_model("nequip")
    with pytest.raises(ValueError, match=r"dtype='float32' and default_dtype='float64'"):
        E3Calculator(path, dtype="float32", default_dtype="float64")
    for name in ("dtype", "default_dtype"):
        for wrong in ("", "double"):
            with pytest.raises(ValueError, match=f"float32 or float64, not '{wrong}'"):
                E3Calculator(path, **{name: wrong})


def test_elements_are_listed(make_model: MakeModel) -> None:
    calculator = E3Calculator(make_model("nequip", species=("S", "Li", "P")))
    assert calculator.species == ["S", "Li", "P"]
    assert calculator.allowed_atomic_numbers == {3, 15, 16}
    assert {chemical_symbols[z] for z in calculator.allowed_atomic_numbers} == {"Li", "P", "S"}
    assert {6, 3} - calculator.allowed_atomic_numbers == {6}


def atoms_properties(calculator: E3Calculator, atoms: Atoms) -> set[str]:
    """What Atoms.get_properties gives, asked for one of them."""
    atoms.calc = calculator
    found = atoms.get_properties(["stresses"])
    return set(found) - {"natoms"}


@pytest.mark.parametrize("kind", ["nequip", "mace", "schnet", "so3net", "committee"])
def test_implemented_properties_are_true(make_model: MakeModel, tmp_path: Path, kind: str) -> None:
    """What is listed can be had, in a shape that ASE takes; what is not listed cannot."""
    committee = kind == "committee"
    path = (
        write_committee(tmp_path, "nequip", members=2, exact=True)[0]
        if committee
        else make_model(kind)
    )
    calculator, atoms = E3Calculator(path), random_structure(7, seed=2)
    listed = calculator.implemented_properties
    assert set(listed) == set(SHAPES) - (set() if committee else {"energy_std", "forces_std"})
    for name in listed:
        assert np.shape(calculator.get_property(name, atoms)) == SHAPES[name], name
    assert calculator.results.keys() == set(listed)
    for name in set(all_properties) - set(listed):
        with pytest.raises(NotImplementedError):
            calculator.get_property(name, atoms)
    assert atoms_properties(calculator, atoms) == set(listed) & set(all_outputs)
    usual = {name: calculator.results[name] for name in listed if name in all_properties}
    frozen = SinglePointCalculator(atoms, **usual)
    np.testing.assert_array_equal(frozen.get_forces(atoms), calculator.get_forces(atoms))


def test_one_calculator_copied_for_each_structure(make_model: MakeModel) -> None:
    """ml-peg: atoms.calc = copy(calc), charge and spin in atoms.info, results deleted to ask anew."""
    path = make_model("mace")
    calculator = E3Calculator(path, default_dtype="float64")
    structures = [random_structure(5 + k, seed=k) for k in range(4)]
    for atoms in structures:
        atoms.info |= {"charge": 0, "spin": 1}
        atoms.calc = copy.copy(calculator)
    energies = [atoms.get_potential_energy() for atoms in structures]
    fresh = E3Calculator(path, dtype="float64")
    assert energies == [fresh.get_potential_energy(atoms) for atoms in structures]
    del structures[0].calc.results["energy"]
    assert structures[0].get_potential_energy() == energies[0]
    assert not calculator.results


def test_elements_are_tried_one_by_one(make_model: MakeModel) -> None:
    """ml-peg: dimers of every element, on one calculator; an error leaves it as it was."""
    calculator = E3Calculator(make_model("nequip"))
    for number in range(1, 30):
        atoms = Atoms([number] * 2, [[0, 0, 0], [0, 0, 2 * covalent_radii[number]]])
        atoms.calc = calculator
        atoms.set_cell([20.0] * 3)
        atoms.pbc = True
        if number in calculator.allowed_atomic_numbers:
            assert np.isfinite(atoms.get_potential_energy())
        else:
            with pytest.raises(ValueError, match=rf"\b{chemical_symbols[number]}\b"):
                atoms.get_potential_energy()


def test_is_summed_with_another(make_model: MakeModel) -> None:
    """ml-peg adds dispersion by SumCalculator, and copies the sum."""
    calculator, atoms = E3Calculator(make_model("nequip")), random_structure(6, seed=8)
    other = MorsePotential(epsilon=0.1, r0=3.0)
    atoms.calc = copy.copy(SumCalculator([calculator, other]))
    for name in ("energy", "forces", "stress"):
        total = calculator.get_property(name, atoms) + other.get_property(name, atoms)
        np.testing.assert_allclose(atoms.calc.get_property(name, atoms), total, atol=1e-12)


def test_one_calculator_for_all_structures(make_model: MakeModel) -> None:
    """MLIPAudit: an instance, attached to structure after structure, whose elements it compares."""
    calculator = E3Calculator(make_model("schnet"))
    assert isinstance(calculator, BaseCalculator)
    structures = [random_structure(5, seed=k, pbc=bool(k % 2)) for k in range(4)]
    alone = []
    for atoms in structures:
        assert set(atoms.numbers) <= calculator.allowed_atomic_numbers
        atoms.calc = calculator
        alone.append(atoms.get_potential_energy())
    assert [atoms.get_potential_energy() for atoms in reversed(structures)] == alone[::-1]


def _band(calculator: E3Calculator, shared: bool) -> NEB:
    """A band of five images between two places of an atom, as MLIPAudit sets it up."""
    first = random_structure(6, seed=11)
    last = first.copy()
    last.positions[0] += (0.5, 0.3, 0.0)
    images = [first, *(first.copy() for _ in range(3)), last]
    for atoms in images:
        atoms.calc = calculator if shared else copy.copy(calculator)
    band = NEB(images, allow_shared_calculator=shared, climb=True, method="improvedtangent")
    band.interpolate(method="idpp")
    with BFGS(band, alpha=70, maxstep=0.03, logfile=None) as optimizer:
        optimizer.run(fmax=1e-9, steps=6)
    return band


def test_a_band_shares_one_calculator(make_model: MakeModel) -> None:
    """One calculator for all images, and a copy for each, go the same way."""
    calculator = E3Calculator(make_model("nequip", zbl=True))
    one, each = _band(calculator, shared=True), _band(calculator, shared=False)
    np.testing.assert_array_equal(one.get_positions(), each.get_positions())
    np.testing.assert_array_equal(one.get_forces(), each.get_forces())
    energies = [atoms.get_potential_energy() for atoms in one.images]
    assert energies == [atoms.get_potential_energy() for atoms in each.images]
