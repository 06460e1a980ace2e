"""LAMMPS on any number of ranks gives the numbers that ASE gives."""

import re
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.constraints import FixAtoms

from e3md.lammps.runner import LammpsCase, run_lammps
from e3md.lammps.verify import verify
from lammps_cases import SPECIES, STRUCTURES, assert_same, needs_lammps, reference

pytestmark = needs_lammps
ARCHITECTURES = ("nequip", "mace")
# All numbers of ranks with one architecture, the fewest and the most with the other.
RUNS = (("nequip", 1), ("nequip", 2), ("nequip", 3), ("nequip", 4), ("mace", 1), ("mace", 4))
MakeModel = Callable[..., Path]


@pytest.mark.parametrize(("arch", "n_ranks"), RUNS)
def test_every_structure_equals_ase(
    make_model: MakeModel, tmp_path: Path, arch: str, n_ranks: int
) -> None:
    model = make_model(arch)
    assert STRUCTURES
    cases = [LammpsCase(atoms, model, SPECIES) for atoms in STRUCTURES.values()]
    shrunk = STRUCTURES["molecule"]
    cases.append(LammpsCase(shrunk, model, SPECIES, boundary="s s s"))
    along_x = f"processors {n_ranks} 1 1"
    cases.append(LammpsCase(STRUCTURES["corner"], model, SPECIES, first=along_x))
    results = run_lammps(cases, n_ranks, tmp_path)
    for name, result in zip([*STRUCTURES, "s s s", "empty rank"], results, strict=True):
        assert_same(result, reference(model, result.atoms), what=f"{name}, {n_ranks} ranks")
    for atoms, result in zip(STRUCTURES.values(), results, strict=False):
        # Also against the structure as given: the rotation to LAMMPS' axes and back is right.
        expected = reference(model, atoms)
        np.testing.assert_allclose(result.forces, expected["forces"], rtol=0, atol=1e-9)
        scale = np.abs(expected["virial"]).max()
        np.testing.assert_allclose(result.virial, expected["virial"], atol=1e-8 * scale + 1e-12)


@pytest.mark.parametrize("n_ranks", [1, 3])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_float32_equals_ase(make_model: MakeModel, tmp_path: Path, arch: str, n_ranks: int) -> None:
    names = ("periodic", "triclinic", "molecule", "corner", "one atom alone")
    single, double = make_model(arch, "float32"), make_model(arch)
    cases = [LammpsCase(STRUCTURES[name], single, SPECIES) for name in names]
    cases += [LammpsCase(STRUCTURES["periodic"], double, SPECIES, settings="dtype float32")]
    *results, cast = run_lammps(cases, n_ranks, tmp_path)
    for result in results:
        assert_same(result, reference(single, result.atoms), "float32")
    assert_same(cast, reference(double, cast.atoms, "float32"), "float32")
    # and the arithmetic really was float32
    exact = reference(double, cast.atoms)["forces"]
    assert np.abs(cast.forces - exact).max() > 1e-10


@pytest.mark.parametrize("n_ranks", [1, 3])
def test_lips_equals_ase(
    make_model: MakeModel, data_dir: Path, tmp_path: Path, n_ranks: int
) -> None:
    files = sorted((data_dir / "lips").glob("test*"))
    assert files, f"no LiPS data in {data_dir}"
    atoms = ase.io.read(files[0], index=0)
    models = [make_model(arch, cutoff=5.0) for arch in ARCHITECTURES]
    results = run_lammps([LammpsCase(atoms, m, SPECIES) for m in models], n_ranks, tmp_path)
    for model, result in zip(models, results, strict=True):
        assert_same(result, reference(model, atoms), what=model.name)


