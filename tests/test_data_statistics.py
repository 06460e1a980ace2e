"""What a training set says about a model: reference energies, scale, shift, neighbors."""

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from e3md.data.read import DataError, DataKeys, Frame, read_frames
from e3md.data.statistics import collect_statistics, isolated_energies, reference_energies
from training_data import labelled_frames


@pytest.fixture
def frames(tmp_path: Path) -> list[Frame]:
    path = tmp_path / "data.xyz"
    ase.io.write(path, labelled_frames(4), format="extxyz")
    return read_frames([path], DataKeys())


def _isolated(folder: Path, symbol: str, energy: float, comment: str) -> Frame:
    path = folder / f"{symbol}.xyz"
    path.write_text(
        f"1\nProperties=species:S:1:pos:R:3 energy={energy} {comment}\n{symbol} 0 0 0\n"
    )
    (frame,) = read_frames([path], DataKeys())
    return frame


@pytest.mark.parametrize(
    "comment", ['pbc="F F F"', 'Lattice="9 0 0 0 9 0 0 0 9" config_type=IsolatedAtom']
)
def test_isolated_atoms_define_e0(frames: list[Frame], tmp_path: Path, comment: str) -> None:
    """They need no forces: there are none by symmetry."""
    atoms = [_isolated(tmp_path, *a, comment) for a in (("Ar", -1.25), ("Kr", -2.5))]
    reference = reference_energies(frames, atoms)
    assert reference.species == ("Ar", "Kr")
    assert reference.e0s == (-1.25, -2.5)
    assert reference.source == "isolated atoms"
    with pytest.raises(DataError, match="but not for Kr"):
        reference_energies(frames, atoms[:1])


def test_a_periodic_cell_of_one_atom_is_no_isolated_atom(tmp_path: Path) -> None:
    atoms = Atoms("Ar", cell=np.eye(3) * 3.7, pbc=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((1, 3)))
    ase.io.write(tmp_path / "data.xyz", [atoms], format="extxyz")
    (frame,) = read_frames([tmp_path / "data.xyz"], DataKeys())
    assert not frame.isolated


def test_least_squares_finds_the_energies_of_an_additive_set(frames: list[Frame]) -> None:
    e0 = {"Ar": -3.0, "Kr": -5.0}
    only_argon = replace(frames[0], atoms=frames[0].atoms.copy())
    only_argon.atoms.numbers[:] = 18
    additive = [
        replace(f, energy=sum(e0[s] for s in f.atoms.symbols)) for f in [*frames, only_argon]
    ]
    reference = reference_energies(additive, [])
    assert dict(zip(reference.species, reference.e0s, strict=True)) == pytest.approx(e0)
    assert reference.source == "least squares over compositions (condition number 4.18)"
    assert reference.remark == ""
    statistics = collect_statistics(additive, reference, [100] * len(additive))
    assert statistics.shift == pytest.approx(0, abs=1e-9)


def test_one_composition_is_said_to_be_undetermined(frames: list[Frame]) -> None:
    reference = reference_energies(frames[:1], [])
    assert "rank 1 of 2" in reference.source
    found = dict(zip(reference.species, reference.e0s, strict=True))
    total = sum(found[s] for s in frames[0].atoms.symbols)
    assert total == pytest.approx(frames[0].energy)


def test_scale_is_the_rms_force_and_neighbors_are_edges_per_atom(frames: list[Frame]) -> None:
    statistics = collect_statistics(frames, reference_energies(frames, []), [96, 96, 160, 160])
    forces = np.concatenate([f.forces for f in frames])
    assert statistics.scale == pytest.approx(np.sqrt((forces**2).mean()))
    assert statistics.avg_num_neighbors == pytest.approx(512 / 32)


def test_isolated_atoms_of_real_data_sets(data_dir: Path) -> None:
    for name, n_species in (("3bpa", 4), ("acac", 3)):
        frames = read_frames([data_dir / name / "isolated_atoms.xyz"], DataKeys())
        assert len(isolated_energies(frames)) == n_species
        assert all(f.isolated for f in frames)


def _molecules(frames: list[Frame], formulas: list[str], energies: list[float]) -> list[Frame]:
    atoms = [Atoms(formula) for formula in formulas]
    chosen = zip(atoms, energies, strict=True)
    return [replace(frames[0], atoms=a, forces=np.zeros((len(a), 3)), energy=e) for a, e in chosen]


def test_energies_of_one_formula_are_said_to_be_no_energies_of_atoms(frames: list[Frame]) -> None:
    """What the sum leaves open is said; its consequence and a remedy, too."""
    found = reference_energies(_molecules(frames, ["H2O", "H4O2"], [-468.0, -936.0]), [])
    assert found.e0s == pytest.approx((-187.2, -93.6))
    for words in ("E0 of H O:", "H2O", "dissociation", "other compositions", "isolated atom"):
        assert words in found.remark


def test_elements_that_one_formula_does_not_hide_are_not_named(frames: list[Frame]) -> None:
    """Oxygen is told by the frames of oxygen; carbon and nitrogen come together only."""
    formulas, energies = ["O2", "OCN", "O2CN"], [-10.0, -20.0, -25.0]
    found = reference_energies(_molecules(frames, formulas, energies), [])
    assert found.remark.startswith("E0 of C N:")
    assert dict(zip(found.species, found.e0s, strict=True))["O"] == pytest.approx(-5.0)


def test_what_compositions_leave_open_does_not_change_what_is_learned(frames: list[Frame]) -> None:
    """Any numbers that vanish over the formula may be added to E0s: shift and residuals stay."""
    molecules = _molecules(frames, ["H2O", "H4O2"], [-468.0, -937.0])
    found = reference_energies(molecules, [])
    other = replace(found, e0s=(found.e0s[0] + 173.6, found.e0s[1] - 2 * 173.6))
    one, two = (collect_statistics(molecules, r, [2, 12]) for r in (found, other))
    assert (one.shift, one.scale) == pytest.approx((two.shift, two.scale))


def test_e0s_that_compositions_hardly_tell_have_their_error_named(frames: list[Frame]) -> None:
    rng = np.random.default_rng(0)
    exact = {"H": -13.6, "O": -430.0}
    near = ["H128O64", "H127O64", "H128O63"] * 4
    far = ["H128O64", "H2", "O2"] * 4
    for formulas, words in ((near, "E0 of H ± "), (far, "")):
        energies = [
            sum(exact[s] for s in Atoms(f).symbols) + len(Atoms(f)) * rng.normal(0, 0.1)
            for f in formulas
        ]
        found = reference_energies(_molecules(frames, formulas, energies), [])
        assert found.remark.startswith(words)
        assert bool(found.remark) == bool(words)
        assert "condition number" in found.source
