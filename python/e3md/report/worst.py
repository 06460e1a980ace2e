"""The frames with the largest errors of a force: a table, and a scene for the viewer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from e3md.accuracy.errors import Compared
from e3md.data.read import Frame
from e3md.quantities import ENERGY, FORCES
from e3md.report.content import Section, Table
from e3md.report.evaluated import Evaluated
from e3md.report.scene import Scene, scene_json

MOST = 12  # frames
MOST_ATOMS = 20_000  # of all frames in the viewer


class Worst(NamedTuple):
    """One frame and where it is wrong."""

    name: str  # of the set
    frame: Frame
    compared: Compared
    errors: NDArray[np.float64]  # (n_atoms, 3) eV/Å, predicted minus reference; NaN without a label
    atom: int  # whose error is the largest

    @property
    def rmse(self) -> float:
        """eV/Å, over the components that are labelled."""
        return float(np.sqrt(np.nanmean(self.errors**2)))

    @property
    def largest(self) -> float:
        """eV/Å, norm of the error on `atom`."""
        return float(np.linalg.norm(self.errors[self.atom]))

    @property
    def energy_error(self) -> float:
        """eV per atom; NaN without a label."""
        predicted, reference = self.compared.energy
        return (predicted - reference) / len(self.compared.symbols)


def worst_frames(sets: Sequence[Evaluated]) -> list[Worst]:
    """Of all sets together, the worst first; frames without forces have no place."""
    found = []
    for one in sets:
        for frame, compared in zip(one.frames, one.compared, strict=True):
            errors = compared.forces[0] - compared.forces[1]
            norms = np.linalg.norm(errors, axis=1)
            if np.isfinite(norms).any():
                found.append(Worst(one.name, frame, compared, errors, int(np.nanargmax(norms))))
    return sorted(found, key=lambda worst: worst.largest, reverse=True)[:MOST]


def worst_section(sets: Sequence[Evaluated], has_viewer: bool) -> Section:
    """has_viewer: the page can show structures."""
    worst = worst_frames(sets)
    title = "Worst frames"
    if not worst:
        return Section("worst", title, ["No forces are labelled: there is nothing to rank."])
    text = [
        "Ranked by the largest error of the force on one atom. Look here for labels that are wrong, "
        "kinds of structures that are rare in the training set, and atoms that came too close."
    ]
    header = (
        "frame", "set", "composition", f"largest {FORCES.title('error')}", "on atom",
        f"its reference force, {FORCES.unit}", FORCES.title("RMSE"), ENERGY.title("error"),
    )  # fmt: skip
    table = Table("Frames with the largest errors", header, [_row(one) for one in worst])
    shown = _fitting(worst)
    if not has_viewer:
        text.append(
            "To look at them in three dimensions, `pip install chemiscope` beside e3md and build "
            "this page again: it will hold the viewer."
        )
        return Section("worst", title, text, [table])
    if not shown:
        return Section("worst", title, [*text, "They are too large for the viewer."], [table])
    return Section("worst", title, text, [table], scene=scene_json([_scene(w) for w in shown]))


def _row(worst: Worst) -> tuple[str, ...]:
    reference = np.linalg.norm(worst.compared.forces[1][worst.atom])
    energy = 1e3 * worst.energy_error
    return (
        worst.frame.label, worst.name, worst.frame.atoms.get_chemical_formula(),
        f"{1e3 * worst.largest:.1f}", f"{worst.atom} {worst.compared.symbols[worst.atom]}",
        f"{reference:.3f}", f"{1e3 * worst.rmse:.1f}",
        f"{energy:+.2f}" if np.isfinite(energy) else "–",
    )  # fmt: skip


def _fitting(worst: Sequence[Worst]) -> list[Worst]:
    total = np.cumsum([len(one.compared.symbols) for one in worst])
    return [one for one, atoms in zip(worst, total, strict=True) if atoms <= MOST_ATOMS]


def _scene(worst: Worst) -> Scene:
    return Scene(
        worst.frame.label,
        worst.frame.atoms,
        np.nan_to_num(worst.errors),
        np.nan_to_num(worst.compared.forces[1]),
        1e3 * worst.largest,
        1e3 * worst.rmse,
    )
