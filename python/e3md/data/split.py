"""A part of the frames held out for validation."""

from collections.abc import Sequence

import numpy as np

from e3md.data.read import DataError, Frame


def split(frames: Sequence[Frame], fraction: float, seed: int) -> tuple[list[Frame], list[Frame]]:
    """Hold a part of the frames out, chosen by seed: (train, valid), at least one frame in each.

    Raises:
        DataError: if there are fewer than two frames.
    """
    if len(frames) < 2:
        raise DataError("data.train: at least 2 frames are needed to hold one out for validation")
    n_valid = min(max(1, round(fraction * len(frames))), len(frames) - 1)
    held = set(np.random.default_rng(seed).permutation(len(frames))[:n_valid].tolist())
    parts: tuple[list[Frame], list[Frame]] = ([], [])
    for k, frame in enumerate(frames):
        parts[k in held].append(frame)
    return parts
