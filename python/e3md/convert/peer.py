"""Runs an extraction script in the environment of another program."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from e3md.convert.extract import neutral_file
from e3md.convert.interpreter import environment
from e3md.convert.neutral import ConversionError
from e3md.convert.reason import reason
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
    log: Path  # where everything that the program said goes, if it fails
    head: str | None = None

    def extract(self, output: Path) -> None:
        """Write the neutral form of the model.

        Raises:
            ConversionError: with the last line that the program said, if it fails, and the log.
        """
        self._run("extract", str(output))

    def evaluate(self, structures: Sequence[Atoms], folder: Path) -> tuple[str, list[Reference]]:
        """Results of the program itself, and its arithmetic, "float32" or "float64".

        Raises:
            ConversionError: as `extract`.
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
        done = run(command, environment())
        if done.returncode:
            raise ConversionError(self._explain(done))

    def _explain(self, done: subprocess.CompletedProcess[str]) -> str:
        words, expected = reason(self.source, self.path, self.python, done)
        if expected:
            return words
        said = (
            f"$ {' '.join(done.args)}\n{done.stdout}{done.stderr}\nexit status {done.returncode}\n"
        )
        try:
            self.log.write_text(said, encoding="utf-8")
        except OSError as error:
            return (
                f"{words} (what else it said could not be written to {self.log}: {error.strerror})"
            )
        return f"{words}\nEverything that it said is in {self.log}"


def references(arrays: dict[str, NDArray]) -> list[Reference]:
    """Structures and results from the arrays of an `evaluate` run."""
    return [
        Reference(
            atoms, float(arrays[f"{k}.energy"]), arrays[f"{k}.forces"], arrays.get(f"{k}.stress")
        )
        for k, atoms in enumerate(neutral_file.unpack_structures(arrays))
    ]
