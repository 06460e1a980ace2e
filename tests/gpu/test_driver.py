"""From the op to launches: loader, compiler and cache, with a driver that emulates a GPU."""

from pathlib import Path

import pytest
from radial import Case, Results

from gpu.cases import case
from gpu.machine import Call, Machine, succeeded

LIMIT = 1e-12


def calls(given: Case) -> list[Call]:
    c, graph = given.convolution, given.graph
    vec = graph.edge_vec
    if c.n_gradients > 1:
        vec = vec.expand(c.n_gradients, -1, -1)
    arguments = (given.h, vec, graph.types, graph.edge_index, c.tables, c.solid)
    return [
        ("edge_conv_radial", (*arguments, graph.n_local, c.dim_out)),
        ("edge_conv_radial_grad", (given.g, *arguments, c.dim_in > 0)),
    ]


def error(machine: Machine, given: Case) -> float:
    out, (grad_h, grad_vec) = machine.results()
    found = Results(out, grad_h, grad_vec.view(-1, *grad_vec.shape[-2:]))
    return found.worst(given.by_op())


def test_launches(machine: Machine) -> None:
    """Groups of paths one after the other, from one text."""
    given = case("high")
    machine.give(calls(given))
    assert succeeded(machine.start())
    assert error(machine, given) < LIMIT
    log = machine.log.read_text().splitlines()
    assert log[:2] == ["cuInit", "cuDeviceGet"]
    assert log.index("nvrtcCompileProgram --std=c++17 -arch=sm_90") < log.index("cuModuleLoadData")
    blocks = "2 1 1 128 0"
    once = [f"cuLaunchKernel {d}_{k} {blocks}" for d in ("forward", "backward") for k in range(3)]
    assert machine.lines("cuLaunchKernel") == 2 * once


def test_two_processes_and_a_damaged_cache(machine: Machine) -> None:
    given = case("committee")
    machine.give(calls(given))
    both = [machine.start() for _ in range(2)]
    assert all([succeeded(process) for process in both])
    assert error(machine, given) < LIMIT
    assert machine.lines("nvrtcCompile")
    (kept,) = machine.cache.iterdir()
    assert succeeded(machine.start())
    assert machine.lines("nvrtcCompile") == []
    kept.write_bytes(b"not what it was")
    assert succeeded(machine.start())
    assert error(machine, given) < LIMIT
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
    machine.give(calls(case("first_layer")))
    process = machine.start(FAKE_FAIL=function)
    assert said in process.communicate()[1]
    assert process.returncode == 1


def test_no_driver(machine: Machine, tmp_path: Path) -> None:
    """Whatever this machine has."""
    (tmp_path / "libcuda.so.1").write_text("no library")
    machine.give(calls(case("first_layer")))
    said = machine.start(LD_LIBRARY_PATH=str(tmp_path)).communicate()[1]
    assert "no CUDA driver: libcuda.so.1 does not open. Install NVIDIA's driver" in said
