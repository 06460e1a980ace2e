"""ASE's own tests with E3Calculator in the place of EMT, beside the same tests with EMT itself.

    python benchmarks/ase_suite/run.py -o OUTPUT [--model MODEL] [--minutes 10]

Without --model, a small potential learns EMT's energies and forces first (frames.py). Then the modules of
the installed ASE's tests of calculators, constraints, filters, NEB and vibrations that import EMT run
twice, and what differs is listed. Tests that assert
EMT's own numbers must differ, and relaxations may not end. The status is 1 if one fails that EMT
passes by another error: that would be the calculator's fault. Needs pytest; ASE's tests come in its wheel.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import ase.test
import yaml
from emt_place import MODEL, OUTCOMES
from frames import frames

Outcomes = dict[str, list[str]]

FOLDERS = ("calculator", "constraints", "filter", "neb", "vibrations")

CONFIG = {
    "data": {"train": ["frames.xyz"], "valid_fraction": 0.05},
    "model": {
        "arch": "nequip",
        "cutoff": 5.5,
        "n_layers": 2,
        "l_max": 1,
        "channels": 16,
        "zbl": True,
    },
    "training": {
        "batch_size": 8,
        "max_epochs": 150,
        "threads": 1,
        "loss": {"energy": 4, "forces": 1},
    },
    "run_dir": "run",
}


def train(folder: Path, minutes: float) -> Path:
    """A potential of EMT's elements that is about EMT."""
    ase.io.write(folder / "frames.xyz", list(frames()))
    training = {**CONFIG["training"], "hours": minutes / 60}  # type: ignore[dict-item]
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "training": training}))
    for arguments in (["train", "config.yaml"], ["export", "run", "-o", "emt.pt"]):
        subprocess.run([sys.executable, "-m", "e3md", *arguments], cwd=folder, check=True)
    return folder / "emt.pt"


def modules() -> list[str]:
    """Test modules of ASE that import EMT, as paths."""
    tests = Path(ase.test.__file__).parent
    found = [path for folder in FOLDERS for path in sorted((tests / folder).rglob("test_*.py"))]
    found = [path for path in found if "calculators.emt import" in path.read_text()]
    assert found, f"no test of EMT below {tests}: this ASE was installed without its tests"
    return [str(path) for path in found]


def run_tests(folder: Path, name: str, model: Path | None) -> Outcomes:
    """The outcome of each test, by its name."""
    here, outcomes = Path(__file__).parent, folder / f"{name}.json"
    paths = [str(here), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), OUTCOMES: str(outcomes)}
    if model:
        environment[MODEL] = str(model.resolve())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "emt_place", "-p", "no:cacheprovider"]
    with open(folder / f"{name}.log", "w") as log:
        subprocess.run([*command, *modules()], cwd=folder, env=environment, stdout=log)
    return json.loads(outcomes.read_text())


def show(emt: Outcomes, ours: Outcomes) -> int:
    """Prints a table by folder, then what differs; returns how many differ by more than numbers."""
    for folder in FOLDERS:
        own = [name for name in emt if name.startswith(f"{folder}/")]
        counts = [sum(of.get(n, [""])[0] == "passed" for n in own) for of in (emt, ours)]
        print(f"{folder:12} {len(own):4} tests, EMT passes {counts[0]}, E3Calculator {counts[1]}")
    differing = [n for n in emt if emt[n][0] != ours.get(n, ["missing"])[0]]
    for name in differing:
        print(f"{name}: EMT {emt[name][0]}, E3Calculator {' '.join(ours.get(name, ['missing']))}")
    return sum(ours.get(n, ["", ""])[1] not in ("AssertionError", "NotOver", "") for n in differing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a model of Al Cu Ag Au Ni Pd Pt H C N O")
    parser.add_argument("--minutes", type=float, default=10, help="of training, without --model")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    model = args.model or train(args.output.resolve(), args.minutes)
    emt = run_tests(args.output.resolve(), "emt", None)
    ours = run_tests(args.output.resolve(), "e3md", model)
    return 1 if show(emt, ours) else 0


if __name__ == "__main__":
    sys.exit(main())
