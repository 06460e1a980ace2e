"""What LAMMPS writes: type labels, extended XYZ with times, binary dumps."""

import struct

import numpy as np
import pytest
from ase import Atoms
from typer.testing import CliRunner

from e3md.analysis import read_trajectory
from e3md.cli import app

STEPS = np.arange(20) * 50
WALK = np.random.default_rng(0).normal(0, 0.1, (20, 3, 3)).cumsum(axis=0) + 5.0


def dump(columns, labels, walk=WALK, ids=(1, 2, 3)):
    """Frames as LAMMPS writes them, 0.05 ps apart; `labels`: value of each column that is a name."""
    lines = ["ITEM: UNITS", "metal"]
    for step, frame in zip(STEPS, walk, strict=True):
        lines += ["ITEM: TIME", f"{step * 1e-3:g}", "ITEM: TIMESTEP", str(step)]
        lines += ["ITEM: NUMBER OF ATOMS", str(len(ids)), "ITEM: BOX BOUNDS pp pp pp"]
        lines += 3 * ["0 12"] + ["ITEM: ATOMS " + columns]
        for atom, position in enumerate(frame):
            row = {"id": ids[atom], **dict(zip(["xu", "yu", "zu"], position, strict=True))}
            row |= {name: values[atom] for name, values in labels.items()}
            lines.append(" ".join(str(row[name]) for name in columns.split()))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "labels", [("Li", "P", "S"), ("Li1", "P2", "S_b"), ("Li+", "P5+", "S2-"), ("Li", "P", "S-2")]
)
def test_type_labels_are_elements(tmp_path, labels):
    text = dump("id typelabel xu yu zu", {"typelabel": labels})
    (tmp_path / "md.dump").write_text(text)
    assert read_trajectory(tmp_path / "md.dump").species == ("Li", "P", "S")


def test_type_labels_correct_the_elements_that_lammps_makes_up(tmp_path):
    names = {"typelabel": ("Li", "P", "S"), "element": ("C", "C", "C")}
    (tmp_path / "md.dump").write_text(dump("id element typelabel xu yu zu", names))
    assert read_trajectory(tmp_path / "md.dump").species == ("Li", "P", "S")


@pytest.mark.parametrize("label", ["Ow", "CO", "hc", "Xx1", "li"])
def test_labels_that_are_no_elements_are_named(tmp_path, label):
    text = dump("id typelabel xu yu zu", {"typelabel": (label, "P", "S")})
    (tmp_path / "md.dump").write_text(text)
    with pytest.raises(ValueError, match=f"step 0: {label} is not an element"):
        read_trajectory(tmp_path / "md.dump")


def test_heavy_hydrogen_is_hydrogen(tmp_path):
    text = dump("id element xu yu zu", {"element": ("D", "T", "O")})
    (tmp_path / "md.dump").write_text(text)
    assert read_trajectory(tmp_path / "md.dump").species == ("H", "H", "O")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1 Li 5.0 5.0", "5 columns .* but a line of 4 words"),
        ("1 Li 5.0 5.0 five", "column xu yu zu: could not convert"),
        ("2 Li 5.0 5.0 5.0", "atom ID 2 is there twice"),
    ],
)
def test_a_bad_line_is_named(tmp_path, row, message):
    lines = dump("id element xu yu zu", {"element": ("Li", "P", "S")}).splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("1 Li"))
    lines[first] = row
    (tmp_path / "md.dump").write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=f"step 0: {message}"):
        read_trajectory(tmp_path / "md.dump")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ATOMS\n3", "ATOMS\n1000000000000", r"3 of 1000000000000 atoms\) and left out"),
        ("ATOMS\n3", "ATOMS\n" + "1" * 9000, r"NUMBER OF ATOMS is 111.*\.\.\., expected a whole"),
        ("STEP\n0", "STEP\n" + "9" * 9000, r"TIMESTEP is 999.*\.\.\., expected a whole"),
        ("TIME\n0", "TIME\nnan", "step 0: TIME is nan, expected a number"),
        ("0 12", "0 1e300", "step 0: BOX BOUNDS of 1e\\+300 Å, expected less"),
        ("0 12", "0 nan", "step 0: BOX BOUNDS of nan Å, expected less"),
        ("0 12", "12 0", "step 0: BOX BOUNDS: the upper bound lies below"),
        ("0 12", "0", "step 0: BOX BOUNDS: expected three lines of numbers"),
        ("0 12", "0 0", r"frame 0 \(step 0\): the cell is periodic, but its volume is zero"),
        ("0 12", "0 0.01", r"frame 0 \(step 0\): 3 atoms in 1e-06 Å³ are denser than any matter"),
        ("pp pp pp\n0 12\n0 12\n0 12", "abc origin pp pp pp\n1 1 1 0\n1 1 1 0\n1 1 1 0",
         "its volume is zero"),
    ],
)  # fmt: skip
def test_sizes_that_no_run_has_are_named(tmp_path, old, new, message):
    text = dump("id element xu yu zu", {"element": ("Li", "P", "S")})
    (tmp_path / "md.dump").write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=f"md\\.dump: .*{message}") as error:
        read_trajectory(tmp_path / "md.dump")
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -2e9])
def test_atoms_beyond_any_cell_are_named(tmp_path, value):
    walk = WALK.copy()
    walk[3, 1, 2] = value
    message = r"frame 3 \(step 150\): atom 2 lies at .* the run has blown up"
    (tmp_path / "md.dump").write_text(
        dump("id element xu yu zu", {"element": ("Li", "P", "S")}, walk)
    )
    with pytest.raises(ValueError, match=message):
        read_trajectory(tmp_path / "md.dump")


