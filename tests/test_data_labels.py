"""What a frame means: which entries are its labels, their weights, and labels that cannot be right."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from e3md.data.oddities import check_energies, odd_frames
from e3md.data.problems import DataError
from e3md.data.read import DataKeys, Frame, read_frames
from e3md.data.statistics import collect_statistics, reference_energies
from e3md.data.weights import FrameWeights
from training_data import labelled_frames

Read = Callable[..., tuple[list[Frame], list[str]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes frames whose entries are info, arrays and results, reads them: frames and remarks."""

    def write_and_read(frames: Sequence[Atoms], **keys: str) -> tuple[list[Frame], list[str]]:
        ase.io.write(tmp_path / "data.xyz", list(frames), format="extxyz")
        remarks: list[str] = []
        return read_frames([tmp_path / "data.xyz"], DataKeys(**keys), remarks), remarks

    return write_and_read


def bare(n: int = 4) -> list[tuple[Atoms, dict[str, Any]]]:
    """Frames without labels, and their labels."""
    found = []
    for atoms in labelled_frames(n):
        labels = dict(atoms.calc.results)
        atoms.calc = None
        found.append((atoms, labels))
    return found


def named(energy: str, forces: str, n: int = 4) -> list[Atoms]:
    frames = []
    for atoms, labels in bare(n):
        atoms.info[energy], atoms.arrays[forces] = labels["energy"], labels["forces"]
        frames.append(atoms)
    return frames


@pytest.mark.parametrize(
    ("energy", "forces"),
    [("REF_energy", "REF_forces"), ("dft_energy", "dft_force"), ("Energy", "force"),
     ("energy_dft", "forces_dft"), ("total_energy", "Forces"), ("vasp_free_energy", "vasp_forces"),
     ("dft_energy", "force")],
)  # fmt: skip
def test_usual_names_are_taken_and_said(read: Read, energy: str, forces: str) -> None:
    frames, remarks = read(named(energy, forces))
    for frame, (_, labels) in zip(frames, bare(), strict=True):
        assert frame.energy == pytest.approx(labels["energy"])
        np.testing.assert_allclose(frame.forces, labels["forces"], atol=1e-7)
    text = "\n".join(remarks)
    if energy != "vasp_free_energy":
        assert f"energy: taken from {energy} (4 frames)" in text
    assert f"forces: taken from {forces} (4 frames)" in text


@pytest.mark.parametrize("what", ["energy", "forces"])
def test_two_labels_that_disagree_must_be_told_apart(read: Read, what: str) -> None:
    frames = []
    for atoms, labels in bare():
        atoms.info["energy"] = atoms.info["REF_energy"] = labels["energy"]
        atoms.arrays["forces"] = atoms.arrays["REF_forces"] = labels["forces"]
        frames.append(atoms)
    assert read(frames)[0][0].energy == pytest.approx(frames[0].info["energy"])  # the same: either
    if what == "energy":
        frames[2].info["REF_energy"] += 3.0
    else:
        frames[2].arrays["REF_forces"] = frames[2].arrays["REF_forces"] + 3.0
    with pytest.raises(DataError, match=rf"frame 2: {what} and REF_{what} are both .* up to 3: .*"):
        read(frames)
    chosen, _ = read(frames, energy="REF_energy", forces="REF_forces")
    assert chosen[2].energy == pytest.approx(frames[2].info["REF_energy"])
    # one key says which reference is meant
    chosen, _ = read(frames, **{what: f"REF_{what}"})
    np.testing.assert_allclose(chosen[2].forces, frames[2].arrays["REF_forces"], atol=1e-7)


def test_two_spellings_of_one_label_are_compared(read: Read) -> None:
    frames = named("energy", "forces")
    for atoms in frames:
        atoms.info["total_energy"] = atoms.info["energy"] + 0.25
    with pytest.raises(DataError, match=r"energy and total_energy are both there .* up to 0\.25"):
        read(frames)
    assert len(read(frames, energy="total_energy")[0]) == 4


