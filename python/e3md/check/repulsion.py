"""No pair of atoms may fall into each other."""

from e3md.check.pairs import SHORTEST
from e3md.check.result import Bounds, CheckResult
from e3md.check.subject import Subject

HOLE = Bounds(warn=1e-3, fail=1e-2)  # eV
WALL = Bounds(warn=5.0, fail=1.0)  # eV; thermal collisions at 1000 K reach 1 eV
ADVICE = {
    False: "Train again with `model.zbl: true`, which adds the repulsion of nuclei",
    True: "ZBL is there and not enough: train again with short distances in the data",
}


def hole(subject: Subject) -> CheckResult:
    """The energy of two atoms must not turn down toward short distances."""
    worst = max(subject.curves, key=lambda curve: curve.hole)
    figure = f"eV, largest fall of a pair's energy on the way in to {SHORTEST} Å ({worst.name})"
    return HOLE.result("hole", worst.hole, figure, _advice(subject))


def wall(subject: Subject) -> CheckResult:
    """The energy at the shortest distance must be out of reach of collisions."""
    lowest = min(subject.curves, key=lambda curve: curve.wall)
    figure = f"eV, lowest climb of a pair from its minimum to {SHORTEST} Å ({lowest.name})"
    return WALL.result("wall", lowest.wall, figure, _advice(subject))


def _advice(subject: Subject) -> str:
    return ADVICE[bool(subject.record.hyperparameters.get("zbl"))]
