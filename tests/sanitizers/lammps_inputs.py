"""Ten LAMMPS inputs on 1 to 4 ranks, for the sanitizers: what is looked at is that they end well.

Not collected with the other tests, which compare such inputs with ASE; see `run` beside this file.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from committees import write_committee_alone
from e3md.lammps.runner import LammpsCase, run_lammps
from lammps_cases import SPECIES, STRUCTURES, needs_lammps
from test_lammps_hybrid import LJ, LJ_COEFF, ZBL, _zbl, ions_beside_gas

pytestmark = needs_lammps

HOT = "velocity all create 2000 11\nneigh_modify every 2 delay 0 check no\nfix 1 all nve\n"
END = "\nunfix 1"


def inputs(model: Path, committee: Path) -> dict[str, LammpsCase]:
    gas = ions_beside_gas()
    e3nn = f'pair_coeff * * e3nn "{model}" Li P S'
    mixed = (
        f'{LJ} e3nn\npair_coeff * 4 lj/cut {LJ_COEFF}\npair_coeff * * e3nn "{model}" Li P S NULL'
    )

    def case(name: str, before: str = "", **more: str) -> LammpsCase:
        return LammpsCase(STRUCTURES[name], model, SPECIES, before=before, **more)

    return {
        "nve, atoms sorted": case("periodic", f"{HOT}run 6{END}", first="atom_modify sort 2 3.0"),
        "npt of a skewed cell": case(
            "triclinic",
            f"{HOT}unfix 1\nfix 1 all npt temp 300 300 0.1 tri 0 0 0.5\nrun 4{END}",
        ),
        "minimize with the cell": case(
            "periodic", "fix 1 all box/relax iso 0 vmax 0.001\nminimize 0 1e-3 4 20\nunfix 1"
        ),
        "ranks without atoms": case("corner", f"{HOT}run 3{END}"),
        "no atom left": case("periodic", "run 0\ndelete_atoms group all\nrun 0"),
        "shrink-wrapped molecule": case("molecule", f"{HOT}run 3{END}", boundary="s s s"),
        "cell of half the cutoff": case("smaller than half the cutoff", f"{HOT}run 3{END}"),
        "hybrid with NULL": LammpsCase(
            gas, model, (*SPECIES, "Ar"), potential=f"pair_style hybrid {mixed}"
        ),
        "hybrid/overlay with zbl": case(
            "slab", potential=f"pair_style hybrid/overlay e3nn {ZBL}\n{e3nn}\n{_zbl('zbl')}"
        ),
        "committee, tiled": LammpsCase(
            STRUCTURES["periodic"], committee, SPECIES,
            before=f"compute std all e3nn/std\n{HOT}comm_style tiled\nbalance 1.0 rcb\nrun 3{END}",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 4])
def test_inputs_end_well(make_model: Callable[..., Path], tmp_path: Path, n_ranks: int) -> None:
    cases = inputs(make_model("mace", zbl=True), write_committee_alone(tmp_path, "nequip", 2))
    assert len(cases) == 10
    found = run_lammps(list(cases.values()), n_ranks, tmp_path)
    for name, result in zip(cases, found, strict=True):
        assert np.isfinite(result.energy), name
        assert np.isfinite(result.forces).all(), name
