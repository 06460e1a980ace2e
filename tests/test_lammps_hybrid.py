"""pair_style e3nn beside other pair styles: it adds, and it touches only its own types."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from conftest import random_structure
from e3md.lammps.runner import LammpsCase, LammpsResult, run_lammps
from lammps_cases import SPECIES, STRUCTURES, needs_lammps, reference

pytestmark = needs_lammps
MakeModel = Callable[..., Path]

LJ = "lj/cut 4.5"
LJ_COEFF = "0.02 1.9"
ZBL = "zbl 2.0 3.0"
ZBL_NUMBERS = {
    "1 1": "3 3", "1 2": "3 15", "1 3": "3 16", "2 2": "15 15", "2 3": "15 16", "3 3": "16 16",
}  # fmt: skip


def assert_sum(total: LammpsResult, *parts: LammpsResult) -> None:
    """Energy, atomic energies, forces, virial and atomic virials are those of the parts, added."""
    for name in ("energy", "energies", "forces", "virial", "atomic_virials"):
        expected = sum(getattr(part, name) for part in parts)
        np.testing.assert_allclose(
            getattr(total, name), expected, rtol=1e-9, atol=1e-9, err_msg=name
        )


def _zbl(style: str = "") -> str:
    return "\n".join(f"pair_coeff {types} {style} {z}" for types, z in ZBL_NUMBERS.items())


@pytest.mark.parametrize("n_ranks", [1, 3])
@pytest.mark.parametrize("arch", ["nequip", "mace"])
def test_overlay_equals_the_sum(
    make_model: MakeModel, tmp_path: Path, arch: str, n_ranks: int
) -> None:
    model = make_model(arch)
    e3nn = f'pair_coeff * * e3nn "{model}" Li P S'
    potentials = [
        f"pair_style {LJ}\npair_coeff * * {LJ_COEFF}",
        f"pair_style {ZBL}\n{_zbl()}",
        f"pair_style hybrid/overlay {LJ} e3nn\npair_coeff * * lj/cut {LJ_COEFF}\n{e3nn}",
        f"pair_style hybrid/overlay e3nn {ZBL}\n{e3nn}\n{_zbl('zbl')}",
        f'pair_style hybrid/overlay e3nn e3nn\npair_coeff * * e3nn 1 "{model}" Li P S\n'
        f'pair_coeff * * e3nn 2 "{model}" Li P S',
    ]
    for name in ("triclinic", "molecule"):
        atoms = STRUCTURES[name]
        cases = [LammpsCase(atoms, model, SPECIES)]
        cases += [LammpsCase(atoms, model, SPECIES, potential=text) for text in potentials]
        alone, lj, zbl, with_lj, with_zbl, twice = run_lammps(cases, n_ranks, tmp_path / name)
        assert np.abs(lj.forces).max() > 1e-3
        assert_sum(with_lj, alone, lj)
        assert_sum(with_zbl, alone, zbl)
        assert_sum(twice, alone, alone)


def ions_beside_gas() -> Atoms:
    """Li, P, S in the lower half of a box, argon in the upper one, both touching."""
    ions, gas = random_structure(14, seed=3), random_structure(14, seed=6, species=("Ar",))
    box = np.array([8.0, 8.0, 9.0])
    ions = Atoms(ions.symbols, ions.get_scaled_positions() * box)
    gas = Atoms(gas.symbols, gas.get_scaled_positions() * box + [0, 0, 9.0])
    return Atoms(ions + gas, cell=[8.0, 8.0, 18.0], pbc=True)


@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_null_types_stay_out(make_model: MakeModel, tmp_path: Path, n_ranks: int) -> None:
    model = make_model("nequip")
    atoms = ions_beside_gas()
    mixed = (
        f"pair_style hybrid {LJ} e3nn\npair_coeff * 4 lj/cut {LJ_COEFF}\n"
        f'pair_coeff * * e3nn "{model}" Li P S NULL'
    )
    # Along z the upper ranks own argon only: a rank whose every type is NULL.
    first = f"processors 1 1 {n_ranks}"
    only_gas = f"pair_style {LJ}\npair_coeff * * 0 1\npair_coeff * 4 {LJ_COEFF}"
    types = (*SPECIES, "Ar")
    cases = [
        LammpsCase(atoms, model, types, first=first, potential=potential)
        for potential in (mixed, only_gas)
    ]
    both, gas = run_lammps(cases, n_ranks, tmp_path)
    is_ion = atoms.numbers != 18
    expected = reference(model, atoms[is_ion])
    np.testing.assert_allclose(both.energies[is_ion] - gas.energies[is_ion], expected["energies"])
    np.testing.assert_allclose(both.energies[~is_ion], gas.energies[~is_ion], atol=1e-12)
    forces = both.forces - gas.forces
    np.testing.assert_allclose(forces[is_ion], expected["forces"], atol=1e-9)
    np.testing.assert_allclose(forces[~is_ion], 0, atol=1e-12)
    np.testing.assert_allclose(both.virial - gas.virial, expected["virial"], atol=1e-8)
    assert both.energy == pytest.approx(gas.energy + expected["energy"], abs=1e-9)
