"""Units that labels come in by mistake: how many of each make the eV, eV/Å or eV/Å³ they should be."""

import math
from collections.abc import Sequence
from typing import NamedTuple

_BOHR = 0.529177210903  # Å
_HARTREE, _RYDBERG = 27.211386, 13.605693  # eV
_EV_PER_KCAL, _EV_PER_KJ = 1 / 23.060548, 1 / 96.485332  # of one particle, per mole


class Unit(NamedTuple):
    """A label in this unit is `factor` times what it should be."""

    name: str
    factor: float

    @property
    def energy(self) -> str:
        """The unit of energy in one of forces."""
        return self.name.rpartition("/")[0]

    @property
    def remedy(self) -> str:
        """What makes the labels right."""
        large = abs(self.factor) > 1
        word, by = ("divide", self.factor) if large else ("multiply", 1 / self.factor)
        return f"{word} by {by:.6g}"


ENERGIES = (
    Unit("kcal/mol", 1 / _EV_PER_KCAL),
    Unit("kJ/mol", 1 / _EV_PER_KJ),
    Unit("Hartree", 1 / _HARTREE),
    Unit("Ry", 1 / _RYDBERG),
    Unit("meV", 1000.0),
    Unit("cm⁻¹", 8065.544),
)
FORCES = (
    Unit("kcal/mol/Å", 1 / _EV_PER_KCAL),
    Unit("kJ/mol/Å", 1 / _EV_PER_KJ),
    Unit("Hartree/Bohr", _BOHR / _HARTREE),
    Unit("Ry/Bohr", _BOHR / _RYDBERG),
    Unit("Hartree/Å", 1 / _HARTREE),
    Unit("Ry/Å", 1 / _RYDBERG),
    Unit("eV/Bohr", _BOHR),
    Unit("meV/Å", 1000.0),
    Unit("kJ/mol/nm", 10 / _EV_PER_KJ),
    Unit("kcal/mol/Bohr", _BOHR / _EV_PER_KCAL),
)
STRESSES = (
    Unit("GPa", 160.217663),
    Unit("kbar", 1602.17663),
    Unit("bar", 1602176.63),
    Unit("Hartree/Bohr³", _BOHR**3 / _HARTREE),
    Unit("Ry/Bohr³", _BOHR**3 / _RYDBERG),
)


def with_signs(units: Sequence[Unit], opposite: str) -> tuple[Unit, ...]:
    """The units, the unit itself with the other sign, and the others with it.

    opposite: what a label of the other sign is called, as in "gradients, of the other sign".
    """
    flipped = [Unit(f"{unit.name} and {opposite}", -unit.factor) for unit in units]
    return (*units, Unit(opposite, -1.0), *flipped)


def nearest(factor: float, units: Sequence[Unit], within: float) -> list[Unit]:
    """Units whose factor differs from this one by less than `within` times, the likeliest first.

    factor: labels over what they should be, about.
    """
    near = [
        (abs(math.log(factor / unit.factor)), unit) for unit in units if factor * unit.factor > 0
    ]
    return [unit for distance, unit in sorted(near) if distance < math.log(within)]


def question(units: Sequence[Unit]) -> str:
    """Whether labels are in one of these units, and what to do then."""
    if not units:
        return "in which unit are they, and of which program?"
    return f"are these {' or '.join(f'{unit.name} ({unit.remedy})' for unit in units[:3])}?"


def common_question(energies: Sequence[Unit], forces: Sequence[Unit]) -> str:
    """The same of energies and forces of one program; "" if no two of the units go together."""
    of = {unit.name: unit for unit in energies}
    pairs = [(of[unit.energy], unit) for unit in forces if unit.energy in of]
    both = [f"{e.name} ({e.remedy}) and {f.name} ({f.remedy})" for e, f in pairs[:2]]
    return f"are these {' or '.join(both)}?" if both else ""


def about(factor: float) -> str:
    """To one digit, as in 20 and 0.04."""
    return f"{float(f'{factor:.1g}'):g}"
