"""Labels of another unit: by the stiffness of bonds, and by the energy that all electrons have."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from e3md.data.geometry import nearest_distance
from e3md.data.read import Frame
from e3md.data.units import (
    ENERGIES,
    FORCES,
    STRESSES,
    Unit,
    about,
    common_question,
    nearest,
    question,
)
from e3md.neighbors import neighbor_list

_MEASURED = 60  # frames, evenly spread
_BONDED = 1.3  # of the sum of covalent radii
_FEWEST = 30  # bonds of a pair of elements
_SURE = 0.35  # correlation of force with length
_STIFFNESS = 70.0  # eV·Å: k·r³ of a bond of length r; 26 to 190 in 30 data sets, H to Pb
_UNLIKELY = 6.0  # factor off it
_ROUGH = 4.0  # by which the factor of a unit may be missed
_NONMETALS = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Ge", "As", "Se", "Br", "I")
_STIFF = {atomic_numbers[symbol] for symbol in _NONMETALS}  # whose bonds are never soft

_DISPLACED = 1.0  # Å: RMS force over stiffness that no structure has
_USUAL = 0.1  # Å: that structures have, from 0.01 (molecules) to 0.35 (hot metals)

_BREAKS = 0.6  # of k/r: no matter bears this stress; iron at 360 GPa has 0.4
_STRAINED = 0.012  # of k/r: stress that data sets have, within a factor of 4
_UNMOVED = (
    3.0  # times density^(2/3) · RMS force, of stress that forces do not go with; sets have 0.3
)

_HARTREE = 27.211386  # eV
_DEEPEST = 1.15  # times the energy of all electrons: no label in eV lies deeper
_CLOSE = 1.03  # factor by which the formula below may miss, for light elements
_LIGHT = range(5, 11)  # B to Ne: valence electrons alone have 0.1 to 0.25 of the energy
_MOST = 0.9  # share of the energy that comes from these


_RARE = ("eV/Bohr", "kJ/mol/nm", "kcal/mol/Bohr")
_COMMON_FORCES = tuple(unit for unit in FORCES if unit.name not in _RARE)


def unlikely_units(frames: Sequence[Frame]) -> list[str]:
    """One line if forces or energies have the magnitude of another unit, with the frames counted."""
    factor, energies = _forces_factor(frames), _energy_units(frames)
    if factor is None and energies is None:
        return []
    forces = nearest(factor, _COMMON_FORCES, _ROUGH) if factor is not None else []
    n = sum(not frame.isolated for frame in frames)
    both = common_question(energies or [], forces)
    if both:
        return [f"energies and forces of {n} frames are those of another unit: {both}"]
    parts = []
    if factor is not None:
        parts.append(
            f"forces of {n} frames change about {about(factor)} times as much with the lengths of bonds "
            f"as forces in eV/Å do: {question(forces)}"
        )
    if energies is not None:
        parts.append(
            f"energies of {n} frames cannot be eV by their electrons: {question(energies)}"
        )
    else:
        parts.append("Energies may be in the same unit")
    return [". ".join(parts).replace("?.", "?")]


def _forces_factor(frames: Sequence[Frame]) -> float | None:
    """How many times too stiff or too soft bonds are; None where that is usual or unknown.

    Only bonds between nonmetals can be too soft: metals and ions have soft ones.
    """
    factors: list[float] = []
    for (a, b), (length, pull) in _bonds(frames).items():
        if len(length) < _FEWEST or not length.std() > 1e-3 or not pull.std() > 0:
            continue
        if np.corrcoef(length, pull)[0, 1] > -_SURE:
            continue
        factor = float(pull.std() / length.std() * length.mean() ** 3 / _STIFFNESS)
        if factor > 1 or {a, b} <= _STIFF:
            factors += [factor] * len(length)  # a vote of every bond
    if not factors:
        return _displaced(frames)
    middle = float(np.median(factors))
    return middle if not 1 / _UNLIKELY < middle < _UNLIKELY else None


def _displaced(frames: Sequence[Frame]) -> float | None:
    """The same where no bonds tell, as in metals: by how far the forces would move an atom."""
    ways = []
    for frame in _spread([f for f in frames if np.isfinite(f.forces).all()]):
        near = nearest_distance(frame.atoms)
        if near:
            ways.append(_rms(frame.forces) * near**3 / _STIFFNESS)
    middle = float(np.median(ways)) if ways else 0.0
    return middle / _USUAL if middle > _DISPLACED else None


def _bonds(
    frames: Sequence[Frame],
) -> dict[tuple[int, int], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Length (Å) and force along it (eV/Å, positive: apart) of all bonds, by pair of elements."""
    found: dict[tuple[int, int], list[NDArray[np.float64]]] = defaultdict(list)
    known = [f for f in frames if len(f.atoms) > 1 and np.isfinite(f.forces).all()]
    for frame in _spread(known):
        for pair, rows in _bonds_of(frame):
            found[pair].append(rows)
    joined = {pair: np.concatenate(rows, axis=1) for pair, rows in found.items()}
    return {pair: (rows[0], rows[1]) for pair, rows in joined.items()}


