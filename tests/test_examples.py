"""The scripts of examples/md run, in their quick modes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms
from ase.io import read, write

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "md"
LMP = Path(sys.executable).parent / "lmp"


def run(folder: Path, *command: object) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def start(tmp_path):
    """A start made by prepare.py from rock salt: no shipped potential is needed."""
    atoms = bulk("LiS", "rocksalt", a=5.2, cubic=True)
    write(tmp_path / "salt.extxyz", atoms)
    command = [EXAMPLES / "prepare.py", "--structure", "salt.extxyz", "--repeat", "2"]
    said = run(tmp_path, sys.executable, *command, "--temperature", "300")
    assert "64 atoms" in said
    assert "Li S" in said
    return tmp_path


def prepare(folder: Path, atoms: Atoms) -> subprocess.CompletedProcess:
    write(folder / "own.extxyz", atoms)
    command = [sys.executable, str(EXAMPLES / "prepare.py"), "--structure", "own.extxyz"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [*command, "--temperature", "300"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_prepare_says_that_constraints_are_left_out(tmp_path):
    atoms = bulk("LiS", "rocksalt", a=5.2, cubic=True)
    atoms.set_constraint(FixAtoms([0, 1]))
    done = prepare(tmp_path, atoms)
    assert done.returncode == 0, done.stderr
    assert "left out: 1 constraint(s) of own.extxyz" in done.stdout
    start = read(tmp_path / "start.extxyz")
    assert not start.constraints
    assert np.abs(start.get_momenta()).min(axis=1).all()


def test_prepare_refuses_slabs(tmp_path):
    """The LAMMPS inputs would run them as crystals."""
    atoms = bulk("LiS", "rocksalt", a=5.2, cubic=True)
    atoms.pbc = (True, True, False)
    done = prepare(tmp_path, atoms)
    assert done.returncode != 0
    assert "pbc is [True, True, False]" in done.stderr
    assert not (tmp_path / "start.data").exists()


def test_msd_refuses_a_thermostat_that_is_wrong_with_fixed_atoms(tmp_path):
    atoms = bulk("LiS", "rocksalt", a=5.2, cubic=True)
    atoms.set_constraint(FixAtoms([0]))
    write(tmp_path / "start.extxyz", atoms)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(EXAMPLES / "msd" / "run_ase.py"), "--quick"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "use ase.md.langevin.Langevin" in done.stderr
    assert not (tmp_path / "nvt.traj").exists()


def run_lammps(folder: Path, example: str, **variables: object) -> None:
    """Run an example's input with lj/cut in the place of e3nn."""
    if not LMP.exists():
        pytest.skip("lmp is not installed")
    text = (EXAMPLES / example / "in.lammps").read_text(encoding="utf-8")
    assert "pair_style      e3nn" in text
    text = text.replace("pair_style      e3nn", "pair_style lj/cut 6.0")
    text = text.replace("pair_coeff      * * ${model} ${species}", "pair_coeff * * 0.05 2.3")
    (folder / "in.test").write_text(text, encoding="utf-8")
    options = [word for name, value in variables.items() for word in ("-var", name, str(value))]
    run(folder, LMP, "-in", "in.test", "-var", "species", "Li S", *options)


def test_msd_lammps(start):
    run_lammps(start, "msd", equilibration=0.02, production=0.1, interval=1)
    said = run(start, sys.executable, EXAMPLES / "msd" / "analyze.py", "nvt.lammpstrj")
    assert "101 frames, 0.1 ps" in said
    files = {path.name for path in (start / "analysis").iterdir()}
    assert {"rdf.csv", "msd.csv", "diffusion.csv", "msd.png", "diffusion.png"} <= files


def test_melt_quench_lammps(start):
    run_lammps(start, "melt_quench", melt=0.02, anneal=0.05, rate=45000, interval=1)
    analyze = EXAMPLES / "melt_quench" / "analyze.py"
    run(start, sys.executable, analyze, "--format", "lammpstrj")
    assert (start / "analysis" / "rdf_stages.png").stat().st_size > 0
    assert (start / "analysis" / "anneal" / "rdf.csv").exists()


@pytest.mark.parametrize("example", ["msd", "melt_quench"])
def test_ase(start, make_model, example):
    pytest.importorskip("e3md.calculator")
    model = make_model(species=("Li", "S"))
    run(start, sys.executable, EXAMPLES / example / "run_ase.py", "--quick", "--model", model)
    analyze = [sys.executable, EXAMPLES / example / "analyze.py"]
    run(start, *analyze, *(["nvt.traj"] if example == "msd" else []))
