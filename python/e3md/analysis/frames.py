"""Frames as they stand in files."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from e3md.analysis.periodic import FloatArray


@dataclass(frozen=True)
class Frame:
    """One frame of a file, its atoms in the order of their IDs."""

    label: str  # how messages name it
    step: float | None  # what counts the frames of a run: time step or time; None: nothing does
    unit: str  # of `step`: "step" or "ps"
    time: float | None  # ps; None: unknown
    cell: FloatArray  # (3, 3) Å
    pbc: tuple[bool, bool, bool]
    ids: NDArray[np.int64]  # (n_atoms,) increasing
    symbols: tuple[str, ...]  # (n_atoms,)
    positions: FloatArray  # (n_atoms, 3) Å
    unwrapped: bool  # False: positions are any image

    @property
    def when(self) -> str:
        """The step or time, as messages say it."""
        return f"step {self.step:.0f}" if self.unit == "step" else f"{self.step:g} ps"
