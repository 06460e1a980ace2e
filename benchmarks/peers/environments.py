"""Environments of the programs that e3md is compared with, each of its own."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

PACKAGES = {
    "mace": "mace-torch==0.3.16",
    "nequip": "nequip==0.19.0",
    "schnetpack": "schnetpack",
}


def make_environments(folder: Path, names: Iterable[str] = PACKAGES) -> None:
    """Install peers, each in an environment of its own."""
    for name in names:
        if (folder / name).exists():
            continue
        subprocess.run(["python3", "-m", "venv", str(folder / name)], check=True)
        pip = [str(folder / name / "bin" / "pip"), "install", "-q"]
        subprocess.run([*pip, "torch==2.13.0"], check=True)
        subprocess.run([*pip, PACKAGES[name]], check=True)
