"""Errors of predictions against reference data."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from e3md.quantities import ENERGY, FORCES, STRESS


class ErrorPair(BaseModel):
    """Mean absolute and root mean square error."""

    mae: float
    rmse: float


class Errors(BaseModel):
    """Errors of a data set: eV per atom, eV/Å, eV/Å³; None of what has no label."""

    n_frames: int
    energy_per_atom: ErrorPair | None
    forces: ErrorPair | None
    forces_per_element: dict[str, ErrorPair]
    stress: ErrorPair | None


class Compared(NamedTuple):
    """Prediction and reference of one frame; the reference is NaN where there is no label."""

    symbols: list[str]
    energy: tuple[float, float]  # eV: predicted, reference
    forces: tuple[NDArray[np.float64], NDArray[np.float64]]  # (n_atoms, 3) eV/Å
    stress: tuple[NDArray[np.float64], NDArray[np.float64]] | None  # (3, 3) eV/Å³
    # among the members of a committee: of the energy, eV, and the forces, (n_atoms, 3) eV/Å
    deviation: tuple[float, NDArray[np.float64]] | None = None


def _pair(differences: NDArray[np.float64]) -> ErrorPair | None:
    known = differences[np.isfinite(differences)]
    if not len(known):
        return None
    return ErrorPair(mae=float(np.abs(known).mean()), rmse=float(np.sqrt(np.square(known).mean())))


def collect_errors(frames: Sequence[Compared]) -> Errors:
    """Errors over all frames.

    Raises:
        ValueError: if there are no frames.
    """
    if not frames:
        raise ValueError("no frames to compare")
    energy = np.array([(f.energy[0] - f.energy[1]) / len(f.symbols) for f in frames])
    forces = np.concatenate([f.forces[0] - f.forces[1] for f in frames])
    symbols = np.concatenate([f.symbols for f in frames])
    stress = [f.stress[0] - f.stress[1] for f in frames if f.stress is not None]
    by_element = {str(s): _pair(forces[symbols == s]) for s in np.unique(symbols)}
    return Errors(
        n_frames=len(frames),
        energy_per_atom=_pair(energy),
        forces=_pair(forces),
        forces_per_element={s: pair for s, pair in by_element.items() if pair},
        stress=_pair(np.stack(stress)) if stress else None,
    )


def error_rows(errors: Errors) -> list[tuple[str, str, str, str]]:
    """Rows of a table: quantity, unit, MAE, RMSE."""
    pairs = [
        ("energy per atom", ENERGY.milli, errors.energy_per_atom),
        ("forces", FORCES.milli, errors.forces),
        *((f"forces on {s}", FORCES.milli, pair) for s, pair in errors.forces_per_element.items()),
        ("stress", STRESS.milli, errors.stress),
    ]
    return [
        (what, unit, f"{1e3 * p.mae:.3f}", f"{1e3 * p.rmse:.3f}") for what, unit, p in pairs if p
    ]
