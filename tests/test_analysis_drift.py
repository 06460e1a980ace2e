"""Drift: taken out of a whole cell, and not without a word out of a part of one."""

import numpy as np
import pytest
from ase.data import atomic_masses, atomic_numbers

from e3md.analysis import AnalysisOptions, Trajectory, analyze
from e3md.analysis.drift import drift_note

D = 0.5  # Å²/ps
INTERVAL = 0.1  # ps


def ions(n_atoms, seed=0, n_frames=400):
    """(n_frames, n_atoms, 3) Å: independent walkers."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, np.sqrt(2 * D * INTERVAL), (n_frames, n_atoms, 3)).cumsum(axis=0)


def trajectory(path, species=None, ids=None):
    n_frames, n_atoms, _ = path.shape
    cells = np.broadcast_to(20 * np.eye(3), (n_frames, 3, 3))
    species = tuple(species or ("Li",) * n_atoms)
    time = np.arange(n_frames) * INTERVAL
    return Trajectory(species, path, cells, (True,) * 3, time, ids=ids)


def momentum_free(path, species):
    """The same walkers in a whole cell, whose center of mass stays."""
    masses = atomic_masses[[atomic_numbers[name] for name in species]]
    return path - np.einsum("fnx,n->fx", path, masses / masses.sum())[:, None]


@pytest.mark.parametrize("n_atoms", [2, 20])
@pytest.mark.parametrize("first", [1, 41])  # IDs may begin at 1 in a part of a cell too
def test_a_dump_of_the_ions_alone(n_atoms, first, tmp_path):
    part = trajectory(ions(n_atoms), ids=np.arange(first, first + n_atoms))
    removed = analyze(part, tmp_path)
    kept = analyze(part, tmp_path, AnalysisOptions(remove_drift=False))
    note = next(note for note in removed.notes if note.startswith("drift"))
    assert f"1/{n_atoms}" in note
    assert "--keep-drift" in note
    assert not [note for note in kept.notes if note.startswith("drift")]
    lost = 1 - removed.msd.total[10] / kept.msd.total[10]
    assert lost == pytest.approx(1 / n_atoms, rel=0.35)
    assert kept.msd.total[1] == pytest.approx(6 * D * INTERVAL, rel=0.15)


def test_one_ion(tmp_path):
    one = trajectory(ions(1, n_frames=2000))
    removed = analyze(one, tmp_path)
    assert removed.msd.total.max() == 0
    assert any("one atom is its own center of mass" in note for note in removed.notes)
    kept = analyze(one, tmp_path, AnalysisOptions(remove_drift=False))
    assert kept.msd.total[1] == pytest.approx(6 * D * INTERVAL, rel=0.15)


@pytest.mark.parametrize("species", [("Li",) * 20, ("Li", "S") * 10])
@pytest.mark.parametrize("gaps", [False, True])  # atoms may have been deleted from a whole cell
@pytest.mark.parametrize("drift", [0.0, 0.3])  # Å per frame
def test_whole_cells_give_no_alarm(species, gaps, drift):
    path = momentum_free(ions(20), species) + drift * np.arange(400)[:, None, None]
    ids = np.arange(1, 21) * (2 if gaps else 1)
    rounded = np.round(path, 4)  # as files have it
    assert drift_note(trajectory(rounded, species, ids)) is None


def test_atoms_carried_along_give_no_alarm():
    # a thermostat that moves a whole solid: taking the drift out is right
    rng = np.random.default_rng(1)
    carried = 0.1 * ions(1) + rng.normal(0, 0.02, (400, 50, 3))
    assert drift_note(trajectory(carried)) is None


def test_whole_cells_of_several_species_under_langevin_give_no_alarm():
    assert drift_note(trajectory(ions(20), ("Li", "S") * 10, np.arange(1, 21))) is None
