"""What LAMMPS' own integrators, minimizers and commands do with pair_style e3nn."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from e3md import E3Calculator
from e3md.lammps import mpiexec_path, plugin_path
from e3md.lammps.runner import LammpsCase, run_input, run_lammps
from e3md.lammps.structure import write_data
from lammps_cases import SPECIES, STRUCTURES, assert_same, needs_lammps, reference

pytestmark = needs_lammps
MakeModel = Callable[..., Path]

PRESSURE = 20.0  # GPa: with ZBL it gives a model of random weights a minimum


def compressed(model: Path) -> Atoms:
    """A small periodic structure near its minimum under PRESSURE."""
    atoms = bulk("LiS", "rocksalt", a=4.6, cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = E3Calculator(model)
    relax(atoms, 1e-2)
    atoms.rattle(0.02, seed=2)
    atoms.set_cell(atoms.cell.array * np.array([1.003, 0.998, 1.002]), scale_atoms=True)
    return atoms


def relax(atoms: Atoms, fmax: float) -> None:
    cell_filter = FrechetCellFilter(atoms, scalar_pressure=PRESSURE * units.GPa)
    assert BFGS(cell_filter, logfile=None).run(fmax=fmax, steps=800)


@pytest.mark.parametrize(("arch", "n_ranks"), [("nequip", 1), ("mace", 2)])
def test_box_relax_finds_ases_cell(
    make_model: MakeModel, tmp_path: Path, arch: str, n_ranks: int
) -> None:
    model = make_model(arch, zbl=True)
    start = compressed(model)
    once = (
        f"fix relax all box/relax tri {PRESSURE * 1e4} vmax 0.001\n"
        "minimize 0 1e-9 2000 20000\nunfix relax\n"
    )
    case = LammpsCase(start, model, SPECIES, before="min_modify line quadratic\n" + 6 * once)
    (found,) = run_lammps([case], n_ranks, tmp_path)
    assert_same(found, reference(model, found.atoms))
    relax(start, 1e-6)
    np.testing.assert_allclose(found.atoms.cell.lengths(), start.cell.lengths(), atol=1e-4)
    np.testing.assert_allclose(found.atoms.cell.angles(), start.cell.angles(), atol=1e-2)
    np.testing.assert_allclose(found.stress / units.GPa, -PRESSURE * np.eye(3), atol=1e-3)


def test_minimize_reaches_zero_force(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model("mace", zbl=True)
    case = LammpsCase(compressed(model), model, SPECIES, before="minimize 0 1e-7 1000 20000")
    (found,) = run_lammps([case], 2, tmp_path)
    assert np.abs(found.forces).max() < 1e-6
    assert_same(found, reference(model, found.atoms))


def thermo(log: str) -> np.ndarray:
    """Rows of the last thermo table."""
    lines = log[log.rindex("Step") :].splitlines()[1:]
    rows = []
    for line in lines:
        if line.startswith("Loop time"):
            return np.array(rows, dtype=float)
        rows.append(line.split())
    raise AssertionError("the run did not end")


def md_input(model: Path, text: str) -> str:
    return f"""units metal
