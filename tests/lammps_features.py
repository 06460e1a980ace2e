"""What LAMMPS can do around pair_style e3nn, one row each, as data.

`python tests/lammps_features.py` runs all of it on 1, 2 and 4 ranks and prints docs/reliability.md's
table; tests/test_lammps_features.py runs it as tests.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from conftest import random_statistics, small_config
from e3md.export import save_model
from e3md.lammps.runner import LammpsCase, LammpsResult, run_lammps
from e3md.lammps.structure import write_data
from e3md.model import build_model
from e3md.model_file import TrainingRecord
from lammps_cases import SPECIES, STRUCTURES, failure, reference

HOT = (
    "timestep 0.0005\nneigh_modify every 1 delay 0 check yes\n"
    "velocity all create 1500 11\nfix move all nve\n"
)
MOVED = HOT + "run 8\n"


@dataclass(frozen=True)
class Feature:
    """Commands between pair_coeff and the last evaluation, which is compared with ASE."""

    name: str
    commands: str = ""
    structure: str = "periodic"
    first: str = ""  # before the box
    potential: str | None = None  # instead of pair_style and pair_coeff; {model}: its path
    atom_style: str = "atomic"
    ranks: tuple[int, ...] = (1, 2, 4)
    boundary: str | None = None


@dataclass(frozen=True)
class Refusal:
    """Commands that would make numbers wrong, and what the error says to do."""

    name: str
    commands: str
    words: str
    first: str = ""
    atom_style: str = "atomic"


_HYBRID = "pair_style hybrid/scaled 0.25 e3nn 0.75 e3nn\npair_coeff * * e3nn {n} {model} Li P S"
_E3NN = "pair_coeff * * e3nn {model} Li P S"

FEATURES = [
    # where the atoms are
    Feature("boundary p p f", structure="slab"),
    Feature("boundary f p f", structure="rod"),
    Feature("boundary s s s", structure="molecule", boundary="s s s"),
    Feature("boundary m m m", structure="molecule", boundary="m m m"),
    Feature("triclinic box, skewed beyond 1/2", structure="triclinic"),
    Feature("ranks without atoms", structure="corner", first="processors * 1 1"),
    Feature("processors 1 1 *", first="processors 1 1 *"),
    Feature("comm_style tiled, balance rcb", "comm_style tiled\nbalance 1.0 rcb\n" + MOVED),
    Feature("fix balance shift", f"{HOT}fix 1 all balance 3 1.0 shift xyz 5 1.0\nrun 8\nunfix 1"),
    Feature("comm_modify cutoff larger, vel yes", "comm_modify cutoff 9 vel yes\n" + MOVED),
    Feature("neighbor nsq", "neighbor 1.0 nsq\n" + MOVED),
    Feature("neighbor multi, comm_modify mode multi", "neighbor 1.0 multi\ncomm_modify mode multi\n" + MOVED),
    Feature("atom_modify sort, first", MOVED, first="atom_modify sort 3 3.0 first all"),
    # atom styles
    *(Feature(f"atom_style {style}", MOVED, atom_style=style)
      for style in ("charge", "bond", "full")),
    Feature("atom_style sphere", HOT.replace("velocity", "# velocity") + "run 5", atom_style="sphere"),
    # integrators
    Feature("fix nvt", HOT + "unfix move\nfix move all nvt temp 900 900 0.05\nrun 8"),
    Feature("fix langevin", HOT + "fix 1 all langevin 900 900 0.05 12\nrun 8\nunfix 1"),
    Feature("fix npt iso", HOT + "unfix move\nfix move all npt temp 900 900 0.05 iso 1e5 1e5 0.2\nrun 8"),
    Feature("fix npt aniso", HOT + "unfix move\nfix move all npt temp 900 900 0.05 aniso 1e5 1e5 0.2\nrun 8"),
    Feature("fix npt tri", HOT + "unfix move\nfix move all npt temp 900 900 0.05 tri 1e5 1e5 0.2\nrun 8"),
    Feature("fix press/berendsen", HOT +
            "fix 1 all press/berendsen aniso 1e5 1e5 0.5 modulus 1e6\nrun 8\nunfix 1",
            structure="corner"),
    Feature("fix deform with box flips", HOT + "fix 1 all deform 1 xy erate 60\nrun 40\nunfix 1"),
    Feature("fix nvt/sllod", HOT + "unfix move\nfix 1 all deform 1 xy erate 5 remap v\n"
            "fix move all nvt/sllod temp 900 900 0.05\nrun 8\nunfix 1"),
    Feature("run_style respa", HOT + "run_style respa 2 2 pair 2\nrun 6\nrun_style verlet"),
    Feature("fix setforce, part of the atoms moves", "group still id < 15\n" + HOT
            + "fix 1 still setforce 0 0 0\nrun 8\nunfix 1"),
    Feature("fix rigid", HOT + "unfix move\ngroup stiff id < 9\ngroup rest subtract all stiff\n"
            "fix 1 stiff rigid single\nfix move rest nve\nrun 8\nunfix 1"),
    Feature("fix widom", f"{HOT}fix 1 all widom 2 3 1 29494 9000 full_energy\nrun 6\nunfix 1"),
    # minimization
    Feature("minimize cg", "minimize 0 1e-3 20 60"),
    Feature("minimize fire", "min_style fire\nminimize 0 1e-3 20 60"),
    Feature("fix box/relax", "fix 1 all box/relax tri 2e5 vmax 0.001\nminimize 0 1e-3 15 60\nunfix 1"),
    # atoms and boxes that change
    Feature("replicate", "replicate 2 1 2"),
    Feature("change_box", "change_box all x scale 1.1 xy delta 0.4 remap units box"),
    Feature("displace_atoms across the box", "displace_atoms all move 5.0 -4.2 6.1"),
    Feature("delete_atoms", "group gone id 3 17 29\ndelete_atoms group gone compress no"),
    Feature("delete_atoms of one type after a run", MOVED + "group gone type 2\ndelete_atoms group gone"),
    Feature("create_atoms", "create_atoms 1 random 3 77 NULL overlap 1.6 maxtry 200"),
    Feature("read_data add append", "write_data more.data nocoeff\nread_data more.data add append "
            "shift 0 0 0.9 group more\ndelete_atoms overlap 0.7 more all"),
    Feature("set type", "set group all type/subset 3 10 889"),
    Feature("reset_atoms id", "group gone id 3 17\ndelete_atoms group gone compress no\nreset_atoms id"),
    Feature("fix deposit", f"{HOT}region in block 3 6 3 6 3 6\n"
            "fix 1 all deposit 2 1 2 4567 region in near 1.2 attempt 2000\nrun 12\nunfix 1"),
    Feature("fix gcmc, full_energy", f"{HOT}fix 1 all gcmc 2 3 3 1 29494 20000 -3 0.5 full_energy "
            "overlap_cutoff 1.2\nrun 6\nunfix 1"),
    Feature("fix atom/swap", f"{HOT}fix 1 all atom/swap 1 3 29494 3000 ke no types 1 3\nrun 4\nunfix 1"),
    Feature("fix evaporate", f"{HOT}region all block EDGE EDGE EDGE EDGE EDGE EDGE\n"
            "fix 1 all evaporate 2 2 all 49892\nrun 6\nunfix 1"),
    # runs in parts
    Feature("run after run, pre no, every", MOVED + "run 3 pre no\nrun 4 every 2 NULL"),
    Feature("run 0 twice", "run 0\nrun 0"),
    Feature("write_restart, read_restart", MOVED + "write_restart r.restart\nclear\n"
            "atom_modify map yes\nread_restart r.restart\npair_style e3nn\npair_coeff * * {model} Li P S"),
    Feature("write_data, read_data", MOVED + "write_data w.data\nclear\nunits metal\n"
            "atom_modify map yes\nread_data w.data\npair_style e3nn\npair_coeff * * {model} Li P S"),
    Feature("rerun", f"{HOT}dump d all custom 1 d.dump id type x y z\ndump_modify d format float %.17g\n"
            "run 4\nundump d\nrerun d.dump dump x y z"),
    Feature("pair_style and pair_coeff again", "run 0\npair_style e3nn\npair_coeff * * {model} Li P S"),
    # other pair styles, computes, response
    Feature("hybrid/scaled, twice e3nn", potential=_HYBRID.replace("{n}", "1") + "\n"
            + _E3NN.replace("e3nn {", "e3nn 2 {")),
    Feature("hybrid/overlay with lj/cut of no depth", MOVED,
            potential="pair_style hybrid/overlay e3nn lj/cut 3.0\npair_coeff * * lj/cut 0 1\n" + _E3NN),
    Feature("special_bonds 1e-50 under hybrid", potential="special_bonds lj/coul 1e-50 1e-50 1e-50\n"
            "pair_style hybrid/overlay e3nn lj/cut 3.0\npair_coeff * * lj/cut 0 1\n" + _E3NN,
            atom_style="full"),
    Feature("forces equal fix numdiff (1e-4 eV/Å)", "fix 1 all numdiff 1 1e-4\nvariable d atom "
            "(fx-f_1[1])^2+(fy-f_1[2])^2+(fz-f_1[3])^2\ncompute d all reduce max v_d\n"
            "thermo_style custom step pe c_d\nrun 0\nvariable ok equal sqrt(c_d)<1e-4\n"
            'if "${ok} == 0" then "quit 1"\nunfix 1\nuncompute d\nthermo_style one'),
    Feature("compute pe/atom, stress/atom, centroid/stress/atom", MOVED),
]  # fmt: skip

REFUSALS = [
    Refusal("special_bonds, bonds allowed", "bond_style zero\nbond_coeff *", "special_bonds lj/coul 1 1 1",
            atom_style="full"),
    Refusal("neigh_modify exclude type", "neigh_modify exclude type 1 3", "neigh_modify exclude none"),
    Refusal("neigh_modify exclude group", "group a id < 9\nneigh_modify exclude group a a", "exclude none"),
    Refusal("neigh_modify exclude group against all", "group a id < 9\nneigh_modify exclude group a all",
            "exclude none"),
    Refusal("neigh_modify exclude molecule/intra", "neigh_modify exclude molecule/intra all",
            "exclude none", atom_style="full"),
    Refusal("neigh_modify exclude molecule/inter", "neigh_modify exclude molecule/inter all",
            "exclude none", atom_style="full"),
    Refusal("neigh_modify include", "group g type 1 2\nneigh_modify include g", "include all",
            first="atom_modify first g"),
    Refusal("comm_modify group", "group g type 1 2\ncomm_modify group g", "comm_modify group all",
            first="atom_modify first g"),
    Refusal("hybrid gives a pair of e3nn's types away", "pair_style hybrid e3nn lj/cut 3.0\n"
            "pair_coeff * * e3nn {model} Li P S\npair_coeff 1 1 lj/cut 0 1", "hybrid/overlay"),
    Refusal("pair_coeff ... none under hybrid", "pair_style hybrid/overlay e3nn lj/cut 3.0\n"
            "pair_coeff * * e3nn {model} Li P S\npair_coeff * * lj/cut 0 1\npair_coeff 1 3 none",
            "types 1 and 3"),
    Refusal("newton off", "", "newton on", first="newton off"),
    Refusal("run_style respa with inner", "run_style respa 2 2 inner 1 3.0 4.0 outer 2",
            "respa"),
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What a feature gave on some ranks, against E3Calculator on the atoms of the last step."""

    name: str
    n_ranks: int
    energy: float  # eV/atom, difference
    forces: float  # eV/Å, largest difference of a component
    virial: float  # relative to the largest component

    @property
    def same(self) -> bool:
        return self.energy < 1e-9 and self.forces < 1e-8 and self.virial < 1e-7


