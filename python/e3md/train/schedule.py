"""The learning rate over the steps of a run, in units of its largest."""

import math
from typing import Literal

Schedule = Literal["cosine", "stable", "plateau"]
FALL = 0.2  # of all steps: how long `stable` falls
SETTLED = {"cosine": 0.1, "stable": 1.0 - FALL, "plateau": 1.0}


def rate(schedule: Schedule, step: int, n_steps: int, warmup_steps: int) -> float:
    """After a linear rise, a cosine to zero, or the same until it falls as 1 - sqrt to zero.

    `stable`: Hägele et al., arXiv:2405.18392. `plateau` is lowered by what validation finds.
    """
    rise, share = min(1.0, (step + 1) / (warmup_steps + 1)), min(step / max(n_steps, 1), 1.0)
    if schedule == "cosine":
        return rise * 0.5 * (1.0 + math.cos(math.pi * share))
    if schedule == "stable" and share > 1.0 - FALL:
        return rise * (1.0 - math.sqrt(max(0.0, 1.0 - (1.0 - share) / FALL)))
    return rise


def is_settled(schedule: Schedule, step: int, n_steps: int) -> bool:
    """Whether the rate has come to depend on the number of all steps, so that it may not change."""
    return step > SETTLED[schedule] * n_steps
