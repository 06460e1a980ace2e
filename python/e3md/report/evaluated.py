"""Data sets beside what a model says of them, and the kinds of frames in them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from e3md.accuracy.errors import Compared, Errors, collect_errors
from e3md.data.read import Frame

KIND = "config_type"  # what data sets call the kind of a frame


class Evaluated(NamedTuple):
    """A data set, or a part of it spread evenly, with the predictions for its frames."""

    name: str
    n_frames: int  # of the whole set
    frames: Sequence[Frame]
    compared: Sequence[Compared]

    def __str__(self) -> str:
        if len(self.frames) == self.n_frames:
            return f"{self.name}: {self.n_frames} frames"
        return f"{self.name}: {len(self.frames)} of {self.n_frames} frames, evenly spread"


def spread(n: int, limit: int) -> list[int]:
    """At most `limit` of the numbers 0 to n − 1, evenly."""
    return np.unique(np.linspace(0, n - 1, min(n, limit)).round().astype(int)).tolist()


def kind_of(frame: Frame) -> str:
    """The configuration type that the file gives, or else the composition."""
    given = frame.atoms.info.get(KIND)
    return str(given) if given is not None else frame.atoms.get_chemical_formula(empirical=True)


def errors_by_kind(evaluated: Evaluated) -> dict[str, Errors]:
    """Of each kind of frame, in the order of the kinds' names."""
    groups: dict[str, list[Compared]] = {}
    for frame, compared in zip(evaluated.frames, evaluated.compared, strict=True):
        groups.setdefault(kind_of(frame), []).append(compared)
    return {kind: collect_errors(groups[kind]) for kind in sorted(groups)}
