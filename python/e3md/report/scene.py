"""Structures with errors of forces, as chemiscope reads them, and where its script lies."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from e3md.quantities import FORCES

SCRIPT = Path("sphinx") / "static" / "chemiscope.min.js"  # in chemiscope's package
LONGEST = 2.5  # Å, of the arrows


class Scene(NamedTuple):
    """One structure."""

    label: str
    atoms: Atoms
    errors: NDArray[np.float64]  # (n_atoms, 3) eV/Å, 0 where there is no label
    reference: NDArray[np.float64]  # (n_atoms, 3) eV/Å, likewise
    largest: float  # meV/Å, error of the force on one atom
    rmse: float  # meV/Å


def viewer_script() -> str | None:
    """The script of chemiscope's visualizer, if that is installed; its Python is not imported.

    (Python's part of it is for notebooks, and starts much that a page needs nothing of.)
    """
    spec = find_spec("chemiscope")
    path = Path(spec.origin).parent / SCRIPT if spec and spec.origin else None
    if not path or not path.is_file():
        return None
    return path.read_text(encoding="utf-8").replace("</script", r"<\/script")


def scene_json(scenes: Sequence[Scene]) -> str:
    """chemiscope's input: structures, properties of frames and atoms, arrows of the errors."""
    errors = np.concatenate([scene.errors for scene in scenes])
    reference = np.concatenate([scene.reference for scene in scenes])
    data = {
        "meta": {"name": "Worst frames", "description": "arrows: predicted minus reference force"},
        "structures": [_structure(scene.atoms) for scene in scenes],
        "environments": [
            {"structure": k, "center": center, "cutoff": 4.0}
            for k, scene in enumerate(scenes)
            for center in range(len(scene.atoms))
        ],
        "properties": {
            "rank": _property("structure", np.arange(1, 1 + len(scenes))),
            "frame": {"target": "structure", "values": [scene.label for scene in scenes]},
            "largest force error": _property(
                "structure", [s.largest for s in scenes], FORCES.milli
            ),
            "force RMSE": _property("structure", [s.rmse for s in scenes], FORCES.milli),
            "force error": _property("atom", 1e3 * np.linalg.norm(errors, axis=1), FORCES.milli),
            "reference force": _property("atom", np.linalg.norm(reference, axis=1), FORCES.unit),
            "element": {"target": "atom", "values": [s for c in scenes for s in c.atoms.symbols]},
        },
        "shapes": {
            "force error": _arrows(errors, "#d1495b"),
            "reference force": _arrows(reference, "#3a7ca5"),
        },
        "settings": _settings(),
    }
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")


def _structure(atoms: Atoms) -> dict[str, Any]:
    x, y, z = atoms.positions.T.round(4).tolist()
    found = {"size": len(atoms), "names": list(atoms.symbols), "x": x, "y": y, "z": z}
    return found | ({"cell": atoms.cell.array.ravel().tolist()} if atoms.cell.rank == 3 else {})


def _property(target: str, values: Any, units: str = "") -> dict[str, Any]:
    found = {"target": target, "values": np.round(values, 4).tolist()}
    return found | ({"units": units} if units else {})


def _arrows(vectors: NDArray[np.float64], color: str) -> dict[str, Any]:
    """The longest of all has a length that one can see."""
    scale = LONGEST / max(float(np.linalg.norm(vectors, axis=1).max()), 1e-9)
    size = {"baseRadius": 0.08, "headRadius": 0.18, "headLength": 0.3, "color": color}
    arrows = [{"vector": vector} for vector in (scale * vectors).round(4).tolist()]
    return {"kind": "arrow", "parameters": {"global": size, "atom": arrows}}


def _settings() -> dict[str, Any]:
    return {
        "target": "structure",
        "map": {
            "x": {"property": "rank"},
            "y": {"property": "largest force error"},
            "color": {"property": "force RMSE"},
        },
        "structure": [
            {"shape": "force error", "unitCell": True, "color": {"property": "force error"}}
        ],
    }
