"""compute e3nn/std: the deviations that E3Calculator finds, wherever LAMMPS uses a compute."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from committees import write_committee_alone
from conftest import random_structure
from e3md.lammps.runner import LammpsCase, run_input, run_lammps
from e3md.lammps.structure import write_data
from lammps_cases import (
    SPECIES,
    STRUCTURES,
    assert_same,
    calculator,
    needs_lammps,
    reference,
)
from test_lammps_units import UNITS

pytestmark = needs_lammps

ARCHITECTURES = ("nequip", "mace")
_COMPUTE = """compute dev all e3nn/std
dump dev all custom 1 {name}.dev id c_dev
dump_modify dev sort id format float %.17g
"""


@pytest.fixture(scope="module")
def committees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("committees")
    for arch in ARCHITECTURES:
        (folder / arch).mkdir()
    return {arch: write_committee_alone(folder / arch, arch) for arch in ARCHITECTURES}


def deviations(model: Path, atoms: Atoms) -> np.ndarray:
    """(n_atoms,) eV/Å."""
    return np.linalg.norm(calculator(model).get_property("forces_std", atoms), axis=1)


def rows(path: Path) -> np.ndarray:
    """Last frame of a dump, by atom."""
    text = path.read_text()
    lines = text[text.rindex("ITEM: ATOMS") :].splitlines()[1:]
    return np.array([line.split() for line in lines], dtype=float)


def simple(model: Path, text: str, data: str = "s.data") -> str:
    return f"""units metal
atom_modify map yes
read_data {data}
pair_style e3nn
pair_coeff * * "{model}" Li P S
{text}
"""


@pytest.mark.parametrize(
    ("n_ranks", "architectures"), [(1, ARCHITECTURES), (2, ["nequip"]), (3, ARCHITECTURES)]
)
def test_lammps_equals_ase(
    committees: dict[str, Path], tmp_path: Path, n_ranks: int, architectures: Sequence[str]
) -> None:
    """Also with ranks that own no atoms (corner) and ghosts in every direction."""
    names = ("periodic", "triclinic", "slab", "molecule", "corner", "one atom, periodic")
    runs = [(committees[arch], name) for arch in architectures for name in names]
    cases = [
        LammpsCase(STRUCTURES[name], model, SPECIES, before=_COMPUTE.format(name=k))
        for k, (model, name) in enumerate(runs)
    ]
    for k, found in enumerate(run_lammps(cases, n_ranks, tmp_path)):
        model, what = cases[k].model, str(runs[k])
        assert_same(found, reference(model, cases[k].atoms), what=what)
        expected = deviations(model, cases[k].atoms)
        assert expected.max() > 1e-3 or len(expected) == 1
        np.testing.assert_allclose(
            rows(tmp_path / f"{k}.dev")[:, 1], expected, rtol=0, atol=1e-9, err_msg=what
        )


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_real_units_convert(committees: dict[str, Path], tmp_path: Path, n_ranks: int) -> None:
    atoms, model = STRUCTURES["periodic"], committees["nequip"]
    found = {}
    for style in ("real", "electron"):
        energy, length, mass = UNITS[style]
        write_data(tmp_path / "s.data", atoms, SPECIES, length, mass)
        text = _COMPUTE.format(name=style) + f"neighbor {1 / length:.17g} bin\nrun 0"
        run_input(simple(model, text).replace("metal", style), n_ranks, tmp_path)
        found[style] = rows(tmp_path / f"{style}.dev")[:, 1] * energy / length
    for style, values in found.items():
        np.testing.assert_allclose(values, deviations(model, atoms), atol=1e-8, err_msg=style)


_MD = """velocity all create 600 3
fix 1 all nve
timestep 0.0005
neigh_modify every 1 delay 0 check yes
thermo 4
"""


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_every_use_of_a_compute(committees: dict[str, Path], tmp_path: Path, n_ranks: int) -> None:
    """dump, reduce, variables and a second compute of a group agree, at every step of a run."""
    write_data(tmp_path / "s.data", STRUCTURES["periodic"], SPECIES)
    model = committees["nequip"]
    uses = """group lithium type 1
