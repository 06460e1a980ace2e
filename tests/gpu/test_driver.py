"""From the op to launches: loader, compiler and cache, with a driver that emulates a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cases import case
from emulated import HERE, OPTIONS
from radial import Case, Results

import e3md

LIBRARY = Path(e3md.__file__).parent / "lib" / "libe3md.so"
LIMIT = 1e-12


class Machine:
    """Where processes find a driver, a cache of their own, and a case to make."""

    def __init__(self, folder: Path, libraries: Path) -> None:
        self.folder, self.log, self.cache = folder, folder / "log", folder / "cache" / "e3md"
        self.environment = {
            **os.environ, "FAKE_LOG": str(self.log), "FAKE_FOLDER": str(folder),
            "FAKE_TESTS": str(HERE), "FAKE_COMPILER": " ".join(OPTIONS),
            "XDG_CACHE_HOME": str(folder / "cache"), "LD_LIBRARY_PATH": str(libraries),
        }  # fmt: skip

    def give(self, given: Case) -> None:
        c, graph = given.convolution, given.graph
        vec = graph.edge_vec
        if c.n_gradients > 1:
            vec = vec.expand(c.n_gradients, -1, -1)
        arguments = (given.h, vec, graph.types, graph.edge_index, c.tables, c.solid)
        torch.save((given.g, arguments, graph.n_local, c.dim_in > 0), self.folder / "call.pt")

    def start(self, **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / "driven.py"), str(LIBRARY), str(self.folder)]
        environment = {**self.environment, **more}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def error(self, given: Case) -> float:
        out, grad_h, grad_vec = torch.load(self.folder / "results.pt")
        found = Results(out, grad_h, grad_vec.view(-1, *grad_vec.shape[-2:]))
        return found.worst(given.by_op())

    def lines(self, function: str) -> list[str]:
        """Of the log so far, which is emptied."""
        lines = self.log.read_text().splitlines()
        self.log.unlink()
        return [line for line in lines if line.startswith(function)]


def succeeded(process: subprocess.Popen[str]) -> bool:
    said = process.communicate()[1]
    return process.returncode == 0 or pytest.fail(said)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libraries")
    for name in ("libcuda.so.1", "libnvrtc.so.13"):
        subprocess.run([*OPTIONS, str(HERE / "fake_cuda.cpp"), "-o", folder / name], check=True)
    return folder


@pytest.fixture
def machine(tmp_path: Path, libraries: Path) -> Machine:
    return Machine(tmp_path, libraries)


def test_launches(machine: Machine) -> None:
    """Groups of paths one after the other, from one text."""
    given = case("high")
    machine.give(given)
    assert succeeded(machine.start())
    assert machine.error(given) < LIMIT
    log = machine.log.read_text().splitlines()
    assert log[:2] == ["cuInit", "cuDeviceGet"]
    assert log.index("nvrtcCompileProgram --std=c++17 -arch=sm_90") < log.index("cuModuleLoadData")
    blocks = "2 1 1 128 0"
    once = [f"cuLaunchKernel {d}_{k} {blocks}" for d in ("forward", "backward") for k in range(3)]
    assert machine.lines("cuLaunchKernel") == 2 * once


def test_two_processes_and_a_damaged_cache(machine: Machine) -> None:
    given = case("committee")
    machine.give(given)
    both = [machine.start() for _ in range(2)]
    assert all([succeeded(process) for process in both])
    assert machine.error(given) < LIMIT
    assert machine.lines("nvrtcCompile")
    (kept,) = machine.cache.iterdir()
    assert succeeded(machine.start())
    assert machine.lines("nvrtcCompile") == []
    kept.write_bytes(b"not what it was")
    assert succeeded(machine.start())
    assert machine.error(given) < LIMIT
    assert len(machine.lines("nvrtcCompile")) == 1
    assert list(machine.cache.iterdir()) == [kept]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("cuInit", "CUDA driver, cuInit: a planted failure (700)"),
        ("cuLaunchKernel", "CUDA driver, forward_0: a planted failure (700)"),
        ("nvrtcCompileProgram", "NVRTC 13.0 does not compile e3md's kernels for sm_90"),
    ],
)
def test_failures_are_named(machine: Machine, function: str, said: str) -> None:
    machine.give(case("first_layer"))
    process = machine.start(FAKE_FAIL=function)
    assert said in process.communicate()[1]
    assert process.returncode == 1


def test_no_driver(machine: Machine, tmp_path: Path) -> None:
    """Whatever this machine has."""
    (tmp_path / "libcuda.so.1").write_text("no library")
    machine.give(case("first_layer"))
    said = machine.start(LD_LIBRARY_PATH=str(tmp_path)).communicate()[1]
    assert "no CUDA driver: libcuda.so.1 does not open. Install NVIDIA's driver" in said
