"""Which entries of a file are the labels: by the configuration's keys, else by their names.

One definition holds for all frames, forces belong to the energy, and what is there twice or under
another name than ASE's is said.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from e3md.data.entries import Entries
from e3md.data.problems import DataError, some
from e3md.data.weights import ATOM_WEIGHTS, FRAME_WEIGHTS

# Names of a kind of label, in small letters, alone or with a reference before or behind.
_KINDS = {
    "energy": ("energy", "total_energy", "e_0_energy"),
    "free_energy": ("free_energy", "e_fr_energy"),
    "forces": ("forces", "force"),
    "stress": ("stress",),
    "virial": ("virial", "virials"),
}
_REFERENCES = ("ref", "reference", "dft", "qm", "vasp", "castep", "target")
_SAME_ENERGY = 1e-5  # eV per atom that energy and free_energy may differ to be one definition
_LABEL_LIKE = re.compile(r"energ|force|stress|virial|sigma|(^|_)weight|(^|_)mask$", re.IGNORECASE)
_ASE_NAMES = ("energy", "forces", "stress")
_BY_PRODUCTS = {"energies", "stresses", "local_energy"}


class DataKeys(BaseModel):
    """Names of the labels in a file; where unset, the usual ones are recognized."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    energy: str | None = Field(None, description="key in the comment line, eV")
    forces: str | None = Field(None, description="column, eV/Å")
    stress: str | None = Field(None, description="key in the comment line, eV/Å³, ASE's sign")
    virial: str | None = Field(
        None, description="key in the comment line, eV; the stress is -virial/volume"
    )


