"""The models compared, each built by its own program and converted: the same weights on both sides."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e3md.convert import convert

HERE = Path(__file__).parent
PEERS = HERE.parent / "peers"  # scripts for environments of other programs
sys.path.append(str(PEERS))


@dataclass(frozen=True)
class Model:
    """A model and the program it comes from."""

    program: str  # a folder of virtual environments has one of this name
    size: str  # as the program's script among PEERS takes it
    suffix: str


MODELS = {
    "mace_64x0e": Model("mace", "64x0e", ".model"),
    "mace_128x0e": Model("mace", "128x0e", ".model"),
    "mace_128x0e_128x1o": Model("mace", "128x0e+128x1o", ".model"),
    "nequip_32_l1": Model("nequip", "32,1", ".ckpt"),
    "nequip_64_l2": Model("nequip", "64,2", ".ckpt"),
    "schnet_128": Model("schnetpack", "128", ""),
    "symmetrix_128x0e": Model("symmetrix", "128x0e", ".model"),
    "symmetrix_128x0e_128x1o": Model("symmetrix", "128x0e+128x1o", ".model"),
    "sevennet_0": Model("sevennet", "SevenNet_0__11Jul2024", ".pth"),
    "sevennet_l3i5": Model("sevennet", "SevenNet_l3i5", ".pth"),
}
ANY_SYSTEM = tuple(name for name in MODELS if not name.startswith(("symmetrix", "sevennet")))


def peer(model: Model, environments: Path, *arguments: str) -> str:
    """Run the script of a program in its environment; returns what it printed."""
    python = environments / model.program / "bin" / "python"
    command = [str(python), str(PEERS / f"speed_{model.program}.py"), *arguments]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=PEERS, env=environment
    )
    if done.returncode:
        raise RuntimeError("\n".join(["no message", *done.stderr.strip().splitlines()][-8:]))
    return done.stdout


def make(name: str, species: Sequence[str], family: str, folder: Path, environments: Path) -> Path:
    """Files of a model for a family of systems, made once: the program's own and e3md's.

    Returns:
        The program's file; e3md's is beside it, with `.pt` appended.
    """
    model = MODELS[name]
    path = (folder / f"{name}-{family}{model.suffix}").resolve()
    if not path.is_file():
        peer(model, environments, "build", str(path), model.size, ",".join(species))
    converted = Path(f"{path}.pt")
    if not converted.is_file():
        python = environments / model.program / "bin" / "python"
        convert(path, converted, python=python, trust_source=True)
    return path
