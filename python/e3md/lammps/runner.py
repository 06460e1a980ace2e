"""Structures evaluated by LAMMPS: input, run, results in ASE's axes and units."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from e3md.lammps import environment, lmp_command
from e3md.lammps.inputs import boundary_of, potential, structure
from e3md.lammps.structure import FloatArray, Frame, cell_of_dump, write_data
from e3md.processes import run

BAR = 1 / 1.6021765e6  # eV/Å³, as LAMMPS' units metal has it (nktv2p)
_TENSOR = [[0, 3, 4], [6, 1, 5], [7, 8, 2]]  # LAMMPS' xx yy zz xy xz yz yx zx zy


@dataclass(frozen=True)
class LammpsCase:
    """One structure to evaluate, and what else its input does, in LAMMPS' units metal."""

    atoms: Atoms
    model: Path
    species: tuple[str, ...] | None = None  # of the LAMMPS types; None: those of the atoms, sorted
    settings: str = ""  # after `pair_style e3nn`
    boundary: str | None = None  # None: p or f, from the atoms
    first: str = ""  # commands before the box is created
    before: str = ""  # commands between pair_coeff and the evaluation: move atoms, replicate, ...
    potential: str | None = None  # commands instead of pair_style and pair_coeff
    atom_style: str = "atomic"


@dataclass(frozen=True)
class LammpsResult:
    """What LAMMPS found, in ASE's axes."""

    atoms: Atoms  # as evaluated: differs from the case's if `before` changed them
    ids: NDArray[np.int64]  # (n,) LAMMPS' atom IDs, ascending
    energy: float  # eV
    energies: FloatArray  # (n,) eV
    forces: FloatArray  # (n, 3) eV/Å
    virial: FloatArray  # (3, 3) eV, of the pair style
    atomic_virials: FloatArray  # (n, 3, 3) eV, row index: position, column index: force

    @property
    def stress(self) -> FloatArray:
        """(3, 3) eV/Å³, ASE's sign, by the volume of the atoms' cell; it must have three vectors."""
        return -self.virial / self.atoms.get_volume()


def run_lammps(cases: Sequence[LammpsCase], n_ranks: int, folder: Path) -> list[LammpsResult]:
    """Evaluate structures, one after another, in one run of `lmp` on n_ranks processes.

    Inputs and outputs stay in `folder`: run_N.in, run_N.log, K.data, K.dump.

    Raises:
        RuntimeError: with the end of LAMMPS' output, if it fails.
        ImportError: if LAMMPS is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames, sections = [], []
    for k, case in enumerate(cases):
        species = case.species or tuple(sorted(set(case.atoms.symbols)))
        frames.append(
            write_data(folder / f"{k}.data", case.atoms, species, atom_style=case.atom_style)
        )
        sections.append(_section(case, species, k))
    run_input("\nclear\n".join(sections), n_ranks, folder)
    return [_read(folder, k, cases[k], frames[k]) for k in range(len(cases))]


def run_input(text: str, n_ranks: int, folder: Path, name: str = "run") -> str:
    """Run a LAMMPS input in `folder`, kept there as NAME_N.in; returns the log.

    Raises:
        RuntimeError: with the end of LAMMPS' output, if it fails.
    """
    stem = f"{name}_{n_ranks}"
    (folder / f"{stem}.in").write_text(text, encoding="utf-8")
    command = [*lmp_command(n_ranks), "-in", f"{stem}.in", "-log", f"{stem}.log", "-nocite"]
    done = run(command, environment(), folder)
    if done.returncode:
        tail = (done.stdout + done.stderr)[-2500:]
        raise RuntimeError(f"LAMMPS failed on {folder / stem}.in with {n_ranks} ranks:\n{tail}")
    return (folder / f"{stem}.log").read_text(encoding="utf-8")


def _section(case: LammpsCase, species: Sequence[str], k: int) -> str:
    boundary = case.boundary or boundary_of(case.atoms.pbc)
    forces = case.potential or potential(case.model, species, case.settings)
    begin = structure(f"{k}.data", boundary, case.atom_style, case.first)
    return f"""{begin}{forces}
{case.before}
compute e3md_e all pe/atom pair
compute e3md_w all centroid/stress/atom NULL pair
compute e3md_p all pressure NULL pair
thermo_style custom step pe c_e3md_p[*]
dump e3md all custom 1 {k}.dump id type x y z fx fy fz c_e3md_e c_e3md_w[*]
dump_modify e3md sort id format float %.17g
run 0
variable e3md_v equal vol
print "$(pe:%.17g) $(v_e3md_v:%.17g) $(c_e3md_p[1]:%.17g) $(c_e3md_p[2]:%.17g) &
$(c_e3md_p[3]:%.17g) $(c_e3md_p[4]:%.17g) $(c_e3md_p[5]:%.17g) $(c_e3md_p[6]:%.17g)" &
file {k}.thermo screen no
"""


def _read(folder: Path, k: int, case: LammpsCase, frame: Frame) -> LammpsResult:
    energy, volume, *pressure = np.loadtxt(folder / f"{k}.thermo")
    text = (folder / f"{k}.dump").read_text(encoding="utf-8")
    lines = text[text.rindex("ITEM: TIMESTEP") :].splitlines()
    bounds = np.array([line.split() for line in lines[5:8]], dtype=float)
    rows = np.array([line.split() for line in lines[9:]], dtype=float).reshape(-1, 18)
    species = case.species or tuple(sorted(set(case.atoms.symbols)))
    periodic = case.atoms.pbc[:, None]
    rotate = frame.to_ase
    atoms = Atoms(
        [species[int(t) - 1] for t in rows[:, 1]],
        positions=rows[:, 2:5] @ rotate + frame.origin,
        cell=np.where(periodic, cell_of_dump(bounds) @ rotate, case.atoms.cell.array),
        pbc=case.atoms.pbc,
    )
    return LammpsResult(
        atoms=atoms,
        ids=rows[:, 0].astype(np.int64),
        energy=float(energy),
        energies=rows[:, 8],
        forces=rows[:, 5:8] @ rotate,
        virial=rotate.T @ _symmetric(np.array(pressure) * volume * BAR) @ rotate,
        atomic_virials=rotate.T @ (-rows[:, 9:][:, _TENSOR] * BAR) @ rotate,
    )


def _symmetric(v: FloatArray) -> FloatArray:
    """(3, 3) from LAMMPS' xx yy zz xy xz yz."""
    return v[[[0, 3, 4], [3, 1, 5], [4, 5, 2]]]