@dataclass
class Names:
    """Of the labels of one frame; None where there is none."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None


@dataclass
class _Found:
    """Names of each kind in a frame, with their references ("" without)."""

    entries: Entries
    names: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for where, kinds in (
            (self.entries.line, ("energy", "free_energy", "stress", "virial")),
            (self.entries.columns, ("forces",)),
        ):
            for name in where:
                kind, reference = _meaning(name)
                if kind in kinds:
                    self.names.setdefault(kind, []).append((reference, name))

    def pick(self, kind: str, prefer: str | None, problems: "_Problems") -> str | None:
        """The name of the label; where several hold other numbers, they go to `problems`."""
        own = self.names.get(kind, [])
        names = [name for reference, name in own if reference == prefer]
        names = sorted(names or [name for _, name in own], key=lambda n: (n not in _ASE_NAMES, n))
        if not names:
            return None
        where = self.entries.columns if kind == "forces" else self.entries.line
        for other in names[1:]:
            gap = _difference(where[names[0]], where[other])
            pair = f"{names[0]} and {other}"
            if gap > 1e-6:
                problems[pair] = max(problems.get(pair, (0.0, "")), (gap, self.entries.label))
        return names[0]

    def free_energy_of(
        self, energy: str | None, prefer: str | None, problems: "_Problems"
    ) -> str | None:
        """The free energy of the calculation that an energy is of; any if there is no energy."""
        if energy is None:
            return self.pick("free_energy", prefer, problems)
        own = self.names.get("free_energy", [])
        names = [name for reference, name in own if reference == _meaning(energy)[1]]
        return names[0] if names else None


_Problems = dict[str, tuple[float, str]]  # two names: how far apart at most, and in which frame


def _meaning(name: str) -> tuple[str, str]:
    """Kind and reference that a name says; kind "" for any other name."""
    words = name.lower()
    reference = ""
    for known in _REFERENCES:
        if words.startswith(known + "_") or words.endswith("_" + known):
            reference = known
            words = words.removeprefix(known + "_").removesuffix("_" + known)
            break
    return next((kind for kind, names in _KINDS.items() if words in names), ""), reference


def choose_names(frames: Sequence[Entries], keys: DataKeys, remarks: list[str]) -> list[Names]:
    """The labels of each frame; what is not ASE's own name, or left aside, goes to `remarks`.

    Raises:
        DataError: if two labels of one kind disagree, or frames mix energy and free energy.
    """
    found = [_Found(frame) for frame in frames]
    chosen = [Names() for _ in frames]
    reference = _given_reference(keys)
    _choose(found, chosen, "forces", keys.forces, reference)
    _choose_energy(found, chosen, keys, reference, remarks)
    if keys.stress or not keys.virial:
        _choose(found, chosen, "stress", keys.stress, reference)
    if keys.virial or not keys.stress:
        _choose(found, chosen, "virial", keys.virial, reference)
    _say_names(chosen, keys, remarks)
    _say_unused(frames, chosen, keys, remarks)
    return chosen


def _given_reference(keys: DataKeys) -> str | None:
    given = {_meaning(key)[1] for key in (keys.energy, keys.forces) if key and _meaning(key)[0]}
    return given.pop() if len(given) == 1 else None


def _choose(
    found: Sequence[_Found], chosen: Sequence[Names], kind: str, key: str | None, prefer: str | None
) -> None:
    """Sets the name of one kind in every frame."""
    problems: _Problems = {}
    for frame, names in zip(found, chosen, strict=True):
        setattr(names, kind, key or frame.pick(kind, prefer, problems))
    _raise_ambiguous(problems, kind)


def _difference(a: Any, b: Any) -> float:
    try:
        gap = np.abs(np.ravel(a).astype(float) - np.ravel(b).astype(float)).max()
    except (ValueError, TypeError):
        return np.inf
    return float(gap) if np.isfinite(gap) else np.inf


def _raise_ambiguous(problems: _Problems, kind: str) -> None:
    for pair, (gap, label) in problems.items():
        raise DataError(
            f"{label}: {pair} are both there and differ by up to {gap:.3g}: say which are the "
            f"labels with data.keys.{kind} (--{kind}-key)"
        )


def _choose_energy(
    found: Sequence[_Found],
    chosen: Sequence[Names],
    keys: DataKeys,
    prefer: str | None,
    remarks: list[str],
) -> None:
    """The free energy, whose derivative the forces are, where all frames have it."""
    if keys.energy:
        _choose(found, chosen, "energy", keys.energy, prefer)
        return
    _choose(found, chosen, "energy", None, prefer)
    problems: _Problems = {}
    free = [
        Names(energy=frame.free_energy_of(names.energy, prefer, problems))
        for frame, names in zip(found, chosen, strict=True)
    ]
    _raise_ambiguous(problems, "energy")
    gap, label = _largest_gap(found, chosen, free)
    if gap > _SAME_ENERGY or _mixed(chosen, free):
        _refuse_mixture(found, chosen, free, gap)
    if _SAME_ENERGY < gap < np.inf:
        remarks.append(
            f"energy: {some(sorted({n.energy or '' for n in free} - {''}))} is taken, to which the "
            f"forces belong; {some(sorted({n.energy or '' for n in chosen} - {''}))} is up to "
            f"{1e3 * gap:.3g} meV/atom away ({label}) and not used (data.keys.energy takes it)"
        )
    for names, other in zip(chosen, free, strict=True):
        # an isolated atom may have the one alone
        both = (other.energy, names.energy) if gap > _SAME_ENERGY else (names.energy, other.energy)
        names.energy = both[0] or both[1]


def _largest_gap(
    found: Sequence[_Found], inner: Sequence[Names], free: Sequence[Names]
) -> tuple[float, str]:
    """Between energy and free energy of the same frame, eV per atom."""
    largest = (0.0, "")
    for frame, a, b in zip(found, inner, free, strict=True):
        if a.energy and b.energy:
            line, n = frame.entries.line, max(1, frame.entries.n_atoms)
            gap = _difference(line[a.energy], line[b.energy]) / n
            largest = max(largest, (gap, frame.entries.label))
    return largest


def _mixed(inner: Sequence[Names], free: Sequence[Names]) -> bool:
    """Some frames have the one alone, others the other alone."""
    only_inner = any(a.energy and not b.energy for a, b in zip(inner, free, strict=True))
    only_free = any(b.energy and not a.energy for a, b in zip(inner, free, strict=True))
    both = any(a.energy and b.energy for a, b in zip(inner, free, strict=True))
    return only_inner and only_free and not both


def _refuse_mixture(
    found: Sequence[_Found], inner: Sequence[Names], free: Sequence[Names], gap: float
) -> None:
    lacking = [
        f.entries.label
        for f, a, b in zip(found, inner, free, strict=True)
        if a.energy and not b.energy and f.entries.n_atoms > 1
    ]
    if not lacking:
        return
    apart = f"{1e3 * gap:.3g} meV/atom apart where both are there" if gap else "never both there"
    raise DataError(
        f"{len(lacking)} of {len(found)} frames have an energy but no free_energy ({some(lacking)}), "
        f"the others a free_energy; the two are {apart}. Take one definition for all: give the "
        "free energy everywhere, or set data.keys.energy (--energy-key)"
    )


def _say_names(chosen: Sequence[Names], keys: DataKeys, remarks: list[str]) -> None:
    for kind in ("energy", "forces", "stress", "virial"):
        names = Counter(
            getattr(c, kind)
            for c in chosen
            if getattr(c, kind) and (kind != "virial" or not c.stress)
        )
        if getattr(keys, kind) or set(names) <= {*_ASE_NAMES, "free_energy"}:
            continue
        found = some([f"{name} ({n} frames)" for name, n in names.items()])
        what = "stress = -virial/volume, from" if kind == "virial" else f"{kind}: taken from"
        remarks.append(f"{what} {found}")


def _say_unused(
    frames: Sequence[Entries], chosen: Sequence[Names], keys: DataKeys, remarks: list[str]
) -> None:
    """Entries that look like labels and are none of those taken."""
    unused: Counter[str] = Counter()
    by_name = any(vars(keys).values())
    for entries, names in zip(frames, chosen, strict=True):
        taken = [name for name in vars(names).values() if name]
        compared = {_meaning(name) for name in taken}
        compared |= {("free_energy", reference) for _, reference in compared}
        kinds = {kind for kind, _ in compared} - {"free_energy"}
        used = {*taken, *(n for n in entries.line if n.lower() in FRAME_WEIGHTS)}
        used |= {n for n in entries.columns if n.lower() in ATOM_WEIGHTS}
        for name in (*entries.line, *entries.columns):
            meaning = _meaning(name)
            if name in used or name.lower() in _BY_PRODUCTS:
                continue
            if not by_name and (meaning in compared or meaning[0] in kinds | {"energy"}):
                continue  # the same number as the label taken, or said already
            if _LABEL_LIKE.search(name):
                unused[name] += 1
    if unused:
        found = some([f"{name} ({n} frames)" for name, n in unused.items()])
        remarks.append(f"not used: {found}")


def known_names(entries: Entries) -> list[str]:
    """Names that may be keys: not the numbers and words of a remark."""
    names: Iterable[str] = {*entries.line, *entries.columns}
    return sorted(name for name in names if re.fullmatch(r"[A-Za-z_][\w.\-]*", name))
