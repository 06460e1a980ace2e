"""Structures of the kinds that ASE's tests put EMT on, with EMT's labels.

The model of this benchmark learns them, so that relaxations, bands and dynamics in ASE's tests find
minima about where EMT has them.
"""

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, covalent_radii

METALS = ("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt")
LIGHT = ("H", "C", "N", "O")
MOLECULES = ("H2", "N2", "O2", "CO", "CO2", "H2O", "CH4", "CH3", "NH3", "C2H6", "CH3CH2OH", "C6H6")
LARGEST_FORCE = 40.0  # eV/Å; beyond it, atoms overlap


def crystal(rng: np.random.Generator) -> Atoms:
    """An fcc metal or alloy, strained and rattled."""
    first, second = rng.choice(METALS, 2)
    atoms = bulk(first, cubic=True) * tuple(rng.permutation([1, 1, rng.integers(1, 4)]))
    if rng.random() < 0.4:
        atoms.symbols[rng.random(len(atoms)) < 0.5] = second
    strain = np.eye(3) * rng.uniform(0.93, 1.1) + rng.normal(0, 0.02, (3, 3))
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return _rattled(atoms, rng)


def surface(rng: np.random.Generator) -> Atoms:
    """A slab with an adsorbate, periodic in the plane."""
    atoms = fcc111(str(rng.choice(METALS)), (2, 2, rng.integers(1, 4)), vacuum=6.0)
    if rng.random() < 0.7:
        light = str(rng.choice([*METALS, *LIGHT, "CO", "N2", "O2"]))
        guest = molecule(light) if light in MOLECULES else Atoms(light)
        guest.rotate(rng.uniform(0, 180), rng.normal(size=3))
        site = str(rng.choice(["ontop", "bridge", "fcc", "hcp"]))
        add_adsorbate(atoms, guest, rng.uniform(1.0, 3.0), site)
    atoms.pbc = (True, True, False)
    return _rattled(atoms, rng)


def free_molecule(rng: np.random.Generator) -> Atoms:
    return _rattled(molecule(str(rng.choice(MOLECULES))), rng)


def cluster(rng: np.random.Generator) -> Atoms:
    """A few atoms, each near one that was there before: of one element, or of any."""
    elements = [*METALS, *LIGHT] if rng.random() < 0.5 else [rng.choice([*METALS, *LIGHT])]
    atoms = Atoms(str(rng.choice(elements)))
    while len(atoms) < rng.integers(2, 9):
        symbol, anchor = str(rng.choice(elements)), rng.integers(len(atoms))
        bond = covalent_radii[atomic_numbers[symbol]] + covalent_radii[atoms.numbers[anchor]]
        step = rng.normal(size=3)
        step *= bond * rng.uniform(0.75, 1.6) / np.linalg.norm(step)
        atoms += Atoms(symbol, [atoms.positions[anchor] + step])
    return atoms


def _rattled(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    atoms.positions += rng.normal(0, rng.choice([0.01, 0.06, 0.15]), atoms.positions.shape)
    return atoms


def labelled(atoms: Atoms) -> Atoms | None:
    """With EMT's energy and forces; none where atoms overlap."""
    atoms.calc = EMT()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if not np.abs(results["forces"]).max() < LARGEST_FORCE:
        return None
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def frames(seed: int = 1) -> Iterator[Atoms]:
    """Isolated atoms, then about 1500 structures; the same ones for a seed."""
    rng = np.random.default_rng(seed)
    for symbol in (*METALS, *LIGHT):
        atoms = labelled(Atoms(symbol))
        assert atoms is not None
        atoms.info["config_type"] = "IsolatedAtom"
        yield atoms
    for make, number in ((crystal, 400), (surface, 500), (free_molecule, 250), (cluster, 500)):
        made = (labelled(make(rng)) for _ in range(number))
        yield from (atoms for atoms in made if atoms is not None)
