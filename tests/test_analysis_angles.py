"""Bond angles of structures whose angles are known."""

import numpy as np
import pytest
from ase.build import bulk, molecule

from e3md.analysis import Trajectory, angle_distribution


def single_frame(atoms) -> Trajectory:
    pbc = tuple(bool(p) for p in atoms.pbc)
    species = tuple(atoms.get_chemical_symbols())
    return Trajectory(species, atoms.positions[None], atoms.cell.array[None], pbc, np.zeros(1))


def weights(distribution) -> dict[float, float]:
    """Angle → number per central atom, of the bins that hold any."""
    width = distribution.angle[1] - distribution.angle[0]
    number = distribution.density * width * distribution.angles_per_center
    return {float(a): float(n) for a, n in zip(distribution.angle, number, strict=True) if n > 1e-9}


def test_fcc_angles():
    # 66 pairs of 12 neighbors: 24 at 60°, 12 at 90°, 24 at 120°, 6 at 180°. Bins of 7.2° are off
    # the boundaries that rounding could cross.
    fcc = single_frame(bulk("Cu", "fcc", a=4.0))  # one atom: all neighbors are its own images
    found = angle_distribution(fcc, ("Cu", "Cu", "Cu"), cutoff=3.2, n_bins=25)
    assert found.angles_per_center == pytest.approx(66)
    expected = {60: 24, 90: 12, 120: 24, 180: 6}
    by_bin = {round(angle // 7.2 * 7.2 + 3.6, 6): n for angle, n in expected.items()}
    by_bin[round(180 - 3.6, 6)] = by_bin.pop(round(180 // 7.2 * 7.2 + 3.6, 6))
    result = weights(found)
    assert sorted(result.values()) == pytest.approx(sorted(by_bin.values()))
    assert sorted(result) == pytest.approx(sorted(by_bin))


def test_species_and_cutoff_select():
    water = molecule("H2O")  # 103.9° between bonds of 0.97 Å; H-H 1.53 Å
    water.center(vacuum=4.0)
    frame = single_frame(water)
    hoh = angle_distribution(frame, ("H", "O", "H"), cutoff=1.2, n_bins=180)
    assert hoh.angles_per_center == pytest.approx(1)
    assert hoh.angle[np.argmax(hoh.density)] == pytest.approx(water.get_angle(1, 0, 2), abs=0.5)
    ohh = angle_distribution(frame, ("O", "H", "H"), cutoff=(1.2, 1.7), n_bins=180)
    assert ohh.angles_per_center == pytest.approx(1)
    assert ohh.angle[np.argmax(ohh.density)] == pytest.approx(water.get_angle(0, 1, 2), abs=0.5)
    assert angle_distribution(frame, ("H", "O", "H"), cutoff=0.5).density.sum() == 0


def test_random_directions_give_the_sine():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4000, 2, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    positions = np.concatenate([np.zeros((4000, 1, 3)), vectors], axis=1)
    many = Trajectory(
        ("P", "S", "S"), positions, np.zeros((4000, 3, 3)), (False,) * 3, np.arange(4000.0)
    )
    found = angle_distribution(many, ("S", "P", "S"), cutoff=1.5, n_bins=12)
    assert np.sum(found.density) * 15 == pytest.approx(1)
    edges = np.radians(np.linspace(0, 180, 13))
    assert np.allclose(found.density * 15, -np.diff(np.cos(edges)) / 2, atol=0.02)


def test_swapping_the_ends_changes_nothing():
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    salt.rattle(0.2, seed=1)
    frame = single_frame(salt)
    one = angle_distribution(frame, ("Na", "Cl", "Cl"), cutoff=(3.5, 4.5))
    other = angle_distribution(frame, ("Cl", "Cl", "Na"), cutoff=(4.5, 3.5))
    assert np.array_equal(one.density, other.density)


def test_unknown_species_is_named():
    with pytest.raises(ValueError, match=r"no Ag atoms.*Cu"):
        angle_distribution(single_frame(bulk("Cu")), ("Cu", "Ag", "Cu"), cutoff=3.0)