def with_free_energy(which: Sequence[bool], gap: float = 0.08) -> list[Atoms]:
    frames = []
    for (atoms, labels), free in zip(bare(len(which)), which, strict=True):
        extra = {"free_energy": labels["energy"] - gap} if free else {}
        atoms.calc = SinglePointCalculator(atoms, **labels, **extra)
        frames.append(atoms)
    return frames


def test_the_free_energy_belongs_to_the_forces(read: Read) -> None:
    given = with_free_energy([True] * 4)
    frames, remarks = read(given)
    for frame, atoms in zip(frames, given, strict=True):
        assert frame.energy == pytest.approx(atoms.calc.results["free_energy"])
    assert any("free_energy is taken" in r and "10 meV/atom away" in r for r in remarks)
    frames, remarks = read(given, energy="energy")
    assert frames[0].energy == pytest.approx(given[0].calc.results["energy"])
    assert remarks == ["not used: free_energy (4 frames)"]


def test_a_free_energy_of_another_calculation_is_left_aside(read: Read) -> None:
    frames = named("REF_energy", "REF_forces")
    for atoms in frames:
        atoms.info["free_energy"] = -100.0
    found, remarks = read(frames)
    assert found[0].energy == pytest.approx(frames[0].info["REF_energy"])
    assert "not used: free_energy (4 frames)" in remarks


def test_frames_that_mix_energy_and_free_energy_are_refused(read: Read) -> None:
    given = with_free_energy([True, True, False, True])
    with pytest.raises(DataError, match=r"1 of 4 frames .*data\.xyz frame 2.* 10 meV/atom apart"):
        read(given)
    assert len(read(given, energy="energy")[0]) == 4
    for atoms in given[:2]:
        del atoms.calc.results["energy"]
    del given[3].calc.results["energy"]
    with pytest.raises(DataError, match="never both there"):
        read(given)


def test_equal_energies_may_be_mixed(read: Read) -> None:
    """Without smearing the two are one number."""
    frames, remarks = read(with_free_energy([True, False, True, False], gap=0.0))
    assert len(frames) == 4
    assert remarks == []


def test_a_virial_is_a_stress(read: Read) -> None:
    frames = []
    for atoms, labels in bare():
        atoms.info["virial"] = -labels["stress"][[0, 5, 4, 5, 1, 3, 4, 3, 2]] * atoms.get_volume()
        atoms.info["virial"] = atoms.info["virial"].reshape(3, 3)
        atoms.calc = SinglePointCalculator(atoms, energy=labels["energy"], forces=labels["forces"])
        frames.append(atoms)
    found, remarks = read(frames)
    for frame, (_, labels) in zip(found, bare(), strict=True):
        np.testing.assert_allclose(
            frame.stress.ravel()[[0, 4, 8, 5, 2, 1]], labels["stress"], atol=1e-9
        )
    assert any("stress = -virial/volume, from virial (4 frames)" in r for r in remarks)
    with pytest.raises(DataError, match=r"virial is a virial: name it in data\.keys\.virial"):
        read(frames, stress="virial")
    np.testing.assert_array_equal(read(frames, virial="virial")[0][1].stress, found[1].stress)


@pytest.mark.parametrize(("factor", "words"), [(-1.0, "of the other sign"), (3.0, "disagree")])
def test_stress_and_virial_are_compared(read: Read, factor: float, words: str) -> None:
    frames = labelled_frames(2)
    for atoms in frames:
        stress = atoms.get_stress(voigt=False)
        atoms.info["virial"] = -stress * atoms.get_volume()
    assert len(read(frames)[0]) == 2
    frames[1].info["virial"] = factor * frames[1].info["virial"]
    with pytest.raises(DataError, match=f"frame 1: stress and virial disagree.*{words}|{words}"):
        read(frames)
    assert read(frames, stress="stress")[0][1].stress is not None