atom_style atomic
atom_modify map yes
read_data s.data
pair_style e3nn
pair_coeff * * "{model}" Li P S
thermo 10
thermo_modify lost error
timestep 0.0005
neigh_modify every 1 delay 0 check yes
{text}
"""


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_nve_and_npt_conserve_their_energy(
    make_model: MakeModel, tmp_path: Path, n_ranks: int
) -> None:
    model = make_model("nequip", zbl=True)
    atoms = compressed(model) * (2, 2, 2)
    write_data(tmp_path / "s.data", atoms, SPECIES)
    start = "velocity all create 300 5 mom yes\n"
    nve = f"{start}thermo_style custom step etotal\nthermo_modify format float %.15g\n"
    log = run_input(md_input(model, nve + "fix 1 all nve\nrun 200"), n_ranks, tmp_path, "nve")
    energy = thermo(log)[:, 1] / len(atoms)
    assert len(energy) == 21
    assert np.ptp(energy) < 2e-5
    npt = (
        f"{start}thermo_style custom step etotal ecouple vol\nthermo_modify format float %.15g\n"
        f"fix 1 all npt temp 300 300 0.05 tri {PRESSURE * 1e4} {PRESSURE * 1e4} 0.2\n"
        "run 200"
    )
    table = thermo(run_input(md_input(model, npt), n_ranks, tmp_path, "npt"))
    volume = table[:, 3]
    assert np.ptp(volume) > 1e-4 * volume[0], "the barostat did nothing"
    assert np.ptp(table[:, 1] + table[:, 2]) / len(atoms) < 1e-4


def test_lammps_and_ase_move_alike(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model("mace", zbl=True)
    atoms = STRUCTURES["periodic"].copy()
    minimized = run_lammps(
        [LammpsCase(atoms, model, SPECIES, before="minimize 0 1e-4 200 2000")], 1, tmp_path
    )[0].atoms
    change = "timestep 0.0005\nfix 1 all nve\nvelocity all set 1.0 0 0\nrun 30\nunfix 1"
    moved = run_lammps([LammpsCase(minimized, model, SPECIES, before=change)], 2, tmp_path)[0]
    expected = minimized.copy()
    expected.calc = E3Calculator(model)
    expected.set_velocities([[1.0 / (1000 * units.fs), 0, 0]] * len(atoms))  # 1 Å/ps
    VelocityVerlet(expected, 0.5 * units.fs).run(30)
    difference = moved.atoms.positions - expected.positions
    difference -= np.round(difference @ np.linalg.inv(atoms.cell.array)) @ atoms.cell.array
    assert np.abs(difference).max() < 1e-4


@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_removed_and_renumbered_atoms(make_model: MakeModel, tmp_path: Path, n_ranks: int) -> None:
    model = make_model("nequip")
    atoms = STRUCTURES["periodic"]
    changes = {
        "deleted": "group gone id 3 17 29\nrun 0\ndelete_atoms group gone compress no",
        "after run": "run 0\ngroup gone type 2\ndelete_atoms group gone compress no\nrun 0",
    }
    cases = [LammpsCase(atoms, model, SPECIES, before=text) for text in changes.values()]
    deleted, without_p = run_lammps(cases, n_ranks, tmp_path)
    assert deleted.ids.tolist() == [i for i in range(1, 41) if i not in (3, 17, 29)]
    assert "P" not in without_p.atoms.symbols
    for found in (deleted, without_p):
        assert_same(found, reference(model, found.atoms))


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_atoms_and_boxes_that_change_during_a_run(
    make_model: MakeModel, tmp_path: Path, n_ranks: int
) -> None:
    model = make_model("nequip", zbl=True)
    move = "velocity all create 2000 11\nneigh_modify every 1 delay 0\nfix move all nve\n"
    changes = {
        "inserted": f"{move}fix 1 all gcmc 2 3 3 1 29494 20000 -3 0.5 full_energy"
        " overlap_cutoff 1.2\nrun 10\nunfix 1\nunfix move",
        "swapped": f"{move}fix 1 all atom/swap 1 3 29494 3000 ke no types 1 3\n"
        "run 5\nunfix 1\nunfix move",
        "deformed": f"{move}fix 1 all deform 1 xy erate 50 x erate 20\nrun 20\nunfix 1\nunfix move",
        "balanced": f"{move}fix 1 all balance 3 1.0 shift xyz 5 1.0\nrun 8\nunfix 1\nunfix move",
        "scaled": "change_box all x scale 1.1 xy delta 0.4 remap units box",
    }
    atoms = STRUCTURES["periodic"]
    cases = [LammpsCase(atoms, model, SPECIES, before=text) for text in changes.values()]
    results = run_lammps(cases, n_ranks, tmp_path)
    for name, found in zip(changes, results, strict=True):
        assert_same(found, reference(model, found.atoms), what=name)
    assert len(results[0].atoms) != len(atoms)
    assert results[1].atoms.get_chemical_symbols() != atoms.get_chemical_symbols()


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_heat_flux_is_the_sum_over_atoms(
    make_model: MakeModel, tmp_path: Path, n_ranks: int
) -> None:
    model = make_model("mace", zbl=True)
    atoms = STRUCTURES["periodic"]
    text = """velocity all create 300 5
