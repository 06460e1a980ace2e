"""Runs an extraction script in the environment of another program."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from e3md.convert.extract import neutral_file
from e3md.convert.neutral import ConversionError
from e3md.convert.sources import Source
from e3md.processes import run


@dataclass(frozen=True)
class Reference:
    """A structure with the numbers of another program."""

    atoms: Atoms
    energy: float  # eV
    forces: NDArray[np.float64]  # (n_atoms, 3) eV/Å
    stress: NDArray[np.float64] | None  # (3, 3) eV/Å³


@dataclass(frozen=True)
class Peer:
    """A foreign model file and the interpreter that can read it."""

    source: Source
    path: Path
    python: Path
    head: str | None = None

    def extract(self, output: Path) -> None:
        """Write the neutral form of the model.

        Raises:
            ConversionError: with what the script said, if it fails.
        """
        self._run("extract", str(output))

    def evaluate(self, structures: Sequence[Atoms], folder: Path) -> tuple[str, list[Reference]]:
        """Results of the program itself, and its arithmetic, "float32" or "float64".

        Raises:
            ConversionError: with what the script said, if it fails.
        """
        given, found = folder / "structures.safetensors", folder / "results.safetensors"
        neutral_file.write(given, {}, neutral_file.pack_structures(structures))
        self._run("evaluate", str(found), str(given))
        header, arrays = neutral_file.read(found)
        return header["dtype"], references(arrays)

    def _run(self, task: str, *arguments: str) -> None:
        command = [str(self.python), str(self.source.script), task, str(self.path), *arguments]
        if self.head is not None:
            command += ["--head", self.head]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = run(command, environment)
        if done.returncode:
            raise ConversionError(_reason(self, done.stderr))


def _reason(peer: Peer, stderr: str) -> str:
    lines = stderr.strip().splitlines() or ["no message"]
    if lines[-1].startswith("unsupported: "):
        return f"{peer.path}: e3md has no counterpart of {lines[-1].removeprefix('unsupported: ')}"
    if "ModuleNotFoundError" in lines[-1]:
        return (
            f"{peer.python} cannot read {peer.path} ({lines[-1]}): give the interpreter of an "
            f"environment that has {peer.source.program} with --python"
        )
    return f"{peer.python} failed on {peer.path}:\n" + "\n".join(lines[-12:])


def references(arrays: dict[str, NDArray]) -> list[Reference]:
    """Structures and results from the arrays of an `evaluate` run."""
    return [
        Reference(
            atoms, float(arrays[f"{k}.energy"]), arrays[f"{k}.forces"], arrays.get(f"{k}.stress")
        )
        for k, atoms in enumerate(neutral_file.unpack_structures(arrays))
    ]


def interpreter(python: Path | None) -> Path:
    """The interpreter to run scripts with: the given one, else this one."""
    found = Path(sys.executable) if python is None else python
    if not found.is_file():
        raise ConversionError(f"--python {found}: no such interpreter")
    return found