def test_weights_are_read_and_said(read: Read) -> None:
    frames = labelled_frames(4)
    for atoms, weight in zip(frames, (2.0, 0.5, 1.0, 0.0), strict=True):
        atoms.info["config_weight"] = weight
    frames[0].info["config_energy_weight"] = 0.0
    frames[1].info["config_forces_weight"] = 3.0
    frames[2].info["config_stress_weight"] = 0.25
    frames[0].calc.results["energy"] = 1e5  # no label
    found, remarks = read(frames)
    assert found[0].weights == FrameWeights(0.0, 2.0, 2.0)
    assert np.isnan(found[0].energy)
    assert found[1].weights == FrameWeights(0.5, 1.5, 0.5)
    assert found[2].weights == FrameWeights(1.0, 1.0, 0.25)
    assert len(found) == 3
    assert any("left out, as all labels have weight 0: data.xyz frame 3" in r for r in remarks)
    assert any(r.startswith("config_weight: 0 to 2") and "0 in 1 frames" in r for r in remarks)


def test_labels_of_weight_zero_define_nothing(read: Read) -> None:
    """Neither E0s nor shift nor RMS force, in whatever number stands in their place."""
    frames = labelled_frames(6)
    for atoms in frames[:2]:
        atoms.info["config_energy_weight"] = 0.0
        atoms.calc.results["energy"] = 1e6
    frames[3].info["config_forces_weight"] = 0.0
    frames[3].calc.results["forces"] = np.full((8, 3), 1e6)
    found, _ = read(frames)
    reference = reference_energies(found, [])
    statistics = collect_statistics(found, reference, [100] * 6)
    assert reference.e0s == reference_energies(found[2:], []).e0s
    assert max(abs(e) for e in reference.e0s) < 1
    assert abs(statistics.shift) < 1
    assert statistics.scale < 1
    assert not [line for line in odd_frames(found) if "frame 3" in line or "frame 0" in line]


@pytest.mark.parametrize("value", [-1.0, "high", np.nan, True])
def test_weights_that_are_none(read: Read, value: Any) -> None:
    frames = labelled_frames(2)
    frames[1].info["config_weight"] = value
    with pytest.raises(DataError, match="frame 1: config_weight must be a number of at least 0"):
        read(frames)


def test_a_frame_of_weight_zero_needs_no_label(read: Read) -> None:
    (atoms, labels), *others = bare(3)
    atoms.calc = SinglePointCalculator(atoms, energy=labels["energy"])
    atoms.info["config_forces_weight"] = 0.0
    frames = [atoms]
    for other, own in others:
        other.calc = SinglePointCalculator(other, **own)
        frames.append(other)
    found, _ = read(frames)
    assert np.isnan(found[0].forces).all()
    assert found[0].energy == pytest.approx(labels["energy"])


def test_masked_forces_are_no_labels(read: Read) -> None:
    frames = labelled_frames(2)
    mask = np.zeros(8, dtype=bool)
    mask[[1, 5]] = True
    frames[0].arrays["force_mask"] = mask
    found, remarks = read(frames)
    assert np.isnan(found[0].forces[mask]).all()
    assert np.isfinite(found[0].forces[~mask]).all()
    assert any("2 atoms marked T" in r for r in remarks)


def test_what_looks_like_a_label_and_is_not_used_is_named(read: Read) -> None:
    frames = labelled_frames(2)
    for atoms in frames:
        atoms.info |= {"energy_sigma": 0.1, "gap_energy": 1.0, "temperature": 300.0}
        atoms.info["charge"] = 0
    frames[1].info["charge"] = 1
    _, remarks = read(frames)
    (unused,) = [r for r in remarks if r.startswith("not used")]
    assert "energy_sigma (2 frames)" in unused
    assert "gap_energy (2 frames)" in unused
    assert "temperature" not in unused
    assert any("frames differ in charge (0, 1)" in r for r in remarks)


def test_stress_of_exact_zeros_is_no_label(read: Read) -> None:
    frames, remarks = read(_changed(_set("stress", lambda s: s * 0), [1, 4]))
    assert [f.stress is None for f in frames] == [k in (1, 4) for k in range(6)]
    assert any(
        "exactly zero, taken as not computed: data.xyz frame 1, data.xyz frame 4" in r
        for r in remarks
    )


