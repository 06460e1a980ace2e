"""Walks whose diffusion coefficient is known, or that have none."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from e3md.analysis import Trajectory

FloatArray = NDArray[np.float64]

SPACING = 2.7  # Å between neighbors, and the length of a hop
INTERVAL = 0.1  # ps between frames


@dataclass(frozen=True)
class Kind:
    """A kind of motion."""

    draw: Callable[[np.random.Generator], FloatArray]  # (n_frames, n_atoms, 3) Å
    d: float | None  # Å²/ps; None: the motion has none, or none can be seen in a run so short
    remove_drift: bool = True


def brownian(rng: np.random.Generator, n_frames: int, n_atoms: int, d: float = 0.5) -> FloatArray:
    return rng.normal(0.0, np.sqrt(2 * d * INTERVAL), (n_frames, n_atoms, 3)).cumsum(axis=0)


def together(rng: np.random.Generator, n_frames: int, n_atoms: int, size: int) -> FloatArray:
    """Brownian motion of groups of `size` atoms, each as one."""
    return np.repeat(brownian(rng, n_frames, n_atoms // size), size, axis=1)


def drifting(rng: np.random.Generator, n_frames: int, n_atoms: int) -> FloatArray:
    """Brownian motion in a stream of 1 Å/ps."""
    stream = np.arange(n_frames)[:, None, None] * INTERVAL * np.array([0.6, 0.0, 0.8])
    return brownian(rng, n_frames, n_atoms) + stream


def caged(
    rng: np.random.Generator, n_frames: int, n_atoms: int, relaxation: float, width: float
) -> FloatArray:
    """Overdamped motion in a harmonic well; relaxation in ps, width in Å and direction."""
    kept = np.exp(-INTERVAL / relaxation)
    positions = rng.normal(0.0, width, (n_frames, n_atoms, 3))
    for frame in range(1, n_frames):
        positions[frame] *= np.sqrt(1 - kept**2)
        positions[frame] += kept * positions[frame - 1]
    return positions


def langevin(
    rng: np.random.Generator, n_frames: int, n_atoms: int, persistence: float, d: float = 0.5
) -> FloatArray:
    """Ballistic below the persistence time (ps), diffusive above; by steps of a quarter frame."""
    step, kept = INTERVAL / 4, np.exp(-INTERVAL / 4 / persistence)
    velocity = caged(rng, 4 * n_frames, n_atoms, 1.0, np.sqrt(d / persistence))[:1]
    kicks = rng.normal(0.0, np.sqrt((1 - kept**2) * d / persistence), (4 * n_frames, n_atoms, 3))
    velocities = np.empty_like(kicks)
    for number, kick in enumerate(kicks):
        velocity = kept * velocity + kick
        velocities[number] = velocity[0]
    return (velocities * step).cumsum(axis=0)[::4]


def hopping(
    rng: np.random.Generator, n_frames: int, n_atoms: int, rate: float, width: float
) -> FloatArray:
    """Hops along the axes, `rate` per ps, on top of vibrations; D is rate·SPACING²/6."""
    hops = rng.random((n_frames, n_atoms)) < rate * INTERVAL
    steps = np.zeros((n_frames, n_atoms, 3))
    length = SPACING * hops * rng.choice([-1.0, 1.0], hops.shape)
    np.put_along_axis(steps, rng.integers(0, 3, hops.shape)[:, :, None], length[:, :, None], 2)
    return steps.cumsum(axis=0) + caged(rng, n_frames, n_atoms, 0.3, width)


def _hop(rate: float, width: float) -> Kind:
    return Kind(lambda rng: hopping(rng, 1000, 30, rate, width), rate * SPACING**2 / 6)


KINDS = {
    "Brownian, 30 atoms": Kind(lambda rng: brownian(rng, 1000, 30), 0.5),
    "Brownian, 5 atoms": Kind(lambda rng: brownian(rng, 1000, 5), 0.5),
    "Brownian, 1 atom": Kind(lambda rng: brownian(rng, 1000, 1), 0.5, remove_drift=False),
    "Brownian, groups of 5": Kind(lambda rng: together(rng, 1000, 30, 5), 0.5),
    "short, 50 frames": Kind(lambda rng: brownian(rng, 50, 30), 0.5),
    "drifting, 30 atoms": Kind(lambda rng: drifting(rng, 500, 30), 0.5),
    "drifting, 8 atoms": Kind(lambda rng: drifting(rng, 500, 8), 0.5),
    "Langevin, 0.3 of 100 ps": Kind(lambda rng: langevin(rng, 1000, 30, 0.3), 0.5),
    "Langevin, 1 of 40 ps": Kind(lambda rng: langevin(rng, 400, 30, 1.0), 0.5),
    "Langevin, 5 of 10 ps": Kind(lambda rng: langevin(rng, 100, 30, 5.0), None),
    "hops, 10 per atom": _hop(0.1, 0.1),
    "hops, 3 per atom": _hop(0.03, 0.01),
    "hops, 1 per atom": _hop(0.01, 0.01),
    "hops, 0.1 per atom": _hop(0.001, 0.01),
    "hops, 1 per atom, vibrating": _hop(0.01, 0.3),
    "caged, 0.5 ps": Kind(lambda rng: caged(rng, 1000, 30, 0.5, 0.4), None),
    "caged, 10 of 100 ps": Kind(lambda rng: caged(rng, 1000, 30, 10.0, 0.6), None),
}


def trajectory(path: FloatArray) -> Trajectory:
    """The walk as a run of lithium in a periodic cell of the density of a solid."""
    n_frames, n_atoms, _ = path.shape
    cells = np.broadcast_to(np.eye(3) * SPACING * n_atoms ** (1 / 3), (n_frames, 3, 3)).copy()
    time = np.arange(n_frames) * INTERVAL
    return Trajectory(("Li",) * n_atoms, path, cells, (True, True, True), time)
