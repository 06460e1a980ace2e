"""Converted models against the programs they come from: one table.

    python benchmarks/parity/run.py FOLDER --python mace=OTHER/bin/python [--python nequip=...]

FOLDER holds model files, for example from `benchmarks/peers/models_mace.py` and so on,
and real ones (sevenn's wheel has four: SITE_PACKAGES/sevenn/pretrained_potentials). Each is
converted through `e3md convert`, which compares ten structures in float64.
With --ranks 1 2 4 each result is also compared between ASE and LAMMPS.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from e3md import E3Calculator
from e3md._core import read_metadata
from e3md.bench import machine
from e3md.convert import ConversionError, convert
from e3md.convert.detect import detect
from e3md.lammps.runner import LammpsCase, run_lammps
from e3md.structures import perturbed_structures

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("models", type=Path, nargs="+", help="model files, or folders of them")
parser.add_argument("--python", action="append", default=[], metavar="SOURCE=INTERPRETER")
parser.add_argument("--ranks", type=int, nargs="*", default=[])
args = parser.parse_args()


def files(given: list[Path]) -> list[Path]:
    """Model files, and those in folders and theirs (a folder with model.json is a model itself)."""
    found: list[Path] = []
    for path in given:
        folder = path.is_dir() and not (path / "model.json").is_file()
        found += files(sorted(path.iterdir())) if folder else [path]
    return [path for path in found if path.suffix not in (".md", ".py", ".pyc", ".yaml")]


def in_lammps(model: Path, folder: Path, ranks: list[int]) -> float:
    """Largest force difference between ASE and LAMMPS on any number of ranks, eV/Å."""
    calculator = E3Calculator(str(model))
    structures = [a for a in perturbed_structures(calculator.species) if a.pbc.all()]
    worst = 0.0
    for n in ranks:
        results = run_lammps([LammpsCase(atoms, model) for atoms in structures], n, folder)
        for atoms, result in zip(structures, results, strict=True):
            atoms.calc = calculator
            worst = max(worst, float(abs(atoms.get_forces() - result.forces).max()))
    return worst


pythons = dict(item.split("=", 1) for item in args.python)
table = Table("model", "source", "energy", "forces", "stress", "LAMMPS", "layers")
print(f"{machine()}, float64; eV/atom, eV/Å, eV/Å³; LAMMPS on {args.ranks} ranks: eV/Å")
for path in files(args.models):
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        row = [f"{path.parent.name}/{path.name}", "?"]
        try:
            source = detect(path)
            row[1] = source.name
            found = convert(
                path, model, dtype="float64", python=pythons.get(source.name), trust_source=True
            )
            row += [f"{v:.1e}" for v in (found.energy_per_atom, found.forces, found.stress)]
            row.append(f"{in_lammps(model, Path(folder), args.ranks):.1e}" if args.ranks else "")
            row.append(str(read_metadata(str(model)).n_layers))
        except ConversionError as error:
            row.append(str(error).splitlines()[0].removeprefix(f"{path}: ")[:100])
    table.add_row(*row)
Console(width=150).print(table)
