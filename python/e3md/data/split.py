"""A part of the frames held out for validation."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from e3md.data.read import DataError, Frame


def split(frames: Sequence[Frame], fraction: float, seed: int) -> tuple[list[Frame], list[Frame]]:
    """Hold a part of the frames out, chosen by seed: (train, valid), at least one frame in each.

    Every element stays in train: a frame that is the last to hold one is passed over, and the next
    in the order of the seed is taken in its place.

    Raises:
        DataError: if there are fewer than two frames, or each holds an element that no other does.
    """
    if len(frames) < 2:
        raise DataError("data.train: at least 2 frames are needed to hold one out for validation")
    n_valid = min(max(1, round(fraction * len(frames))), len(frames) - 1)
    elements = [set(frame.atoms.numbers.tolist()) for frame in frames]
    left = Counter(z for some in elements for z in some)
    held: set[int] = set()
    for k in np.random.default_rng(seed).permutation(len(frames)).tolist():
        if len(held) < n_valid and all(left[z] > 1 for z in elements[k]):
            held.add(k)
            left.subtract(elements[k])
    if not held:
        raise DataError(
            "data.train: every frame holds an element that no other frame does, so none can be "
            "held out for validation: add frames, or give data.valid"
        )
    parts: tuple[list[Frame], list[Frame]] = ([], [])
    for k, frame in enumerate(frames):
        parts[k in held].append(frame)
    return parts
