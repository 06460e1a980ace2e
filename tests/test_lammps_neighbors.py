"""Neighbors that LAMMPS would hide: refused before a number is computed from what is left."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from e3md.lammps.runner import run_input
from lammps_cases import SPECIES, failure, needs_lammps, reference

pytestmark = needs_lammps
MakeModel = Callable[..., Path]

FRAGMENT = Atoms("PS2", [[8.0, 8.0, 8.0], [10.0, 8.4, 8.0], [6.0, 8.4, 8.0]])
SURFACE = Atoms("Li", [[1.0, 1.0, 1.0]])
BOX = [16.0, 16.0, 16.0]

MOLECULE = """fragment

3 atoms
2 bonds

Coords

1 0.0 0.0 0.0
2 2.0 0.4 0.0
3 -2.0 0.4 0.0

Types

1 2
2 3
3 3

Bonds

1 1 1 2
2 1 1 3

Special Bond Counts

1 2 0 0
2 1 1 0
3 1 1 0

Special Bonds

1 2 3
2 1 3
3 1 2
"""
FACTORS_OF_1 = "special_bonds lj/coul 1 1 1"
ALONE = "pair_style e3nn\npair_coeff * * {model} Li P S"
OVERLAY = (
    "pair_style hybrid/overlay e3nn lj/cut 3.0\npair_coeff * * e3nn {model} Li P S\n"
    "pair_coeff * * lj/cut 0 1"
)
DEPOSIT = """create_atoms 1 single 1 1 1
molecule fragment fragment.mol
region in block 7 9 7 9 7 9
fix d all deposit 1 0 2 4567 region in mol fragment vx 0 0 vy 0 0 vz 0 0
thermo 1
run 4
"""
BOND_CREATE = """create_atoms 1 single 1 1 1
create_atoms 2 single 8.0 8.0 8.0
create_atoms 3 single 10.0 8.4 8.0
create_atoms 3 single 6.0 8.4 8.0
fix c all bond/create 2 2 3 2.2 1
thermo 1
run 6
"""
TEMPLATE = "create_atoms 1 single 1 1 1\ncreate_atoms 0 single 8 8 8 mol fragment 123 rotate 0 0 0 1\nrun 0\n"


def bonded_input(
    folder: Path, model: Path, commands: str, factors: str = "", potential: str = ALONE,
    template: bool = False,
) -> str:  # fmt: skip
    """An input with room for bonds; coordinates are free."""
    (folder / "fragment.mol").write_text(MOLECULE)
    molecule = "molecule fragment fragment.mol\natom_style template fragment"
    quoted = f'"{model}"'
    return f"""units metal
{molecule if template else "atom_style bond"}
{factors}
region b block 0 16 0 16 0 16
create_box 3 b bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 4
mass 1 6.94
mass 2 30.974
mass 3 32.06
bond_style zero
bond_coeff *
{potential.format(model=quoted)}
thermo_style custom step atoms pe
thermo_modify format float %.12g
{commands}
print "energy: $(pe:%.12g)"
"""


def energy(log: str) -> float:
    return float(log[log.rindex("energy:") :].split()[1])


def energies(log: str) -> list[float]:
    """Of each thermo step of the last run."""
    rows = log[log.rindex("   Step") :].splitlines()[1:]
    table = rows[: next(k for k, row in enumerate(rows) if row.startswith("Loop time"))]
    return [float(row.split()[2]) for row in table]


@pytest.fixture
def model(make_model: MakeModel) -> Path:
    return make_model("nequip", zbl=True)


@pytest.fixture
def whole(model: Path) -> float:
    """eV, of the surface atom and the fragment with all their neighbors."""
    atoms = Atoms(SURFACE + FRAGMENT, cell=BOX, pbc=True)
    return float(reference(model, atoms)["energy"])


@pytest.mark.parametrize("n_ranks", [1, 2])
@pytest.mark.parametrize("potential", [ALONE, OVERLAY], ids=["alone", "overlay"])
@pytest.mark.parametrize("commands", [DEPOSIT, BOND_CREATE], ids=["deposit", "bond/create"])
def test_bonds_that_come_during_a_run(
    model: Path, whole: float, tmp_path: Path, commands: str, potential: str, n_ranks: int
) -> None:
    factors = FACTORS_OF_1 if potential is ALONE else "special_bonds lj/coul 1e-50 1e-50 1e-50"
    good = bonded_input(tmp_path, model, commands, factors, potential)
    log = run_input(good, n_ranks, tmp_path)
    assert energy(log) == pytest.approx(whole, abs=1e-9)
    if commands is BOND_CREATE:
        np.testing.assert_allclose(energies(log), whole, rtol=0, atol=1e-9)
    bad = bonded_input(tmp_path, model, commands, "", potential)
    output = failure(bad, tmp_path, n_ranks)
    assert FACTORS_OF_1 in output
    if potential is OVERLAY:  # allowed until a bond hides a neighbor of e3nn's
        assert "are missing from the neighbor list" in output


@pytest.mark.parametrize("potential", [ALONE, OVERLAY], ids=["alone", "overlay"])
def test_molecules_of_a_template(model: Path, whole: float, tmp_path: Path, potential: str) -> None:
    good = bonded_input(tmp_path, model, TEMPLATE, FACTORS_OF_1, potential, template=True)
    assert energy(run_input(good, 1, tmp_path)) == pytest.approx(whole, abs=1e-9)
    bad = bonded_input(tmp_path, model, TEMPLATE, "", potential, template=True)
    assert FACTORS_OF_1 in failure(bad, tmp_path)


def test_bonds_and_exclusions_of_other_styles_atoms_are_spared(model: Path, tmp_path: Path) -> None:
    # Only P and S are e3nn's; the Li atoms are bonded to them and to each other, and excluded.
    potential = (
        "pair_style hybrid e3nn lj/cut 6.0\npair_coeff * * e3nn {model} NULL P S\n"
        "pair_coeff 1 * lj/cut 0 1"
    )
    commands = """create_atoms 1 single 7 9.5 8
