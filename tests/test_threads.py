"""As many threads as cores and size make sense of, unless the user says otherwise."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ase.build import bulk

from e3md import E3Calculator, threads
from e3md.demo import MODEL_PATH


@pytest.fixture
def free(monkeypatch) -> None:
    """Four cores, and nothing that the user set."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "physical_cores", lambda: 4)
    monkeypatch.setattr(threads, "_default", torch.get_num_threads())


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(
    ("n_atoms", "expected"), [(0, 1), (8, 1), (199, 1), (200, 2), (350, 3), (10**6, 4)]
)
def test_never_more_than_help(n_atoms: int, expected: int) -> None:
    assert threads.useful_threads(n_atoms) == expected


@pytest.mark.usefixtures("free")
def test_what_the_user_set_is_kept(monkeypatch) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 2)
    try:
        assert threads.useful_threads(8) == before + 2
    finally:
        torch.set_num_threads(before)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads.useful_threads(8) == before


@pytest.mark.usefixtures("free")
def test_an_exact_number_is_kept() -> None:
    before = torch.get_num_threads()
    with threads.exactly(3), threads.suited_to(1):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def _cores(monkeypatch, folder: Path, cores: list[int], quota: str) -> int:
    """Logical CPUs of which each entry names the core."""
    for cpu, core in enumerate(cores):
        topology = folder / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "core_id").write_text(f"{core}\n")
        (topology / "physical_package_id").write_text("0\n")
    (folder / "cpu.max").write_text(quota)
    monkeypatch.setattr(threads, "_TOPOLOGY", folder)
    monkeypatch.setattr(threads, "_QUOTA", folder / "cpu.max")
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: set(range(len(cores))))
    return threads.physical_cores.__wrapped__()


@pytest.mark.parametrize(
    ("cores", "quota", "expected"),
    [
        ([0, 1, 0, 1], "max 100000", 2),
        ([0, 1, 2, 3], "max 100000", 4),
        ([0, 1, 2, 3], "250000 100000", 2),
        ([0, 1, 2, 3], "50000 100000", 1),
        ([0, 1, 2, 3], "", 4),
    ],
)
def test_cores(monkeypatch, tmp_path: Path, cores: list[int], quota: str, expected: int) -> None:
    assert _cores(monkeypatch, tmp_path, cores, quota) == expected


@pytest.mark.usefixtures("free")
def test_the_calculator_leaves_the_number_as_it_was(monkeypatch) -> None:
    asked: list[int] = []
    use = torch.set_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda n: (asked.append(n), use(n)))
    before = torch.get_num_threads()
    atoms = bulk("Li", "bcc", a=3.5).repeat(6)  # 216
    atoms.calc = E3Calculator(MODEL_PATH)
    atoms.get_forces()
    assert asked == ([2, before] if before != 2 else [])
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("first", "spins"), [("import e3md", "0"), ("import torch, e3md", "None")])
def test_waiting_threads_leave_their_core_to_others(first: str, spins: str) -> None:
    """Where torch was there first it is too late, and the environment is left alone."""
    code = f"{first}; import os; print(os.environ.get('GOMP_SPINCOUNT'))"
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == spins
