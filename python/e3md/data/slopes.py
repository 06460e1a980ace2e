"""Whether forces are the slopes of the energies: between frames that lie near one another."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from e3md.data.problems import some
from e3md.data.read import Frame

_NEAR = 0.4  # Å that no atom moves further between two frames
_FEWEST = 5  # pairs that can tell
_SURE = 0.9  # correlation that can tell
_LIKE = 1.5  # factor by which rough work may miss the difference of energies
_ROUGH = 0.2  # by which rough work may miss a unit
_CAUSES = (
    (-1.0, "they are gradients, of the other sign"),
    (51.422, "forces in Hartree/Bohr: multiply by 51.422"),
    (1 / 51.422, "energies and forces in other units"),
    (27.2114, "forces in Hartree/Å: multiply by 27.2114"),
    (1 / 27.2114, "energies in Hartree: multiply by 27.2114"),
    (
        1.8897,
        "energies in Hartree, forces in Hartree/Bohr: multiply by 27.2114 and 51.422 (or in Ry and "
        "Ry/Bohr: by 13.6057 and 25.711)",
    ),
    (23.0605, "energies in kcal/mol: divide by 23.0605"),
    (1 / 23.0605, "forces in kcal/mol/Å: divide by 23.0605"),
    (96.4853, "energies in kJ/mol: divide by 96.4853"),
    (1 / 96.4853, "forces in kJ/mol/Å: divide by 96.4853"),
)


def mismatched_forces(frames: Sequence[Frame]) -> list[str]:
    """A line for each composition whose energies do not change as its forces say.

    From a to b the energy changes by -½ (F_a + F_b)·(x_b - x_a), exactly so in a harmonic well.
    """
    groups: dict[tuple, list[Frame]] = defaultdict(list)
    for frame in frames:
        if np.isfinite(frame.energy) and np.isfinite(frame.forces).all():
            atoms = frame.atoms
            cell = atoms.cell.array.round(6).tobytes()
            groups[(atoms.numbers.tobytes(), atoms.pbc.tobytes(), cell)].append(frame)
    return [line for own in groups.values() for line in _compare(own)]


def _compare(frames: Sequence[Frame]) -> list[str]:
    change, work, labels = [], [], []
    for a, b in zip(frames, frames[1:], strict=False):
        way = b.atoms.positions - a.atoms.positions
        if 1e-4 < np.abs(way).max() < _NEAR:
            change.append(b.energy - a.energy)
            work.append(float(-0.5 * ((a.forces + b.forces) * way).sum()))
            labels.append(f"{a.label} to {b.label}")
    product, squares = np.dot(change, work), np.dot(work, work)
    if len(change) < _FEWEST or abs(product) < _SURE * np.sqrt(np.dot(change, change) * squares):
        return []
    slope = float(product / squares) if squares else 1.0
    if 1 / _LIKE < slope < _LIKE:
        return []
    return [
        f"energies change {slope:.4g} times as much as forces say (between near frames: "
        f"{some(labels, most=2)}): {_cause(slope, len(frames[0].atoms))}"
    ]


def _cause(slope: float, n_atoms: int) -> str:
    causes = [*_CAUSES, (1 / n_atoms, f"energies per atom: multiply by {n_atoms}")]
    likely = [text for factor, text in causes if abs(slope / factor - 1) < _ROUGH]
    return ", or ".join(likely) or "are both of one calculation, in eV and eV/Å?"
