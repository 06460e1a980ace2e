"""LAMMPS units against those ASE knows, from the same CODATA."""

import ase.units
import pytest
from ase.calculators.lammps import convert

from e3md._core import lammps_units

STYLES = ("metal", "real", "si", "cgs", "electron", "micro", "nano")


@pytest.mark.parametrize("style", STYLES)
def test_equals_ase(style: str) -> None:
    energy, length = lammps_units(style)
    assert energy == pytest.approx(convert(1.0, "energy", style, "ASE"), rel=1e-6)
    assert length == pytest.approx(convert(1.0, "distance", style, "ASE"), rel=1e-6)


def test_codata_2018() -> None:
    units = ase.units.create_units("2018")
    assert lammps_units("metal") == (1.0, 1.0)
    assert lammps_units("real")[0] == pytest.approx(units.kcal / units.mol, rel=1e-12)
    assert lammps_units("si")[0] == pytest.approx(units.J, rel=1e-12)
    assert lammps_units("electron") == pytest.approx((units.Hartree, units.Bohr), rel=1e-10)


@pytest.mark.parametrize(
    ("style", "message"),
    [("lj", "units metal"), ("Metal", "'Metal'.*metal, real"), ("", "unknown")],
)
def test_other_styles_are_refused(style: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lammps_units(style)
