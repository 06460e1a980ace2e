"""What a model learned from, or was tried on: sizes, labels and kinds of each set of frames."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ase.units import GPa, kg, m

from e3md.data.read import Frame
from e3md.data.statistics import Statistics, find_species
from e3md.model_file import DataFile
from e3md.report.content import Section, Table
from e3md.report.evaluated import kind_of

MOST_KINDS = 30  # rows of a table
G_PER_CM3 = 1e-3 * m**3 / kg  # of amu/Å³

Sets = Mapping[str, Sequence[Frame]]


def data_section(
    sets: Sets, statistics: Statistics | None = None, files: Sequence[DataFile] = ()
) -> Section:
    """Statistics of sets, none of which is empty.

    statistics: what the training set fixed in the model.
    files: that were trained on.
    """
    first = next(iter(sets.values()))
    tables = [_sets_table(sets), _elements_table(first, next(iter(sets)), statistics)]
    tables += [_kinds_table(sets)]
    if files:
        rows = [(f.file, f"{f.n_configurations:,}", f.sha256) for f in files]
        tables.append(Table("Training files", ("file", "frames", "SHA-256"), rows))
    return Section("data", "Data", tables=tables)


def _sets_table(sets: Sets) -> Table:
    rows: list[tuple[str, Callable[[Sequence[Frame]], str]]] = [
        ("frames", lambda some: f"{len(some):,}"),
        ("atoms", lambda some: f"{sum(len(f.atoms) for f in some):,}"),
        ("atoms per frame", lambda some: _range([len(f.atoms) for f in some], "{:.0f}")),
        ("periodic frames", lambda some: f"{sum(bool(f.atoms.pbc.any()) for f in some):,}"),
        ("density, g/cm³", lambda some: _range(_densities(some), "{:.3f}")),
        ("frames with energy", lambda some: f"{sum(np.isfinite(f.energy) for f in some):,}"),
        ("energy, eV/atom", lambda some: _range(_energies(some), "{:.3f}")),
        ("frames with forces", lambda some: f"{sum(_has_forces(f) for f in some):,}"),
        ("RMS force component, eV/Å", lambda some: _one(_rms(_components(some)))),
        ("largest force, eV/Å", lambda some: _one(_largest(some))),
        ("frames with stress", lambda some: f"{sum(f.stress is not None for f in some):,}"),
        ("pressure, GPa", lambda some: _range(_pressures(some), "{:.2f}")),
    ]
    found = [(name, *(show(some) for some in sets.values())) for name, show in rows]
    return Table("Sets of frames", ("", *sets), found)


def _elements_table(frames: Sequence[Frame], name: str, statistics: Statistics | None) -> Table:
    symbols = np.concatenate([f.atoms.symbols for f in frames])
    forces = np.concatenate([f.forces for f in frames])
    e0s = dict(zip(statistics.species, statistics.e0s, strict=True)) if statistics else {}
    rows = []
    for element in find_species(frames):
        holding = sum(element in f.atoms.symbols for f in frames)
        own = forces[symbols == element]
        rms = _one(_rms(own[np.isfinite(own)]))
        row = (element, f"{holding:,}", f"{len(own):,}", rms)
        rows.append((*row, f"{e0s[element]:.4f}") if e0s else row)
    header = ("element", "frames", "atoms", "RMS force component, eV/Å")
    return Table(f"Elements in {name}", (*header, "E0, eV") if e0s else header, rows)


def _kinds_table(sets: Sets) -> Table:
    counts = {name: Counter(kind_of(f) for f in some) for name, some in sets.items()}
    total = sum(counts.values(), Counter())
    kinds = [kind for kind, _ in total.most_common(MOST_KINDS)]
    rows = [(kind, *(f"{counts[name][kind]:,}" for name in sets)) for kind in kinds]
    caption = "Frames by configuration type, or composition where none is given"
    if len(total) > len(kinds):
        caption += f": the {len(kinds)} most frequent of {len(total)}"
    return Table(caption, ("type", *sets), rows)


def _range(values: Sequence[float] | np.ndarray, form: str) -> str:
    if not len(values):
        return "–"
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def _one(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _densities(frames: Sequence[Frame]) -> list[float]:
    """g/cm³, of frames periodic in all directions."""
    bulk = [f.atoms for f in frames if f.atoms.pbc.all()]
    return [atoms.get_masses().sum() / atoms.get_volume() * G_PER_CM3 for atoms in bulk]


def _energies(frames: Sequence[Frame]) -> list[float]:
    """eV per atom."""
    return [f.energy / len(f.atoms) for f in frames if np.isfinite(f.energy)]


def _pressures(frames: Sequence[Frame]) -> list[float]:
    """GPa."""
    return [-np.trace(f.stress) / 3 / GPa for f in frames if f.stress is not None]


def _has_forces(frame: Frame) -> bool:
    return bool(np.isfinite(frame.forces).any())


def _components(frames: Sequence[Frame]) -> np.ndarray:
    """(n,) eV/Å, those that are labelled."""
    forces = np.concatenate([f.forces.ravel() for f in frames])
    return forces[np.isfinite(forces)]


def _rms(values: np.ndarray) -> float | None:
    return float(np.sqrt(np.mean(values**2))) if len(values) else None


def _largest(frames: Sequence[Frame]) -> float | None:
    """eV/Å, norm of the force on an atom."""
    norms = np.concatenate([np.linalg.norm(f.forces, axis=1) for f in frames])
    return float(np.nanmax(norms)) if np.isfinite(norms).any() else None
