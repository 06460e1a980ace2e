"""A LAMMPS unit style changes the numbers, not the physics."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from e3md.lammps.runner import run_input
from e3md.lammps.structure import write_data
from lammps_cases import SPECIES, STRUCTURES, needs_lammps, reference

pytestmark = needs_lammps

_ELECTRONVOLT = 1.602176634e-19  # J
_AVOGADRO = 6.02214076e23
_HARTREE = 27.211386245988  # eV
_BOHR = 0.529177210903  # Å
_KCAL = 4184 / _AVOGADRO / _ELECTRONVOLT  # eV

# eV per energy unit, Å per length unit, g/mol per mass unit: CODATA 2018 and LAMMPS' `units` page.
UNITS = {
    "metal": (1.0, 1.0, 1.0),
    "real": (_KCAL, 1.0, 1.0),
    "electron": (_HARTREE, _BOHR, 1.0),
    "si": (1 / _ELECTRONVOLT, 1e10, 1e3 * _AVOGADRO),
    "cgs": (1e-7 / _ELECTRONVOLT, 1e8, _AVOGADRO),
    "micro": (1e-15 / _ELECTRONVOLT, 1e4, 1e-12 * _AVOGADRO),
    "nano": (1e-21 / _ELECTRONVOLT, 10.0, 1e-18 * _AVOGADRO),
}
# Pressure unit in eV/Å³; None: LAMMPS' pressure is energy/length³ in this style.
PRESSURE = {"metal": 6.241509074e-7, "real": 6.324209e-7, "electron": 6.241509074e-12}


def _section(style: str, folder: Path, model: Path) -> str:
    _, length, mass = UNITS[style]
    write_data(folder / f"{style}.data", STRUCTURES["periodic"], SPECIES, length, mass)
    return f"""units {style}
atom_style atomic
atom_modify map yes
read_data {style}.data
pair_style e3nn
pair_coeff * * "{model}" {" ".join(SPECIES)}
neighbor {1.0 / length:.17g} bin
compute e all pe/atom pair
compute p all pressure NULL pair
thermo_style custom step pe c_p[*]
dump 1 all custom 1 {style}.dump id fx fy fz c_e
dump_modify 1 sort id format float %.17g
run 0
print "$(pe:%.17g) $(c_p[1]:%.17g) $(c_p[2]:%.17g) $(c_p[3]:%.17g) &
$(c_p[4]:%.17g) $(c_p[5]:%.17g) $(c_p[6]:%.17g)" file {style}.thermo screen no
"""


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_every_unit_style_gives_the_same_physics(
    make_model: Callable[..., Path], tmp_path: Path, n_ranks: int
) -> None:
    model = make_model("nequip")
    atoms = STRUCTURES["periodic"]
    expected = reference(model, atoms)
    pressure = expected["virial"] / atoms.get_volume()
    run_input("clear\n".join(_section(s, tmp_path, model) for s in UNITS), n_ranks, tmp_path)
    for style, (energy, length, _) in UNITS.items():
        pe, *found_pressure = np.loadtxt(tmp_path / f"{style}.thermo")
        rows = np.loadtxt(tmp_path / f"{style}.dump", skiprows=9)
        assert pe * energy == pytest.approx(expected["energy"], abs=1e-8), style
        np.testing.assert_allclose(
            rows[:, 1:4] * energy / length, expected["forces"], rtol=0, atol=1e-8, err_msg=style
        )
        np.testing.assert_allclose(
            rows[:, 4] * energy, expected["energies"], rtol=0, atol=1e-8, err_msg=style
        )
        unit = PRESSURE.get(style, energy / length**3)
        voigt = pressure[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        # LAMMPS' own pressure constants are older than CODATA 2018: a few parts in 10⁶.
        np.testing.assert_allclose(
            np.array(found_pressure) * unit, voigt, rtol=0, atol=1e-5 * np.abs(voigt).max(),
            err_msg=style,
        )  # fmt: skip