compute ke all ke/atom
compute pe all pe/atom
compute w all centroid/stress/atom NULL virial
compute sym all stress/atom NULL virial
compute flux all heat/flux ke pe w
thermo_style custom step c_flux[*]
dump 1 all custom 1 flux.dump id vx vy vz c_ke c_pe c_w[*] c_sym[*]
dump_modify 1 sort id format float %.17g
run 0
print "$(c_flux[1]:%.17g) $(c_flux[2]:%.17g) $(c_flux[3]:%.17g)" file flux.dat screen no
"""
    write_data(tmp_path / "s.data", atoms, SPECIES)
    run_input(md_input(model, text), n_ranks, tmp_path)
    rows = np.loadtxt(tmp_path / "flux.dump", skiprows=9)
    velocity, energy = rows[:, 1:4], rows[:, 4] + rows[:, 5]
    tensor = rows[:, 6:15][:, [[0, 3, 4], [6, 1, 5], [7, 8, 2]]]  # -W in bar Å³
    convective = (energy[:, None] * velocity).sum(axis=0)
    # J = Σ e v + Σ W v, with LAMMPS' conversion of bar Å³ to eV
    virial_part = -np.einsum("iab,ib->a", tensor, velocity) / 1.6021765e6
    np.testing.assert_allclose(
        np.loadtxt(tmp_path / "flux.dat"), convective + virial_part, rtol=1e-8
    )
    # stress/atom has the same diagonal, and the symmetric part off it
    symmetric = 0.5 * (tensor + tensor.transpose(0, 2, 1))
    expected = symmetric[:, [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(rows[:, 15:], expected, rtol=1e-9, atol=1e-6)


def test_atomic_virials_carry_the_energy_that_moves(make_model: MakeModel) -> None:
    # The law behind the rule that an edge's virial belongs to the neighbor: in free flight the
    # potential energy moves as d/dt Σ r_i e_i = Σ e_i v_i + Σ W_i v_i - Σ r_i (F_i·v_i).
    # Exact for one layer, whose energies depend on the atom's own edges only.
    model = make_model("mace", n_layers=1)
    atoms = STRUCTURES["molecule"]
    velocity = np.random.default_rng(0).normal(size=(len(atoms), 3)) * 0.01

    def moment(t: float) -> np.ndarray:
        moved = atoms.copy()
        moved.positions += t * velocity
        return reference(model, moved)["energies"] @ moved.positions

    here, step = reference(model, atoms), 1e-3
    rate = (moment(step) - moment(-step)) / (2 * step)
    power = np.einsum("ia,ia->i", here["forces"], velocity)
    flux = here["energies"] @ velocity + np.einsum("iab,ib->a", here["atomic_virials"], velocity)
    np.testing.assert_allclose(rate, flux - power @ atoms.positions, rtol=0, atol=1e-8)
    symmetric = here["atomic_virials"].transpose(0, 2, 1)
    wrong = here["energies"] @ velocity + np.einsum("iab,ib->a", symmetric, velocity)
    assert np.abs(wrong - flux).max() > 1e-6, "the test cannot tell a tensor from its transpose"


def test_python_class_runs_the_plugin(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model("nequip")
    write_data(tmp_path / "s.data", STRUCTURES["periodic"], SPECIES)
    text = md_input(model, "run 0\nclear") + md_input(model, "run 0")
    script = f"""
from e3md.lammps import lammps
lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
lmp.commands_string({text!r})
energy = lmp.get_thermo("pe")  # collective
if lmp.extract_setting("world_rank") == 0:
    print(energy, lmp.extract_setting("world_size"))
lmp.close()
"""
    (tmp_path / "in.py").write_text(script)
    for n_ranks in (1, 2):
        command = [mpiexec_path(), "-n", str(n_ranks), sys.executable, "in.py"]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        energy, size = done.stdout.split()
        assert float(energy) == pytest.approx(
            reference(model, STRUCTURES["periodic"])["energy"], abs=1e-9
        )
        assert int(size) == n_ranks


def test_command_line_needs_no_environment(make_model: MakeModel, tmp_path: Path) -> None:
    write_data(tmp_path / "s.data", STRUCTURES["periodic"], SPECIES)
    (tmp_path / "in.t").write_text(md_input(make_model("nequip"), "run 0"))
    source = Path(plugin_path()).parents[2]
    e3md = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(source)!r})\n"
            "from e3md.cli import app; app()", "lmp", "-in", "in.t"]  # fmt: skip
    for command in (e3md, [mpiexec_path(), "-n", "2", *e3md]):
        environment = {"PATH": "/usr/bin:/bin", "LAMMPS_PLUGIN_PATH": "/nonexistent"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        assert "sha256" in done.stdout
        assert "Total wall time" in done.stdout