compute dev all e3nn/std
compute li lithium e3nn/std
compute top all reduce max c_dev
compute litop lithium reduce max c_li
variable twice atom 2*c_dev
variable top equal c_top
dump 1 all custom 4 md.dump id type x y z c_dev c_li v_twice
dump_modify 1 sort id format float %.17g
thermo_style custom step c_top c_litop v_top
thermo_modify format float %.17g
"""
    log = run_input(simple(model, _MD + uses + "run 8"), n_ranks, tmp_path)
    table = np.array([line.split() for line in _thermo_lines(log)], dtype=float)
    frames = (tmp_path / "md.dump").read_text().split("ITEM: TIMESTEP\n")[1:]
    assert len(frames) == len(table) == 3
    for frame, (_, top, lithium_top, variable) in zip(frames, table, strict=True):
        body = frame[frame.index("ITEM: ATOMS") :].splitlines()[1:]
        values = np.array([line.split() for line in body], dtype=float)
        lithium, atoms = values[:, 1] == 1, STRUCTURES["periodic"].copy()
        dev, of_lithium, twice = values[:, 5:].T
        assert top == variable == dev.max()
        assert lithium_top == dev[lithium].max()
        np.testing.assert_array_equal(of_lithium, np.where(lithium, dev, 0))
        np.testing.assert_array_equal(twice, 2 * dev)
        # positions in LAMMPS' axes; norms do not turn with them
        lattice = atoms.cell.cellpar()
        turned = Atoms(atoms.symbols, values[:, 2:5], cell=lattice, pbc=True)
        np.testing.assert_allclose(dev, deviations(model, turned), atol=1e-8)


def _thermo_lines(log: str) -> list[str]:
    part = log[log.rindex("\n   Step") : log.index("Loop time")]
    return part.strip().splitlines()[1:]


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_asking_does_not_change_the_run(
    committees: dict[str, Path], tmp_path: Path, n_ranks: int
) -> None:
    """The same trajectory but for rounding, with the compute and without."""
    write_data(tmp_path / "s.data", STRUCTURES["periodic"], SPECIES)
    dump = "dump 2 all custom 20 {}.dump id x y z vx vy vz\ndump_modify 2 sort id format float %.17g\nrun 20"
    for name, text in (("with", _COMPUTE.format(name="d")), ("without", "")):
        text = _MD + text + dump.format(name)
        run_input(simple(committees["mace"], text), n_ranks, tmp_path)
    with_it, without = (rows(tmp_path / f"{name}.dump") for name in ("with", "without"))
    np.testing.assert_allclose(with_it, without, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_fix_halt_stops_where_the_committee_disagrees(
    committees: dict[str, Path], tmp_path: Path, n_ranks: int
) -> None:
    """A run heats up until the largest deviation passes the value it has at step 12."""
    write_data(tmp_path / "s.data", STRUCTURES["periodic"], SPECIES)
    watch = "compute dev all e3nn/std\ncompute top all reduce max c_dev\nvariable top equal c_top\n"
    table = "thermo 1\nthermo_style custom step c_top\nthermo_modify format float %.17g\n"
    log = run_input(simple(committees["nequip"], _MD + watch + table + "run 40"), n_ranks, tmp_path)
    tops = np.array([line.split() for line in _thermo_lines(log)], dtype=float)[:, 1]
    limit = np.sort(tops[4:])[len(tops) // 2]
    stop = next(k for k in range(2, 41, 2) if tops[k] > limit)
    assert stop < 40
    halt = f"fix 2 all halt 2 v_top > {limit:.17g} error soft message no\n"
    log = run_input(
        simple(committees["nequip"], _MD + watch + table + halt + "run 40"), n_ranks, tmp_path
    )
    assert int(_thermo_lines(log)[-1].split()[0]) == stop


def test_under_hybrid_overlay(committees: dict[str, Path], tmp_path: Path) -> None:
    """What other pair styles add is no deviation; NULL types have none."""
    ions = random_structure(14, seed=3)
    write_data(tmp_path / "s.data", ions, (*SPECIES, "Ar"))
    model = committees["nequip"]
    text = f"""units metal
read_data s.data
pair_style hybrid/overlay lj/cut 4.5 e3nn
pair_coeff * * lj/cut 0.02 1.9
pair_coeff * * e3nn "{model}" Li P S NULL
{_COMPUTE.format(name="h")}
run 0"""
    run_input(text, 2, tmp_path)
    np.testing.assert_allclose(rows(tmp_path / "h.dev")[:, 1], deviations(model, ions), atol=1e-9)


@pytest.mark.parametrize("n_ranks", [1, 2])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pair_style zero 4.0\npair_coeff * *\ncompute d all e3nn/std", "there is no pair_style e3nn"),
        ("{e3nn}compute d all e3nn/std 3", "takes no arguments"),
        ("{single}compute d all e3nn/std", "holds a single model, and only a committee"),
        (
            'pair_style hybrid/overlay e3nn e3nn\npair_coeff * * e3nn 1 "{model}" Li P S\n'
            'pair_coeff * * e3nn 2 "{model}" Li P S\ncompute d all e3nn/std',
            "occurs more than once under pair_style hybrid",
        ),
        (
            "{e3nn}compute d all e3nn/std\ncompute m all reduce max c_d\nrun 0\n"
            'group some id 1:3\ndelete_atoms group some\nprint "$(c_m)"',
            "atoms came or went since|not been initialized|not current",
        ),
    ],
    ids=["no pair style", "arguments", "single model", "twice", "after delete_atoms"],
)  # fmt: skip
def test_errors_in_words(
    committees: dict[str, Path], make_model, tmp_path: Path, text: str, words: str, n_ranks: int
) -> None:
    write_data(tmp_path / "s.data", STRUCTURES["periodic"], SPECIES)
    model, single = committees["nequip"], make_model("nequip")
    coeff = 'pair_style e3nn\npair_coeff * * "{}" Li P S\n'
    text = text.format(e3nn=coeff.format(model), single=coeff.format(single), model=model)
    with pytest.raises(RuntimeError) as failure:
        run_input(
            f"units metal\natom_modify map yes\nread_data s.data\n{text}\nrun 0\n",
            n_ranks,
            tmp_path,
        )
    assert re.search(words, str(failure.value))


def test_the_log_names_the_committee(committees: dict[str, Path], tmp_path: Path) -> None:
    write_data(tmp_path / "s.data", STRUCTURES["periodic"], SPECIES)
    log = run_input(simple(committees["mace"], "run 0"), 1, tmp_path)
    assert "(committee of 3 mace, 2 layers, written by e3md" in log
