"""Each feature of LAMMPS gives ASE's numbers or a refusal (lammps_features.py, docs/reliability.md)."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest

from e3md.lammps import environment, lmp_command
from e3md.lammps.structure import write_data
from lammps_cases import SPECIES, STRUCTURES, needs_lammps, reference
from lammps_features import FEATURES, REFUSALS, Refusal, run_features, run_refusal

pytestmark = needs_lammps
MakeModel = Callable[..., Path]


# all on 1, 2 and 4 ranks: `python tests/lammps_features.py`
@pytest.mark.parametrize(("n_ranks", "step", "least"), [(1, 1, 40), (2, 3, 13)])
def test_features_give_ases_numbers(
    make_model: MakeModel, tmp_path: Path, n_ranks: int, step: int, least: int
) -> None:
    rows = run_features(FEATURES[::step], n_ranks, make_model("nequip", zbl=True), tmp_path)
    assert len(rows) > least
    assert [row for row in rows if not row.same] == []


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
def test_what_hides_neighbors_is_refused(
    make_model: MakeModel, tmp_path: Path, refusal: Refusal
) -> None:
    output = run_refusal(refusal, 1, make_model("nequip", zbl=True), tmp_path)
    assert refusal.words in output


REPLICAS = {
    "temper": "variable t world 300 600\nvelocity all create $t 7\n"
    "fix move all nvt temp $t $t 0.05\ntemper 6 3 $t move 3847 58382",
    "neb": "min_style quickmin\nfix move all neb 1.0\nneb 0 0.1 3 2 1 final final.xyz",
    "fix pimd/langevin": "fix move all pimd/langevin method nmpimd ensemble nvt temp 300 "
    "thermostat PILE_L 1234 tau 0.1\nrun 3",
}


@pytest.mark.parametrize("name", REPLICAS)
def test_replicas_give_ases_numbers(make_model: MakeModel, tmp_path: Path, name: str) -> None:
    model, atoms = make_model("nequip", zbl=True), STRUCTURES["periodic"]
    write_data(tmp_path / "s.data", atoms, SPECIES)
    (tmp_path / "final.xyz").write_text("1\n5 1.0 1.0 1.0\n")
    (tmp_path / "in.r").write_text(
        f"""units metal
atom_modify map yes
read_data s.data
pair_style e3nn
pair_coeff * * "{model}" Li P S
variable replica world a b
timestep 0.0005
{REPLICAS[name]}
unfix move
dump d all custom 1 $(v_replica).dump id type x y z fx fy fz
dump_modify d sort id format float %.17g
run 0
""".replace("$(v_replica)", "${replica}")
    )
    command = [*lmp_command(4), "-partition", "2x2", "-in", "in.r", "-log", "none"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    frames = [ase.io.read(tmp_path / f"{r}.dump", format="lammps-dump-text") for r in "ab"]
    for frame in frames:
        found = atoms.copy()
        found.set_cell(frame.cell)
        found.positions = frame.positions
        np.testing.assert_allclose(
            frame.get_forces(), reference(model, found)["forces"], rtol=0, atol=1e-8
        )
    assert np.abs(frames[0].positions - frames[1].positions).max() > 1e-6
