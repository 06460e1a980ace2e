"""Masses, dtype, device and ZBL: what is wrong is refused, what is unusual is said, no more."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ase import Atoms

from e3md import E3Calculator
from e3md._core import lammps_units, missing_cuda, ops_without_kernel
from e3md.lammps.runner import run_input
from e3md.lammps.structure import write_data
from lammps_cases import SPECIES, STRUCTURES, failure, needs_lammps, reference

pytestmark = needs_lammps
MakeModel = Callable[..., Path]


def masses_input(model: Path, species: tuple[str, ...], masses: str, units: str = "metal") -> str:
    """One atom of each type, and these masses in the unit style's unit."""
    length = lammps_units(units)[1]
    return f"""units {units}
region b block 0 {20 / length} 0 {20 / length} 0 {20 / length}
create_box {len(species)} b
{masses}
create_atoms 1 single {1 / length} {1 / length} {1 / length}
pair_style e3nn
pair_coeff * * "{model}" {" ".join(species)}
neighbor {1 / length} bin
run 0 post no
"""


def set_masses(*masses: float) -> str:
    return "\n".join(f"mass {k} {mass}" for k, mass in enumerate(masses, 1))


ORGANIC = ("H", "C", "N", "O")
CHOSEN_MASSES = {
    "all 1.0e-20": (SPECIES, "mass * 1.0e-20"),
    "all 1": (ORGANIC, "mass * 1.0"),
    "all of carbon": (ORGANIC, "mass * 12.011"),
    "elastic recipe": (SPECIES, set_masses(1e-20, 30.974, 32.06)),
    "heavy wall": (SPECIES, set_masses(6.94, 30.974, 1e4)),
    "repartitioned hydrogens": (ORGANIC, set_masses(3.024, 5.963, 11.991, 11.967)),
    "fictitious hydrogen": (("H", "Ne", "C"), set_masses(1.008, 1.008, 12.011)),
}
USUAL_MASSES = {
    "isotopes": (("H", "C", "Li"), set_masses(2.014, 13.003, 6.015)),
    "rounded": (ORGANIC, set_masses(1.0, 12.0, 14.0, 16.0)),
    "twice the same element": (("Li", "Li", "P"), set_masses(6.94, 7.016, 30.974)),
}
SWAPPED = {
    "S P Li": (("S", "P", "Li"), set_masses(6.94, 30.974, 32.06), "type 1 S", "that of Li"),
    "neighbors in the table": (("Li", "S", "P"), set_masses(6.94, 30.974, 32.06), "type 2 S", "that of P"),
    "a cycle": (("C", "H", "O"), set_masses(1.008, 15.999, 12.011), "type 1 C", "that of H"),
    "C and H": (("C", "H"), set_masses(1.008, 12.011), "type 1 C", "that of H"),
    "one named twice": (("Li", "S", "S"), set_masses(6.94, 6.94, 32.06), "type 2 S", "that of Li"),
    "deuterium and C": (("C", "H"), set_masses(2.014, 12.011), "type 1 C", "that of H"),
}  # fmt: skip


@pytest.fixture
def organic(make_model: MakeModel) -> Path:
    return make_model("nequip", species=("H", "Li", "C", "N", "O", "Ne", "P", "S"))


def test_only_unusual_masses_are_warned_of(organic: Path, tmp_path: Path) -> None:
    for cases, warned in ((CHOSEN_MASSES, True), (USUAL_MASSES, False)):
        inputs = [masses_input(organic, *case) for case in cases.values()]
        logs = run_input("\nclear\n".join(inputs), 1, tmp_path).split("\nclear\n")
        for name, log in zip(cases, logs, strict=True):
            assert log.count("but its mass is") >= 1 if warned else "its mass" not in log, name
            assert log.count("WARNING: pair_style e3nn") == warned, name


@pytest.mark.parametrize("name", SWAPPED)
def test_swapped_elements_are_refused(organic: Path, tmp_path: Path, name: str) -> None:
    species, masses, *words = SWAPPED[name]
    output = failure(masses_input(organic, species, masses), tmp_path)
    for word in (*words, "order of the atom types"):
        assert word in output