def test_a_crowd_is_no_trajectory(tmp_path):
    """Whatever its boundaries: the pairs of a crowd fill any memory."""
    walk = np.random.default_rng(0).random((20, 60, 3))
    names = {"element": 60 * ["Li"]}
    text = dump("id element xu yu zu", names, walk, range(1, 61))
    for box in ("pp pp pp", "ff ff ff"):
        (tmp_path / "md.dump").write_text(text.replace("pp pp pp", box).replace("0 12", "0 1"))
        with pytest.raises(ValueError, match=r"60 atoms in .* are denser than any matter"):
            read_trajectory(tmp_path / "md.dump")


@pytest.mark.parametrize("kind", ["0", "-1", "3", "9" * 9000])
def test_types_without_an_element_are_named(tmp_path, kind):
    (tmp_path / "md.dump").write_text(dump("id type xu yu zu", {"type": (kind, "1", "2")}))
    with pytest.raises(ValueError, match=r"step 0: atom type .*, but only 2 elements given"):
        read_trajectory(tmp_path / "md.dump", types=["Li", "P"])


def extxyz(timestep):
    """As `dump extxyz` writes it."""
    lines = []
    for step, frame in zip(STEPS, WALK, strict=True):
        lines.append("3")
        lines.append(
            f'Timestep={step} Time={step * timestep:.6f} pbc="T T T" '
            'Lattice="12 0 0 0 12 0 0 0 12" Properties=species:S:1:pos:R:3'
        )
        lines += [f"{name} {x:g} {y:g} {z:g}" for name, (x, y, z) in zip("HCO", frame, strict=True)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("timestep", "unit"), [(0.002, "ps"), (0.0001, "ps"), (2.0, "fs"), (0.25, "fs")]
)
def test_times_of_lammps_extxyz(tmp_path, timestep, unit):
    (tmp_path / "md.extxyz").write_text(extxyz(timestep))
    found = read_trajectory(tmp_path / "md.extxyz")
    assert found.frame_interval() == pytest.approx(50 * timestep * (1.0 if unit == "ps" else 1e-3))
    assert f"taken in {unit}" in found.notes[0]


def test_times_of_another_unit_are_asked_for(tmp_path):
    (tmp_path / "md.extxyz").write_text(extxyz(41.0))  # atomic units of time: 1 fs
    with pytest.raises(ValueError, match="frame_fs"):
        read_trajectory(tmp_path / "md.extxyz")
    assert read_trajectory(tmp_path / "md.extxyz", frame_fs=50.0).frame_interval() == 0.05


def test_extxyz_is_known_by_its_content(tmp_path):
    (tmp_path / "trajectory").write_text(extxyz(0.001))
    assert read_trajectory(tmp_path / "trajectory").n_frames == 20


@pytest.mark.parametrize("name", ["md.bin", "md.lammpstrj"])
@pytest.mark.parametrize("style", [b"DUMPATOM", b"DUMPCUSTOM"])
def test_binary_dumps_are_refused(tmp_path, name, style):
    (tmp_path / name).write_bytes(struct.pack("<q", -len(style)) + style + bytes(200))
    with pytest.raises(ValueError, match=r"binary LAMMPS dump.*write a text dump"):
        read_trajectory(tmp_path / name)


def test_the_command_keeps_the_drift_and_takes_several_files(tmp_path):
    text = dump("id element xu yu zu", {"element": ("Li", "Li", "Li")}, ids=(7, 8, 9))
    for name in ("a.dump", "b.dump"):
        (tmp_path / name).write_text(text)
    output = str(tmp_path / "out")
    said = {}
    for options in ((), ("--keep-drift",)):
        files = [str(tmp_path / name) for name in ("a.dump", "b.dump")]
        result = CliRunner().invoke(app, ["analyze", *files, "-o", output, *options])
        assert result.exit_code == 0, result.output
        said[options] = " ".join(result.output.split())
    assert "3 atoms with IDs up to 9, a part of the cell" in said[()]
    assert "a part of the cell" not in said[("--keep-drift",)]
    assert "20 frames of the interrupted run" in said[()]


def test_plain_atoms_need_an_interval(tmp_path):
    from ase.io import write

    write(tmp_path / "md.extxyz", [Atoms("Li", cell=3 * [9], pbc=True)] * 3)
    with pytest.raises(ValueError, match="--frame-fs"):
        read_trajectory(tmp_path / "md.extxyz")
