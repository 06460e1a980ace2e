"""What users are told when the other program, or its interpreter, fails: a line and a log."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROOT
from e3md.convert import ConversionError
from e3md.convert.extract import neutral_file
from e3md.convert.interpreter import interpreter
from e3md.convert.peer import Peer
from e3md.convert.sources import SOURCES, Source

EXTRACT = Path(neutral_file.__file__).parent
Run = Callable[[str], str]


@pytest.fixture
def failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a few lines as the extraction script of mace-torch; returns what the user is told."""

    def run(body: str) -> str:
        (tmp_path / "script.py").write_text(textwrap.dedent(body))
        monkeypatch.setattr(Source, "script", property(lambda _: tmp_path / "script.py"))
        other = Peer(SOURCES["mace"], Path("x.model"), Path(sys.executable), tmp_path / "m.log")
        with pytest.raises(ConversionError) as caught:
            other.extract(tmp_path / "out")
        return str(caught.value)

    return run


def test_an_exception_is_its_last_line_and_a_log(failure: Run, tmp_path: Path) -> None:
    told = failure("print('loading')\nraise TypeError('Float did not match Double')")
    words, log = told.splitlines()
    assert words == "mace-torch failed on x.model: TypeError: Float did not match Double"
    assert log.endswith(str(tmp_path / "m.log"))
    said = (tmp_path / "m.log").read_text()
    assert "loading" in said
    assert "Traceback" in said


def test_a_long_reason_keeps_the_name_of_the_exception(failure: Run) -> None:
    told = failure("raise RuntimeError('Error(s) in loading:\\n    size of a\\n    size of b')")
    assert "RuntimeError: Error(s) in loading: ... size of b" in told
    assert "Traceback" not in told
    assert max(len(line) for line in failure("raise ValueError('x' * 9999)").splitlines()) < 500


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import sys; sys.exit('unsupported: use_so3 = True')", "no counterpart of use_so3 = True"),
        (
            "raise ModuleNotFoundError(\"No module named 'mace.tools'\")",
            "environment that has mace",
        ),
        (
            "raise ModuleNotFoundError(\"No module named 'matscipy'\")",
            "lacks the module 'matscipy'",
        ),
        (
            "raise ImportError(\"cannot import name 'cg' from 'mace'\")",
            "cannot be imported",
        ),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL, as the system does when memory runs out"),
        ("import sys; sys.exit(3)", "it gave no reason"),
        ("import sys; sys.stderr.buffer.write(b'\\xff\\xfe'); sys.exit(1)", "failed on x.model"),
        ("input()", "EOFError"),
    ],
)
def test_every_end_is_said_in_words(failure: Run, body: str, words: str) -> None:
    told = failure(body)
    assert words in told
    assert "Traceback" not in told


def test_a_log_that_cannot_be_written_is_said(failure: Run, tmp_path: Path) -> None:
    (tmp_path / "m.log").mkdir()
    told = failure("raise ValueError('no')")
    assert "ValueError: no" in told
    assert "could not be written" in told


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    """An executable file that is a shell script."""

    def write(body: str) -> Path:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo hello", "not a Python interpreter"),
        ("exit 1", "not a Python interpreter"),
        ("echo python 3 7", "is Python 3.7; the conversion needs 3.9"),
        ("echo \"('python', 2, 7)\"", "is Python 2.7; the conversion needs 3.9"),
    ],
)
def test_an_interpreter_that_cannot_serve_is_named(program, body: str, words: str) -> None:
    with pytest.raises(ConversionError, match="--python") as caught:
        interpreter(program(body))
    assert words in str(caught.value)


def test_an_interpreter_that_cannot_be_started(program, tmp_path: Path) -> None:
    path = program("echo python 3 11")
    assert interpreter(path) == path
    path.chmod(0o644)
    with pytest.raises(ConversionError, match="is not executable"):
        interpreter(path)
    path.write_bytes(b"\x7fELF of another machine")
    path.chmod(0o755)
    with pytest.raises(ConversionError, match="cannot be started"):
        interpreter(path)
    with pytest.raises(ConversionError, match=r"is a folder: give the interpreter in it"):
        interpreter(tmp_path)
    with pytest.raises(ConversionError, match="no such interpreter"):
        interpreter(tmp_path / "nowhere")


def test_the_child_does_not_see_our_packages(failure: Run, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere/of/ours")
    assert "paths: False" in failure(
        "import sys; sys.exit(f'paths: {\"/somewhere/of/ours\" in sys.path}')"
    )


SEVENN = """
import torch

def build():
    assert torch.get_default_dtype() == torch.float32, "Float did not match Double"

class SevenNetCalculator:
    def __init__(self, *arguments, **options):
        build()
        self.model = torch.nn.Sequential(torch.nn.Linear(1, 1))
"""
PROBE = """
import sys, types
sys.path[:0] = [{stub!r}, {extract!r}]
for name in ("atom_graph_data", "train", "train.dataload"):
    module = types.ModuleType(f"sevenn.{{name}}")
    module.AtomGraphData = module.unlabeled_atoms_to_graph = None
    sys.modules[module.__name__] = module
import torch, sevennet_model
sevennet_model.with_calculator = lambda structures, calculator: dict(
    dtype=next(calculator.model.parameters()).dtype, default=torch.get_default_dtype()
)
print(sevennet_model.evaluate("x.pth", None, []))
"""


def test_sevenn_builds_its_model_before_the_default_becomes_double(tmp_path: Path) -> None:
    """Its checkpoints older than 0.11 are compared in the default dtype while they are built."""
    (tmp_path / "sevenn").mkdir()
    (tmp_path / "sevenn" / "__init__.py").write_text("__version__ = '0'\n")
    (tmp_path / "sevenn" / "calculator.py").write_text(SEVENN)
    probe = PROBE.format(stub=str(tmp_path), extract=str(EXTRACT))
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("torch.float64") == 2