def case(feature: Feature, model: Path) -> LammpsCase:
    """The feature as an input for run_lammps."""
    quoted = f'"{model}"'
    potential = feature.potential and feature.potential.replace("{model}", quoted)
    end = '\nif "$(is_defined(fix,move))" then "unfix move"'
    return LammpsCase(
        STRUCTURES[feature.structure], model, SPECIES, boundary=feature.boundary, first=feature.first,
        before=feature.commands.replace("{model}", quoted) + end, potential=potential,
        atom_style=feature.atom_style,
    )  # fmt: skip


def compare(name: str, n_ranks: int, found: LammpsResult, model: Path) -> Row:
    expected = reference(model, found.atoms)
    virial = np.abs(found.virial - expected["virial"]).max()
    return Row(
        name, n_ranks,
        float(abs(found.energy - expected["energy"])) / max(1, len(found.atoms)),
        float(np.abs(found.forces - expected["forces"]).max(initial=0)),
        float(virial / max(1e-12, np.abs(expected["virial"]).max())),
    )  # fmt: skip


def run_features(features: Sequence[Feature], n_ranks: int, model: Path, folder: Path) -> list[Row]:
    """All features that are for n_ranks, in one run of LAMMPS."""
    chosen = [f for f in features if n_ranks in f.ranks]
    results = run_lammps([case(f, model) for f in chosen], n_ranks, folder)
    return [compare(f.name, n_ranks, r, model) for f, r in zip(chosen, results, strict=True)]


