"""Frames that can be trained on but are probably a mistake, and labels that cannot be right."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from e3md.data.geometry import closest_pair, has_neighbors, may_feel_force
from e3md.data.magnitudes import unlikely_stress, unlikely_units
from e3md.data.problems import DataError, shorten, some
from e3md.data.read import Frame
from e3md.data.repeats import repeated_structures
from e3md.data.slopes import mismatched_forces

ABSURD_FORCE = 300.0  # eV/Å: no relaxed electronic structure of ordinary matter has it
ABSURD_STRESS = 1.0  # eV/Å³ = 160 GPa, for stress that forces do not explain
_STIFF = 20.0  # times the density of force · distance: stress that forces do explain
_COLD = (0.1, 30.0)  # eV/Å: forces that say nothing of stress; eV/Å³: absurd stress then
ABSURD_SHIFT = 30.0  # eV per atom between crystals and isolated atoms; bonds have less than 10
ABSURD_SPREAD = 30.0  # eV per atom between frames of one composition
_NET_FORCE = 0.1  # of the RMS force, per atom
_GPA = 160.21766  # per eV/Å³


def odd_frames(frames: Sequence[Frame]) -> list[str]:
    """One line each; frames of one kind of fault are named together."""
    checks: tuple[Callable[[Sequence[Frame]], list[str]], ...] = (
        _mixed_periodicity, _close_atoms, _zero_forces, _net_forces, _stress_magnitude,
        _zero_stress, _repeated_energies, repeated_structures,
    )  # fmt: skip
    slopes = mismatched_forces(frames)
    units = [] if slopes else unlikely_units(frames)  # slopes tell which of the two it is
    if not units:  # which would show in each of these again
        checks = (*checks, _absurd_forces, _scattered_energies, _far_from_atoms)
    return [*units, *slopes, *(line for check in checks for line in check(frames))]


def check_energies(frames: Sequence[Frame]) -> None:
    """Refuse energies that are one number for unlike frames, which no model can learn.

    Raises:
        DataError: if that is so for all frames that have forces.
    """
    known = [f for f in frames if np.isfinite(f.energy) and _largest_force(f) > 0]
    if len(_unlike(known)) < 3 or len({f.energy for f in known}) > 1:
        return
    raise DataError(
        f"all {len(known)} frames have the energy {known[0].energy:g} eV, though they and their "
        "forces differ: it was not computed, or not read (ASE gives 0 to a LAMMPS dump). Name the "
        "right key in data.keys.energy, or train on forces alone: training.loss.energy: 0"
    )


def _mixed_periodicity(frames: Sequence[Frame]) -> list[str]:
    kinds: dict[str, list[Frame]] = {}
    for frame in frames:
        if not frame.isolated:
            kinds.setdefault("".join("FT"[int(p)] for p in frame.atoms.pbc), []).append(frame)
    if len(kinds) < 2:
        return []
    found = ", ".join(f"{k} ({len(own)}, first {own[0].label})" for k, own in kinds.items())
    return [f"frames of different periodicity are mixed: {found}"]


def _close_atoms(frames: Sequence[Frame]) -> list[str]:
    found = [(frame, pair) for frame in frames if (pair := closest_pair(frame.atoms))]
    if not found:
        return []
    frame, (i, j, distance, half) = min(found, key=lambda one: one[1][2] / one[1][3])
    names = f"{frame.atoms.symbols[i]} {i} and {frame.atoms.symbols[j]} {j}"
    return [
        f"{frame.label}: atoms {names} are {distance:.3g} Å apart, less than half the sum "
        f"of their covalent radii ({2 * half:.2f} Å){_others([f.label for f, _ in found])}"
    ]


def _absurd_forces(frames: Sequence[Frame]) -> list[str]:
    found = [frame for frame in frames if _largest_force(frame) > ABSURD_FORCE]
    if not found:
        return []
    worst = max(found, key=_largest_force)
    largest = np.nan_to_num(np.abs(worst.forces)).max(axis=1)
    atom = int(largest.argmax())
    return [
        f"{worst.label}: atom {atom} has a force of {largest[atom]:.0f} eV/Å"
        f"{_others([frame.label for frame in found])}"
    ]


def _others(labels: Sequence[str]) -> str:
    """Of how many frames the one named is the worst; empty if it is alone."""
    return f"; the furthest of {len(labels)} frames: {some(labels)}" if len(labels) > 1 else ""


def _zero_forces(frames: Sequence[Frame]) -> list[str]:
    """Exactly zero where the neighbors are not symmetric: what codes print for frozen atoms."""
    whole, partial = [], []
    for frame in frames:
        zero = (frame.forces == 0).all(axis=1)
        if frame.isolated or not zero.any():
            continue
        wrong = np.flatnonzero(zero & may_feel_force(frame.atoms))
        if len(wrong) and zero.all():
            whole.append(frame.label)
        elif len(wrong):
            partial.append(f"{frame.label} (atoms {some([str(k) for k in wrong])})")
    lines = []
    if whole:
        lines.append(
            f"forces are exactly zero on all atoms, which no symmetry asks for, in {len(whole)} "
            f"frames: {some(whole)}. Codes print that where forces were not computed"
        )
    if partial:
        lines.append(
            f"forces are exactly zero on some atoms, which no symmetry asks for, in {len(partial)} "
            f"frames: {some(partial)}. Codes print that for frozen atoms: leave those out with a "
            "column force_mask:L:1 that is T for them"
        )
    return lines


def _net_forces(frames: Sequence[Frame]) -> list[str]:
    found = []
    for frame in frames:
        if len(frame.atoms) < 2 or not np.isfinite(frame.forces).all():
            continue
        net = float(np.linalg.norm(frame.forces.sum(axis=0)))
        rms = float(np.sqrt(np.mean(frame.forces**2)))
        if net > 0.1 and net > _NET_FORCE * rms * len(frame.atoms) ** 0.5:
            found.append((net, frame.label))
    if not found:
        return []
    net, label = max(found)
    return [
        f"forces do not add up to zero in {len(found)} frames: {some([name for _, name in found])}; "
        f"furthest in {label}, {net:.3g} eV/Å. Without an external field they must: were atoms "
        "frozen, or is a part of the system missing?"
    ]


def _stress_magnitude(frames: Sequence[Frame]) -> list[str]:
    return _absurd_stress(frames) or unlikely_stress(frames)


def _absurd_stress(frames: Sequence[Frame]) -> list[str]:
    large = [
        (float(np.abs(f.stress).max()), f.label)
        for f in frames
        if f.stress is not None and np.abs(f.stress).max() > _stress_limit(f)
    ]
    if not large:
        return []
    value, label = max(large)
    return [
        f"stress of {len(large)} frames is larger than their forces can explain: "
        f"{some([name for _, name in large])}; largest in {label}, {value:.4g} eV/Å³ = "
        f"{_GPA * value:.4g} GPa. kbar (divide by 1602.18, by -1602.18 if VASP's), GPa (160.218), "
        "bar (1602177), or a virial in eV (data.keys.virial)?"
    ]


def _stress_limit(frame: Frame) -> float:
    """eV/Å³: some times atoms per volume · RMS force · mean distance of neighbors."""
    force = float(np.sqrt(np.nanmean(frame.forces**2))) if _largest_force(frame) else 0.0
    if force < _COLD[0]:
        return _COLD[1]
    density = len(frame.atoms) / frame.atoms.get_volume()
    return max(ABSURD_STRESS, _STIFF * density ** (2 / 3) * force)


def _zero_stress(frames: Sequence[Frame]) -> list[str]:
    zero = [
        f.label
        for f in frames
        if f.stress is not None and not f.stress.any() and has_neighbors(f.atoms)
    ]
    if not zero:
        return []
    return [
        f"stress is exactly zero in {len(zero)} frames: {some(zero)}. Codes write that where it "
        "was not computed: leave the stress out of these frames, or set training.loss.stress: 0"
    ]


def _repeated_energies(frames: Sequence[Frame]) -> list[str]:
    """One energy, to the last digit, in several frames that differ and have forces."""
    groups: dict[float, list[Frame]] = defaultdict(list)
    for frame in frames:
        if np.isfinite(frame.energy) and not frame.isolated and _largest_force(frame) > 0:
            groups[frame.energy].append(frame)
    lines = []
    for energy, own in groups.items():
        unlike = _unlike(own)
        formulas = {tuple(sorted(Counter(f.atoms.numbers.tolist()).items())) for f in own}
        few = len(unlike) < max(3, 0.02 * len(frames))  # rounded energies meet by chance
        if energy == 0 or len(formulas) > 1 or not few:
            if len(unlike) < 2 and energy != 0:
                continue
            lines.append(
                f"the energy {energy:.10g} eV is that of {len(own)} unlike frames: "
                f"{some([f.label for f in own])}. Was it computed for each of them?"
            )
    return shorten(lines)


def _unlike(frames: Sequence[Frame]) -> set[str]:
    """One entry for all frames that a symmetry may turn into one another: their forces tell."""
    return {f"{len(f.atoms)} {np.sqrt(np.nansum(f.forces**2)):.3g}" for f in frames}


def _scattered_energies(frames: Sequence[Frame]) -> list[str]:
    """Beside frames of the same composition: another unit, reference or program."""
    groups: dict[tuple, list[Frame]] = defaultdict(list)
    for frame in frames:
        if np.isfinite(frame.energy) and not frame.isolated:
            numbers, counts = np.unique(frame.atoms.numbers, return_counts=True)
            per_formula = counts / np.gcd.reduce(counts)
            groups[(*numbers.tolist(), *per_formula.tolist())].append(frame)
    lines = []
    for own in groups.values():
        lines += _per_atom(own)
        energies = np.array([f.energy / len(f.atoms) for f in own])
        middle = float(np.median(energies))
        away = np.abs(energies - middle)
        far, worst = [own[k].label for k in np.flatnonzero(away > ABSURD_SPREAD)], away.argmax()
        if far:
            lines.append(
                f"{own[worst].label}: {energies[worst]:.2f} eV per atom, others of its composition "
                f"have {middle:.2f}: another unit, or an energy per atom?{_others(far)}"
            )
    return shorten(lines)


def _per_atom(frames: Sequence[Frame]) -> list[str]:
    """Frames of one composition whose energies do not grow with their size."""
    by_size: dict[int, list[float]] = defaultdict(list)
    for frame in frames:
        by_size[len(frame.atoms)].append(frame.energy)
    means = {n: float(np.mean(energies)) for n, energies in by_size.items()}
    small, large = min(means), max(means)
    if large < 1.5 * small or abs(means[large] - means[small]) > 0.1 * abs(means[small]):
        return []
    return [
        f"frames of {small} and of {large} atoms of one composition have about the same energy, "
        f"{means[small]:.4g} eV ({frames[0].label}, ...): is it an energy per atom?"
    ]


def _far_from_atoms(frames: Sequence[Frame]) -> list[str]:
    """Energies beyond those of the isolated atoms, where all elements have one."""
    e0 = {f.atoms.numbers[0]: f.energy for f in frames if f.isolated and np.isfinite(f.energy)}
    bound = [
        (f.energy - sum(e0[z] for z in f.atoms.numbers)) / len(f.atoms)
        for f in frames
        if not f.isolated and np.isfinite(f.energy) and set(f.atoms.numbers) <= set(e0)
    ]
    if not bound or abs(np.median(bound)) <= ABSURD_SHIFT:
        return []
    return [far_from_atoms(float(np.median(bound)))]


def far_from_atoms(shift: float) -> str:
    """What to say of energies that are `shift`, eV per atom, beyond those of isolated atoms."""
    return (
        f"energies are {shift:.4g} eV per atom from those of the isolated atoms, and no bond is that "
        "strong: the two are of different programs, pseudopotentials or units"
    )


def _largest_force(frame: Frame) -> float:
    return float(np.nan_to_num(np.abs(frame.forces)).max())
