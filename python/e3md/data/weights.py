"""Weights that files give to frames and atoms."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from e3md.data.entries import Entries
from e3md.data.problems import DataError, brief

# MACE's, and GPUMD's for a whole frame
_OF_FRAMES = {
    "config_weight": ("energy", "forces", "stress"),
    "weight": ("energy", "forces", "stress"),
    "config_energy_weight": ("energy",),
    "energy_weight": ("energy",),
    "config_forces_weight": ("forces",),
    "config_force_weight": ("forces",),
    "force_weight": ("forces",),
    "forces_weight": ("forces",),
    "config_stress_weight": ("stress",),
    "stress_weight": ("stress",),
    "config_virials_weight": ("stress",),
    "config_virial_weight": ("stress",),
    "virial_weight": ("stress",),
    "virials_weight": ("stress",),
}
_MASK = "force_mask"  # gap_fit's: T leaves an atom out
FRAME_WEIGHTS, ATOM_WEIGHTS = set(_OF_FRAMES), {_MASK}


class FrameWeights(NamedTuple):
    """Factors of a frame's terms in the loss; 0: no label."""

    energy: float = 1.0
    forces: float = 1.0
    stress: float = 1.0


def read_weights(entries: Entries) -> FrameWeights:
    """The product of all weights for a label; those of a virial are of the stress.

    Raises:
        DataError: for a weight that is no number, or negative.
    """
    factors = {"energy": 1.0, "forces": 1.0, "stress": 1.0}
    for name, value in _given(entries.line).items():
        try:
            weight = float(value)
        except (TypeError, ValueError):
            weight = np.nan
        if isinstance(value, bool) or not (np.isfinite(weight) and weight >= 0):
            raise DataError(f"{name} must be a number of at least 0, not {brief(value)}")
        for kind in _OF_FRAMES[name.lower()]:
            factors[kind] *= weight
    return FrameWeights(**factors)


def _given(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name.lower() in _OF_FRAMES}


def masked_atoms(entries: Entries) -> NDArray[np.bool_] | None:
    """(n_atoms,) whose forces are no labels, None without a column that says so.

    Raises:
        DataError: for a column that does not hold one T or F per atom.
    """
    name = next((name for name in entries.columns if name.lower() == _MASK), None)
    if name is None:
        return None
    mask = np.asarray(entries.columns[name])
    if mask.shape != (entries.n_atoms,) or mask.dtype.kind not in "bi":
        raise DataError(f"{name} must be a column of T and F")
    return mask.astype(bool)


def say_weights(frames: Sequence[Entries], remarks: list[str]) -> None:
    """Which weights are there, and what is done with them."""
    values: dict[str, list[float]] = {}
    masked = 0
    for entries in frames:
        for name, value in _given(entries.line).items():
            values.setdefault(name, []).append(float(value))
        mask = masked_atoms(entries)
        masked += 0 if mask is None else int(mask.sum())
    for name, found in values.items():
        zeros = found.count(0.0)
        if set(found) == {1.0} and len(found) == len(frames):
            continue
        none = f"; 0 in {zeros} frames: no label" if zeros else ""
        remarks.append(
            f"{name}: {min(found):g} to {max(found):g} multiplies what a frame counts in the loss "
            f"({len(found)} of {len(frames)} frames){none}"
        )
    if masked:
        remarks.append(f"{_MASK}: the forces of {masked} atoms marked T are no labels (as gap_fit)")