def test_constraints_are_dropped(read: Read) -> None:
    frames = labelled_frames(2)
    frames[0].set_constraint(FixAtoms([0, 1, 2]))
    found, _ = read(frames)
    assert found[0].atoms.constraints == []
    assert (np.abs(found[0].forces[:3]) > 0).any(axis=1).all()


def test_plain_data_gives_no_remark_and_no_warning(read: Read) -> None:
    frames, remarks = read(labelled_frames(12))
    assert remarks == []
    assert odd_frames(frames) == []
    check_energies(frames)


@pytest.mark.parametrize(("length", "isolated"), [(20.0, True), (8.5, True), (5.5, False)])
def test_one_atom_in_a_large_box_is_isolated(read: Read, length: float, isolated: bool) -> None:
    atoms = Atoms("O", [[1, 2, 3]], cell=[length] * 3, pbc=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-4.0, forces=np.zeros((1, 3)))
    ((frame,), _) = read([atoms])
    assert frame.isolated is isolated


def _changed(change: Callable[[Atoms], None], which: Sequence[int], n: int = 6) -> list[Atoms]:
    frames = labelled_frames(n)
    for k in which:
        change(frames[k])
        results = frames[k].calc.results
        frames[k].calc = SinglePointCalculator(frames[k], **results)
    return frames


def _set(name: str, change: Callable[[Any], Any]) -> Callable[[Atoms], None]:
    def apply(atoms: Atoms) -> None:
        atoms.calc.results[name] = change(atoms.calc.results[name])

    return apply


