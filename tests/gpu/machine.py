"""A machine with a GPU, as processes see one: a driver and a compiler that emulate it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import e3md
from gpu.emulated import HERE, OPTIONS

LIBRARY = Path(e3md.__file__).parent / "lib" / "libe3md.so"
Call = tuple[str, tuple[Any, ...]]  # an op of e3md_gpu and its arguments


class Machine:
    """Where processes find a driver, a cache of their own, and a case to make."""

    def __init__(self, folder: Path, libraries: Path) -> None:
        self.folder, self.log, self.cache = folder, folder / "log", folder / "cache" / "e3md"
        self.environment = {
            **os.environ, "FAKE_LOG": str(self.log), "FAKE_FOLDER": str(folder),
            "FAKE_TESTS": str(HERE), "FAKE_COMPILER": " ".join(OPTIONS),
            "XDG_CACHE_HOME": str(folder / "cache"), "LD_LIBRARY_PATH": str(libraries),
        }  # fmt: skip

    def give(self, calls: list[Call]) -> None:
        torch.save(calls, self.folder / "calls.pt")

    def start(self, **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / "driven.py"), str(LIBRARY), str(self.folder)]
        environment = {**self.environment, **more}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def results(self) -> list[Any]:
        return torch.load(self.folder / "results.pt")

    def lines(self, function: str) -> list[str]:
        """Of the log so far, which is emptied."""
        lines = self.log.read_text().splitlines()
        self.log.unlink()
        return [line for line in lines if line.startswith(function)]


def succeeded(process: subprocess.Popen[str]) -> bool:
    said = process.communicate()[1]
    return process.returncode == 0 or pytest.fail(said)