def _spread(frames: Sequence[Frame]) -> list[Frame]:
    """Some of many frames."""
    if not frames:
        return []
    chosen = np.linspace(0, len(frames) - 1, _MEASURED).round().astype(int)
    return [frames[k] for k in sorted(set(chosen.tolist()))]


def _bonds_of(frame: Frame) -> Iterator[tuple[tuple[int, int], NDArray[np.float64]]]:
    """Per pair of elements (2, n_bonds): length and half the difference of forces along it."""
    atoms = frame.atoms
    radii = covalent_radii[atoms.numbers]
    reach = 2 * _BONDED * float(radii.max())
    i, j, _, way = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    length = np.linalg.norm(way, axis=1)
    bonded = (length < _BONDED * (radii[i] + radii[j])) & (atoms.numbers[i] <= atoms.numbers[j])
    i, j, way, length = i[bonded], j[bonded], way[bonded], length[bonded]
    pull = 0.5 * ((frame.forces[j] - frame.forces[i]) * way).sum(axis=1) / length
    pairs = np.stack([atoms.numbers[i], atoms.numbers[j]])
    for a, b in np.unique(pairs, axis=1).T.tolist():
        own = (pairs[0] == a) & (pairs[1] == b)
        yield (a, b), np.stack([length[own], pull[own]])


def unlikely_stress(frames: Sequence[Frame]) -> list[str]:
    """One line if the stress of most frames would break any matter, and forces do not go with it.

    k/r at the mean distance of atoms is about an elastic constant.
    """
    known = [f for f in frames if f.stress is not None and _rms(f.forces) > 0]
    stress = np.array([_rms(f.stress) for f in known if f.stress is not None])
    volume = np.array([f.atoms.get_volume() / len(f.atoms) for f in known])  # Å³ per atom
    moved = stress * volume ** (2 / 3) / [_rms(f.forces) for f in known]
    strained = stress * volume ** (4 / 3) / _STIFFNESS
    if not known or np.median(strained) < _BREAKS or np.median(moved) < _UNMOVED:
        return []
    factor = float(np.median(strained)) / _STRAINED
    return [
        f"stress of {len(known)} frames is about {about(factor)} times what matter of this density and "
        f"its forces have: {question(nearest(factor, STRESSES, 10.0))} Or with the other sign, as "
        "VASP's, or a virial in eV (data.keys.virial)?"
    ]


def _rms(values: NDArray[np.float64]) -> float:
    """0 where nothing is known."""
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if known.size else 0.0


def _energy_units(frames: Sequence[Frame]) -> list[Unit] | None:
    """Units that the energies may have; None where eV are possible.

    With all electrons the energy is that of the atoms within a percent, whatever the functional;
    with those of the valence alone it is less deep. Depths that only another unit has are told, and
    of light elements, whose valence is another part of it, also Hartree and Ry.
    """
    ratios, light = [], []
    for frame in frames:
        atoms = all_electron_energy(frame.atoms.numbers)
        if np.isfinite(frame.energy) and not frame.isolated:
            ratios.append(frame.energy / atoms.sum())
            light.append(atoms[np.isin(frame.atoms.numbers, _LIGHT)].sum() / atoms.sum())
    if not ratios:
        return None
    middle = float(np.median(ratios))
    if middle > _DEEPEST:  # by so much at least, if these are energies of the valence alone
        return nearest(middle, ENERGIES, 1.05) + [
            unit for unit in ENERGIES if unit.factor > 1.05 * middle
        ]
    if min(light) < _MOST or middle <= 0 or not np.allclose(ratios, middle, rtol=_CLOSE - 1):
        return None
    return [unit for unit in nearest(middle, ENERGIES, _CLOSE) if unit.factor < 1] or None


def all_electron_energy(numbers: NDArray[np.integer]) -> NDArray[np.float64]:
    """Total energy of neutral atoms, eV, by the Thomas-Fermi-Scott-Schwinger expansion.

    0.7687 Z^(7/3) - Z²/2 + 0.2699 Z^(5/3) Hartree; within 1 % from carbon to argon, without
    relativity (J. Schwinger, Phys. Rev. A 24, 2353 (1981)).
    """
    z = numbers.astype(float)
    hartree = 0.768745 * z ** (7 / 3) - z**2 / 2 + 0.269900 * z ** (5 / 3)
    return -_HARTREE * hartree
