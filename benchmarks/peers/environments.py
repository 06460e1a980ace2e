"""Environments of the programs that e3md is compared with, each of its own."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

PACKAGES = {
    "mace": "mace-torch==0.3.16",
    "nequip": "nequip==0.19.0",
    "schnetpack": "schnetpack",
    # its backend of AVX-512 is taken where the processor has that; mace-torch writes its models
    "symmetrix": "symmetrix-xl==0.1.1 symmetrix-xl-cpu-avx512==0.1.1 mace-torch==0.3.16",
    "sevennet": "sevenn==0.13.0",
}


def make_environments(folder: Path, names: Iterable[str] = PACKAGES) -> None:
    """Install peers, each in an environment of its own."""
    for name in names:
        if (folder / name).exists():
            continue
        subprocess.run(["python3", "-m", "venv", str(folder / name)], check=True)
        pip = [str(folder / name / "bin" / "pip"), "install", "-q"]
        subprocess.run([*pip, "torch==2.13.0"], check=True)
        subprocess.run([*pip, *PACKAGES[name].split()], check=True)