def run_refusal(refusal: Refusal, n_ranks: int, model: Path, folder: Path) -> str:
    """LAMMPS' output, of an input that must be refused."""
    atoms = STRUCTURES["periodic"]
    write_data(folder / "s.data", atoms, SPECIES, atom_style=refusal.atom_style)
    data = (folder / "s.data").read_text()
    if refusal.atom_style == "full":
        (folder / "s.data").write_text(data.replace("atom types\n", "atom types\n1 bond types\n"))
    text = (
        f"units metal\natom_style {refusal.atom_style}\natom_modify map yes\n{refusal.first}\n"
        f'read_data s.data\npair_style e3nn\npair_coeff * * "{model}" Li P S\n'
        + refusal.commands.replace("{model}", f'"{model}"')
        + "\nrun 0\n"
    )
    return failure(text, folder, n_ranks)


def small_model(path: Path) -> Path:
    """A model of three layers with random weights: what counts is where its numbers come from."""
    config, statistics = small_config("nequip", zbl=True), random_statistics(SPECIES)
    torch.manual_seed(7)
    model = build_model(config, statistics, torch.float64)
    save_model(model, config, statistics, TrainingRecord(), path)
    return path


def main(ranks: Sequence[int] = (1, 2, 4)) -> None:
    """The table of docs/reliability.md, on standard output; exit status 1 if a row differs."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = small_model(folder / "model.pt")
        for n in ranks:
            rows += run_features(FEATURES, n, model, folder / str(n))
        print("| feature | MPI ranks | verdict | ΔE, eV/atom | ΔF, eV/Å |\n|---|---|---|---|---|")
        for feature in FEATURES:
            found = [row for row in rows if row.name == feature.name]
            verdict = "as ASE" if all(row.same for row in found) else "**differs**"
            print(
                f"| {feature.name} | {', '.join(str(row.n_ranks) for row in found)} | {verdict} "
                f"| {max(r.energy for r in found):.0e} | {max(r.forces for r in found):.0e} |"
            )
        print("\n| refused | MPI ranks | the error says |\n|---|---|---|")
        few = ranks[:2]
        for refusal in REFUSALS:
            said = all(refusal.words in run_refusal(refusal, n, model, folder) for n in few)
            words = refusal.words if said else "**something else**"
            print(f"| {refusal.name} | {', '.join(map(str, few))} | {words} |")
            rows += [] if said else [Row(refusal.name, 0, np.inf, np.inf, np.inf)]
    sys.exit(0 if all(row.same for row in rows) else 1)


if __name__ == "__main__":
    main()