@pytest.mark.parametrize("units", ["real", "si", "cgs", "electron", "micro", "nano"])
def test_the_rule_is_the_same_in_all_units(organic: Path, tmp_path: Path, units: str) -> None:
    gram = {
        "real": 1.0, "electron": 1.0, "si": 1.66053907e-27, "cgs": 1.66053907e-24,
        "micro": 1.66053907e-12, "nano": 1.66053907e-6,
    }[units]  # fmt: skip
    swapped, chosen = set_masses(32.06 * gram, 6.94 * gram), set_masses(6.94 * gram, 1e3 * gram)
    output = failure(masses_input(organic, ("Li", "S"), swapped, units), tmp_path)
    assert "that of S" in output
    log = run_input(masses_input(organic, ("Li", "S"), chosen, units), 1, tmp_path)
    assert "its mass is 1000 g/mol" in log


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_another_dtype_later_is_used_and_logged(
    make_model: MakeModel, tmp_path: Path, n_ranks: int
) -> None:
    model, atoms = make_model("nequip"), STRUCTURES["periodic"]
    write_data(tmp_path / "s.data", atoms, SPECIES)
    log = run_input(
        f"""units metal
read_data s.data
pair_style e3nn dtype float32
pair_coeff * * "{model}" Li P S
thermo_modify format float %.12g
run 0
print "one $(pe:%.15g)"
pair_style e3nn dtype float64
run 0
print "two $(pe:%.15g)"
pair_style e3nn dtype float64
run 0
pair_style e3nn device cpu dtype float32
run 0
print "three $(pe:%.15g)"
""",
        n_ranks,
        tmp_path,
    )
    lines = [line.split() for line in log.splitlines()]
    found = {
        line[0]: float(line[1]) for line in lines if line and line[0] in ("one", "two", "three")
    }
    assert [line[1] for line in lines if line[:1] == ["dtype"]] == ["float32", "float64", "float32"]
    exact = reference(model, atoms)["energy"]
    assert found["two"] == pytest.approx(exact, abs=1e-9)
    assert 1e-9 < abs(found["one"] - exact) < 1e-3
    assert found["three"] == pytest.approx(found["one"], abs=1e-6)


def zbl_input(model: Path, outer: float, numbers: str = "3 3") -> str:
    return f"""units metal
read_data s.data
pair_style hybrid/overlay e3nn zbl {0.5 * outer} {outer}
pair_coeff * * e3nn "{model}" Li P S
pair_coeff * * zbl {numbers}
run 0 post no
run 0 post no
"""


def test_zbl_that_reaches_bonds_is_warned_of(make_model: MakeModel, tmp_path: Path) -> None:
    atoms = Atoms("LiPS", [[0, 0, 0], [3, 0, 0], [4.93, 0, 0]], cell=[12, 12, 12], pbc=True)
    write_data(tmp_path / "s.data", atoms, SPECIES)
    plain, with_zbl = make_model("nequip"), make_model("nequip", zbl=True)
    for n_ranks in (1, 2):
        log = run_input(zbl_input(plain, 2.0), n_ranks, tmp_path)
        assert log.count("zbl reaches to 2 Å, but P and S are 1.93 Å apart") == 1
        assert "zbl reaches" not in run_input(zbl_input(plain, 1.9), n_ranks, tmp_path)
    assert log.count("once more") == 0
    log = run_input(zbl_input(with_zbl, 1.0), 1, tmp_path)
    assert log.count("pair_style zbl adds it once more") == 1


def test_a_device_kind_has_kernels_or_not() -> None:
    assert ops_without_kernel("cpu") == []
    without = ops_without_kernel("cuda")
    assert "edge_conv" in without
    assert "ghost_exchange" not in without  # it moves rows through the host
    with pytest.raises(ValueError, match="unknown kind of device 'tpu'"):
        ops_without_kernel("tpu")


@pytest.mark.skipif(not missing_cuda(), reason="models run on CUDA here")
def test_cuda_says_what_is_missing(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    with pytest.raises(ValueError, match="device 'cuda' is not available") as caught:
        E3Calculator(model, device="cuda")
    assert missing_cuda() in str(caught.value)
    assert "\n" not in str(caught.value)
    write_data(tmp_path / "s.data", STRUCTURES["periodic"], SPECIES)
    text = f'units metal\nread_data s.data\npair_style e3nn {{}}\npair_coeff * * "{model}" Li P S\nrun 0\n'
    assert missing_cuda() in failure(text.format("device cuda"), tmp_path)
    assert "device     cpu, kernels (" in run_input(text.format(""), 1, tmp_path)


def test_ases_lammpslib_needs_no_preparation(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model("nequip")
    script = f"""
import numpy as np
from ase import Atoms
from ase.calculators.lammpslib import LAMMPSlib

atoms = Atoms("LiPS2", [[1, 1, 1], [8, 8, 8], [10, 8.4, 8], [6, 8.4, 8]], cell=[16, 16, 16], pbc=True)
atoms.calc = LAMMPSlib(
    lmpcmds=["pair_style e3nn", "pair_coeff * * {model} Li P S"],
    atom_types={{"Li": 1, "P": 2, "S": 3}},
    lammps_header=["units metal", "atom_style atomic", "atom_modify map array sort 0 0"],
)
print(atoms.get_potential_energy())
from e3md import E3Calculator
atoms.calc = E3Calculator("{model}")
print(atoms.get_potential_energy())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    lammps, ours = map(float, done.stdout.split())
    assert lammps == pytest.approx(ours, abs=1e-9)