create_atoms 1 single 9 9.5 8
create_atoms 2 single 8.0 8.0 8.0
create_atoms 3 single 10.0 8.4 8.0
create_atoms 3 single 6.0 8.4 8.0
create_bonds single/bond 1 1 2
create_bonds single/bond 1 2 4
group light type 1
group heavy type 2 3
neigh_modify exclude type 1 1
neigh_modify exclude group light heavy
neigh_modify exclude molecule/intra light
run 0
"""
    expected = reference(model, Atoms(FRAGMENT, cell=BOX, pbc=True))["energy"]
    text = bonded_input(tmp_path, model, commands, "", potential)
    assert energy(run_input(text, 1, tmp_path)) == pytest.approx(expected, abs=1e-9)
    # but two of its own atoms may not be bonded, nor excluded by a group they are in
    bonded = commands.replace("run 0", "create_bonds single/bond 1 3 4\nrun 0")
    output = failure(bonded_input(tmp_path, model, bonded, "", potential), tmp_path)
    assert "atoms 3 and 4" in output or "atoms 4 and 3" in output
    excluded = commands.replace("exclude group light heavy", "exclude group all all")
    output = failure(bonded_input(tmp_path, model, excluded, "", potential), tmp_path)
    assert "neigh_modify exclude none" in output


def test_gcmc_takes_an_atom_out_with_its_reference_energy(model: Path, tmp_path: Path) -> None:
    # An ideal gas: chemical potential = energy of an isolated atom + kT ln(ρ Λ³), so ⟨N⟩ is known.
    # Fix gcmc tries a removal by excluding the atom from all lists: it must count as not there,
    # not as an isolated atom of its own energy.
    temperature, n_expected, length = 5000.0, 4.0, 100.0
    kT = 8.617333262e-5 * temperature  # eV
    wavelength = 17.458 / np.sqrt(6.94 * temperature)  # Å: h / sqrt(2π m kT), m in g/mol
    isolated = float(reference(model, SURFACE)["energy"])
    assert abs(isolated) > 1.0
    mu = isolated + kT * np.log(n_expected * wavelength**3 / length**3)
    text = f"""units metal
region b block 0 {length} 0 {length} 0 {length}
create_box 3 b
mass 1 6.94
mass 2 30.974
mass 3 32.06
create_atoms 1 random 4 123 b overlap 12.0
pair_style e3nn
pair_coeff * * "{model}" {" ".join(SPECIES)}
fix 1 all gcmc 1 20 0 1 29494 {temperature} {mu:.10g} 0.5 full_energy
variable n equal atoms
fix 2 all ave/time 1 60 60 v_n file n.dat
run 60
"""
    run_input(text, 1, tmp_path)
    mean = np.loadtxt(tmp_path / "n.dat")[1]
    assert abs(mean - n_expected) < 1.5