def _zero_first(forces: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(forces))[:, None] == 0, 0.0, forces)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("stress", lambda s: s * -1602.18), "stress of 2 frames is larger than .*kbar"),
        (_set("stress", lambda s: s * 1602177.0), "stress of 2 frames is larger than"),
        (_set("forces", lambda f: f * 0), "exactly zero on all atoms.* in 2 frames"),
        (_set("forces", _zero_first), "exactly zero on some atoms.*frame 1 .atoms 0"),
        (_set("forces", lambda f: f + 0.5), "do not add up to zero in 2 frames"),
        (_set("energy", lambda e: 0.0), "the energy 0 eV is that of 2 unlike frames"),
        (_set("energy", lambda e: e * 1e4), "eV per atom, others of its composition"),
        (lambda a: a.positions.__setitem__(1, a.positions[0] + [0.4, 0, 0]), "0.4 Å apart, less than"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_right_are_named(
    read: Read, change: Callable[[Atoms], None], words: str
) -> None:
    frames, _ = read(_changed(change, [1, 4]))
    lines = "\n".join(odd_frames(frames))
    assert len([line for line in odd_frames(frames) if "frame 1" in line or "2 frames" in line]) > 0
    assert re.search(words, lines), lines
    assert "data.xyz frame 0" not in lines


def test_forces_that_symmetry_forbids_may_be_zero(read: Read) -> None:
    crystals = []
    for a in (5.2, 5.3, 5.4):
        atoms = bulk("NaCl", "rocksalt", a=a, cubic=True)
        atoms.calc = SinglePointCalculator(atoms, energy=-25 + a, forces=np.zeros((8, 3)))
        crystals.append(atoms)
    carbon = molecule("CO2")  # its carbon may feel none
    forces = np.zeros((3, 3))
    forces[1, 2], forces[2, 2] = 0.5, -0.5
    carbon.calc = SinglePointCalculator(carbon, energy=-20.0, forces=forces)
    lines = odd_frames(read([*crystals, carbon])[0])
    assert [line for line in lines if "exactly zero" in line] == []


def test_energies_per_atom_of_frames_of_unlike_size(read: Read) -> None:
    frames = []
    for size in (1, 2, 1, 2):
        atoms = bulk("Ar", "fcc", a=5.2 + 0.05 * len(frames), cubic=True).repeat((size, 1, 1))
        atoms.calc = SinglePointCalculator(
            atoms, energy=-3.7 - 0.01 * len(frames), forces=np.zeros((len(atoms), 3))
        )
        frames.append(atoms)
    assert any("energy per atom?" in line for line in odd_frames(read(frames)[0]))
    for atoms in frames:
        atoms.calc.results["energy"] *= len(atoms)
    assert odd_frames(read(frames)[0]) == []


def test_weights_of_the_virial_are_of_the_stress(read: Read) -> None:
    frames = labelled_frames(2)
    frames[0].info["config_virials_weight"] = 0.0
    frames[1].info["config_stress_weight"] = 0.5
    found, _ = read(frames)
    assert found[0].stress is None
    assert found[1].weights.stress == 0.5


def test_energies_far_from_those_of_isolated_atoms(read: Read) -> None:
    frames = labelled_frames(4)
    for symbol in ("Ar", "Kr"):
        atom = Atoms(symbol, cell=[15.0] * 3, pbc=True)
        atom.calc = SinglePointCalculator(atom, energy=-400.0, forces=np.zeros((1, 3)))
        frames.append(atom)
    lines = odd_frames(read(frames)[0])
    assert any(re.search(r"399\.\d eV per atom from those of the isol", line) for line in lines)


def test_one_energy_for_all_frames_is_refused(read: Read) -> None:
    for value in (0.0, -7.25):
        frames, _ = read(_changed(_set("energy", lambda e, v=value: v), range(6)))
        with pytest.raises(DataError, match=rf"all 6 frames have the energy {value:g} eV"):
            check_energies(frames)


def test_one_structure_with_unlike_labels(read: Read) -> None:
    frames = labelled_frames(4)
    other = frames[1].copy()
    other.positions += 2e-7
    results = dict(frames[1].calc.results)
    results["energy"] += 0.003
    results["forces"] = results["forces"] + 0.06 * np.eye(8, 3)
    results["stress"] = results["stress"] + 0.002
    other.calc = SinglePointCalculator(other, **results)
    (line,) = [x for x in odd_frames(read([*frames, other])[0]) if "apart" in x]
    assert "frame 4: within 2.0e-07 Å of data.xyz frame 1" in line
    assert "labels 3 meV, 0.06 eV/Å, 0.002 eV/Å³ apart" in line


def test_small_steps_of_a_relaxation_are_no_contradiction(read: Read) -> None:
    """Labels that change as a smooth energy does over a step."""
    start, frames = labelled_frames(1)[0], []
    for k in range(5):
        atoms = start.copy()
        atoms.positions += 1e-4 * k * np.random.default_rng(0).normal(size=(8, 3))
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.05, rc=5.0, smooth=True)
        labels = {
            key: atoms.calc.get_property(key, atoms) for key in ("energy", "forces", "stress")
        }
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    assert odd_frames(read(frames)[0]) == []


def rattled(energy: float = 1.0, forces: float = 1.0) -> list[Atoms]:
    """Frames around one crystal, their labels in other units by these factors."""
    rng, frames = np.random.default_rng(5), []
    for _ in range(10):
        atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat((2, 1, 1))
        atoms.positions += rng.normal(0, 0.05, (8, 3))
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.05, rc=5.0, smooth=True)
        labels = {
            "energy": energy * atoms.get_potential_energy(), "forces": forces * atoms.get_forces()
        }  # fmt: skip
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


@pytest.mark.parametrize(
    ("energy", "forces", "cause"),
    [
        (1.0, -1.0, "gradients"),
        (1 / 27.2114, 1 / 51.422, "energies in Hartree, forces in Hartree/Bohr"),
        (1.0, 1 / 51.422, "forces in Hartree/Bohr"),
        (1.0, 23.0605, "forces in kcal/mol"),
        (1 / 8, 1.0, "energies per atom"),
        (1.0, 5.0, "of one calculation"),
    ],
)
def test_forces_that_are_no_slopes_of_the_energies(
    read: Read, energy: float, forces: float, cause: str
) -> None:
    lines = [x for x in odd_frames(read(rattled(energy, forces))[0]) if "as forces say" in x]
    assert len(lines) == 1
    assert cause in lines[0]


def test_forces_that_are_slopes_are_not_named(read: Read) -> None:
    assert odd_frames(read(rattled())[0]) == []
