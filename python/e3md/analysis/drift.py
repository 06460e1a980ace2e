"""Whether the center of mass of the atoms in a file is a point of reference."""

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from e3md.analysis.periodic import FloatArray
from e3md.analysis.trajectory import Trajectory

# N times the mean square step of the center of mass over that of an atom: 1 where atoms move
# independently of each other, 0 in a whole cell that conserves momentum, N where all move as one.
_INDEPENDENT = (0.05, 10.0)
_KEEP = "--keep-drift (remove_drift=False) leaves it in"


def center_of_mass(trajectory: Trajectory, path: FloatArray) -> FloatArray:
    """(n_frames, 3) Å of (n_frames, n_atoms, 3) Å."""
    masses = _masses(trajectory)
    return np.einsum("fnx,n->fx", path, masses / masses.sum())


def drift_note(trajectory: Trajectory) -> str | None:
    """What a user should know before the motion of the center of mass is taken out.

    In a part of a cell the center of mass diffuses with D/N of N independent atoms, and taking it
    out is a loss. Suspected where IDs are not 1 to N or all atoms are of one species, and found
    where the center of mass makes random steps as large as independent atoms give it. In a whole
    cell it stays, drifts at a constant velocity, or carries all atoms along.
    """
    if trajectory.n_atoms == 1:
        return f"drift: one atom is its own center of mass, so MSD and D are zero; {_KEEP}"
    n_atoms, ids = trajectory.n_atoms, trajectory.ids
    partial = ids is not None and ids.max() > n_atoms
    if not partial and len(set(trajectory.species)) > 1:
        return None
    low, high = _INDEPENDENT
    if not low < _independence(trajectory) < high:
        return None
    reason = (
        f"the file holds {n_atoms} atoms with IDs up to {ids.max()}, a part of the cell"  # type: ignore[union-attr]
        if partial
        else "the file holds one species, and may be a part of the cell"
    )
    return (
        f"drift: {reason}; the center of mass diffuses, as that of {n_atoms} independent atoms "
        f"does. Taking that out, right if only a thermostat (Langevin) causes it, lowers D by about "
        f"1/{n_atoms} ({100 / n_atoms:.2g} %); {_KEEP}"
    )


def share_of_center(trajectory: Trajectory) -> float:
    """Part of D that may have gone with the center of mass, where that moves randomly.

    Of N independent atoms 1/(N - 1). Whether this motion belongs to the atoms (a part of a cell) or
    to the thermostat (Langevin) cannot be told from the positions. 0 where it does not diffuse.
    """
    low, high = _INDEPENDENT
    independence = _independence(trajectory)
    share = independence / _effective_number(trajectory)
    return share / (1 - share) if low < independence < high and share < 0.5 else 0.0


def _independence(trajectory: Trajectory) -> float:
    """See _INDEPENDENT; 0 where nothing moves."""
    path = trajectory.displacements()
    center = np.diff(center_of_mass(trajectory, path), axis=0)
    drift = center.mean(axis=0)
    steps = np.diff(path, axis=0) - drift
    square = (steps**2).sum(axis=2).mean()
    n_atoms = _effective_number(trajectory)
    return float(n_atoms * ((center - drift) ** 2).sum(axis=1).mean() / square) if square else 0.0


def _effective_number(trajectory: Trajectory) -> float:
    """Of atoms that make the center of mass; their number where all masses are equal."""
    masses = _masses(trajectory)
    return float(masses.sum() ** 2 / (masses**2).sum())


def _masses(trajectory: Trajectory) -> FloatArray:
    return atomic_masses[[atomic_numbers[name] for name in trajectory.species]]
