"""Kernels for GPUs, tested without one."""

import subprocess
from pathlib import Path

import pytest

from gpu.emulated import COMPILER, HERE, OPTIONS
from gpu.machine import Machine


@pytest.fixture(autouse=True)
def _compiler() -> None:
    if COMPILER is None:
        pytest.skip("no C++ compiler")


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libraries")
    for name in ("libcuda.so.1", "libnvrtc.so.13"):
        subprocess.run([*OPTIONS, str(HERE / "fake_cuda.cpp"), "-o", folder / name], check=True)
    return folder


@pytest.fixture
def machine(tmp_path: Path, libraries: Path) -> Machine:
    return Machine(tmp_path, libraries)