@pytest.mark.parametrize(("arch", "n_ranks"), RUNS)
def test_after_a_run_equals_ase(
    make_model: MakeModel, tmp_path: Path, arch: str, n_ranks: int
) -> None:
    model = make_model(arch, zbl=True)
    atoms = STRUCTURES["periodic"]
    hot = "velocity all create 4000 11\nfix 1 all nve\nneigh_modify every 3 delay 0 check no\n"
    across = "displace_atoms all move 5.0 -4.2 6.1\n"
    end = "\nunfix 1\n"
    coeff = f'pair_style e3nn\npair_coeff * * "{model}" {" ".join(SPECIES)}\n'
    again = "write_restart hot.restart\nclear\natom_modify map yes\nread_restart hot.restart\n"
    changes = {
        "run 0 twice": "run 0\nrun 0",
        "run after run": f"{hot}run 3{end}run 0\nrun 2 pre no",
        "crossed and sorted": f"{across}{hot}run 7{end}",
        "replicate": "replicate 2 1 2",
        "restart": f"{hot}run 3{end}{again}{coeff}",
        "new pair_coeff": f"run 0\n{coeff}",
        "tiled": f"{hot}comm_style tiled\nbalance 1.0 rcb\nrun 4{end}",
    }
    first = "atom_modify sort 3 3.0"
    cases = [
        LammpsCase(atoms, model, SPECIES, first=first, before=change) for change in changes.values()
    ]
    results = run_lammps(cases, n_ranks, tmp_path)
    for name, result in zip(changes, results, strict=True):
        assert_same(result, reference(model, result.atoms), what=f"{name}, {n_ranks} ranks")
    assert len(results[3].atoms) == 4 * len(atoms)
    log = (tmp_path / f"run_{n_ranks}.log").read_text()
    builds = re.findall(r"Neighbor list builds = (\d+)", log)
    assert max(map(int, builds)) > 0, "no reneighboring: atoms neither crossed nor were sorted"
    assert log.count("sha256") == len(changes) + 2  # printed once per model, not once per run


def test_forces_depend_on_the_exchange(make_model: MakeModel, tmp_path: Path) -> None:
    # With a ghost shell of one cutoff, layers beyond the first see atoms of other ranks only
    # through the exchange: moving an atom between one and two cutoffs away must change a force.
    model = make_model("nequip", cutoff=3.0)
    chain = STRUCTURES["one atom alone"].copy()
    for k in range(1, 8):
        chain += type(chain)("Li" if k % 2 else "S", [[0.0, 0.3 * (k % 2), 2.2 * k]])
    moved = chain.copy()
    moved.positions[-1, 1] += 0.5
    cases = [
        LammpsCase(atoms, model, SPECIES, first="processors 1 1 4\nneighbor 0.2 bin")
        for atoms in (chain, moved)
    ]
    still, changed = run_lammps(cases, 4, tmp_path)
    assert_same(still, reference(model, chain))
    assert_same(changed, reference(model, moved))
    far = 8 - 3  # three layers reach three bonds, one rank boundary or two in between
    assert np.abs(still.forces[far] - changed.forces[far]).max() > 1e-9


def test_verify_finds_no_difference(make_model: MakeModel) -> None:
    rows = verify(make_model("mace"), STRUCTURES["triclinic"], ranks=(1, 2))
    assert [row.n_ranks for row in rows] == [1, 2]
    assert all(row.passed for row in rows)


@pytest.mark.parametrize("name", ["slab", "rod", "boxed molecule"])
def test_verify_compares_stress_where_the_cell_has_a_volume(
    name: str, make_model: MakeModel
) -> None:
    """And all atoms' forces: a user's constraints are of the relaxation, not of the model."""
    boxed = STRUCTURES["periodic"].copy()
    boxed.pbc = False
    atoms = {**STRUCTURES, "boxed molecule": boxed}[name].copy()
    atoms.set_constraint(FixAtoms(range(0, len(atoms), 2)))
    (row,) = verify(make_model("nequip"), atoms, ranks=(2,))
    assert row.passed
    assert row.stress is not None
    assert row.stress < 1e-9


def test_verify_of_a_molecule_without_a_cell(make_model: MakeModel) -> None:
    (row,) = verify(make_model("nequip"), STRUCTURES["molecule"], ranks=(1,))
    assert row.passed
    assert row.stress is None
