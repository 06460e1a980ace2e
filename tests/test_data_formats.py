"""Data in the formats that ASE reads, in several files, by pattern and in part."""

import gzip
import json
import struct
import zlib
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from e3md.accuracy.evaluate import evaluate
from e3md.cli import app
from e3md.data.problems import DataError
from e3md.data.read import DataKeys, read_frames
from e3md.data.sources import expand_globs, short_names, source_of
from e3md.train.run import train
from training_data import labelled_frames, write_run


def write_traj(folder: Path, name: str = "data.traj", seed: int = 0) -> Path:
    ase.io.write(folder / name, labelled_frames(6, seed))
    return folder / name


def write_database(folder: Path) -> Path:
    path = folder / "data.db"
    with ase.db.connect(str(path)) as database:
        for atoms in labelled_frames(6):
            database.write(atoms)
    return path


def write_vasprun(folder: Path) -> Path:
    """The few elements of vasprun.xml that hold two ionic steps of two atoms."""

    def step(x: float, energy: float) -> str:
        stress = "".join(
            f"<v>{' '.join('10.0' if i == j else '0.0' for j in range(3))}</v>" for i in range(3)
        )
        return (
            f'<calculation><scstep><energy><i name="e_fr_energy">{energy}</i>'
            f'<i name="e_wo_entrp">{energy}</i><i name="e_0_energy">{energy}</i></energy></scstep>'
            '<structure><crystal><varray name="basis"><v>4 0 0</v><v>0 4 0</v><v>0 0 4</v></varray>'
            f'</crystal><varray name="positions"><v>0 0 0</v><v>{x} 0.5 0.5</v></varray></structure>'
            f'<varray name="forces"><v>{x} 0 0</v><v>-{x} 0 0</v></varray>'
            f'<varray name="stress">{stress}</varray>'
            f'<energy><i name="e_fr_energy">{energy}</i><i name="e_wo_entrp">{energy}</i>'
            f'<i name="e_0_energy">{energy}</i></energy></calculation>'
        )  # fmt: skip

    structure = (
        '<structure name="initialpos"><crystal><varray name="basis"><v>4 0 0</v><v>0 4 0</v><v>0 0 4</v>'
        '</varray></crystal><varray name="positions"><v>0 0 0</v><v>0.5 0.5 0.5</v></varray></structure>'
    )
    path = folder / "vasprun.xml"
    path.write_text(
        '<?xml version="1.0"?><modeling><kpoints></kpoints><atominfo><atoms>2</atoms>'
        '<array name="atoms"><set><rc><c>Li</c><c>1</c></rc><rc><c>F</c><c>2</c></rc></set></array>'
        "</atominfo>"
        f"{structure}{step(0.5, -9.0)}{step(0.45, -8.9)}</modeling>"
    )
    return path


@pytest.mark.parametrize("write", [write_traj, write_database], ids=["traj", "db"])
def test_labels_are_those_of_extended_xyz(write, tmp_path: Path) -> None:
    plain = tmp_path / "data.xyz"
    ase.io.write(plain, labelled_frames(6), format="extxyz")
    found, expected = (read_frames([p], DataKeys()) for p in (write(tmp_path), plain))
    assert len(found) == len(expected) == 6
    for frame, like in zip(found, expected, strict=True):
        assert frame.energy == pytest.approx(like.energy, abs=1e-6)
        np.testing.assert_allclose(frame.forces, like.forces, atol=1e-6)
        np.testing.assert_allclose(frame.stress, like.stress, atol=1e-6)


def test_vasprun_is_read_in_ases_units(tmp_path: Path) -> None:
    frames = read_frames([write_vasprun(tmp_path)], DataKeys())
    assert [frame.energy for frame in frames] == [-9.0, -8.9]
    np.testing.assert_allclose(frames[0].forces[:, 0], [0.5, -0.5])
    kbar = 0.1 / 160.21766208  # eV/Å³; VASP's sign is the other one
    np.testing.assert_allclose(np.diag(frames[0].stress), 3 * [-10 * kbar], rtol=1e-6)


def test_a_pattern_and_a_selection(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"run{n}").mkdir()
        write_traj(tmp_path / f"run{n}", seed=n)
    files = expand_globs([tmp_path / "run*" / "data.traj@-1"])
    assert [path.parent.name for path in files] == ["run0", "run1", "run2"]
    assert len(read_frames(files, DataKeys())) == 3
    assert source_of(Path("a.traj@2:5")).frames == slice(2, 5)
    assert len(read_frames([tmp_path / "run0" / "data.traj@:4"], DataKeys())) == 4
    assert len(set(short_names(files).values())) == 3
    with pytest.raises(DataError, match="no file matches"):
        expand_globs([tmp_path / "none*.xyz"])


def test_a_run_on_a_trajectory(tmp_path: Path) -> None:
    config = write_run(tmp_path, max_epochs=1)
    write_traj(tmp_path, "train.traj")
    config.write_text(config.read_text().replace("train.xyz", "tr*.traj"))
    record = json.loads((train(config) / "record.json").read_text())
    assert [entry["file"] for entry in record["training"]["data"]] == ["train.traj"]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for name, content in {
        "OUTCAR": "nothing",
        "a.traj": "no",
        "b.db": "no",
        "c.unknown": "no",
    }.items():
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(DataError, match=name) as error:
            read_frames([path], DataKeys())
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="a folder; name its files"):
        read_frames([tmp_path], DataKeys())


def test_energies_alone_are_compared(make_model, tmp_path: Path) -> None:
    frames = [Atoms("LiPS", [[0, 0, 0], [2.4, 0, 0], [0, 2.4, x]]) for x in (0.0, 0.2)]
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    path = tmp_path / "energies.traj"
    ase.io.write(path, frames)
    errors = evaluate(make_model(), path, plots_dir=tmp_path / "plots")
    assert errors.energy_per_atom is not None
    assert errors.forces is None
    assert list((tmp_path / "plots").iterdir())
    with pytest.raises(DataError, match="no forces"):
        read_frames([path], DataKeys())


def test_several_files_give_a_table_each(make_model, tmp_path: Path) -> None:
    model = make_model(species=("Ar", "Kr"))
    files = [str(write_traj(tmp_path, f"{n}.traj", n)) for n in range(2)]
    found = tmp_path / "errors.json"
    result = CliRunner().invoke(app, ["evaluate", str(model), *files, "--json", str(found)])
    assert result.exit_code == 0, result.output
    errors = json.loads(found.read_text())
    assert set(errors["files"]) == {"0.traj", "1.traj"}
    parts = [errors["files"][name]["forces"]["mae"] for name in ("0.traj", "1.traj")]
    assert errors["forces"]["mae"] == pytest.approx(np.mean(parts))


def _bomb() -> bytes:
    """A gzip file of some 300 kB that holds 300 MB of one line."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [packer.compress(b"8\n" + b"x" * 2**20)]
    parts += [packer.compress(bytes(2**20).replace(b"\0", b"x")) for _ in range(299)]
    return (
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
        + b"".join(parts)
        + packer.flush()
        + struct.pack("<II", 0, 0)
    )


@pytest.mark.parametrize(
    "content",
    [
        b"5000\nProperties=species:S:1:pos:R:3\nH 0 0 0\n",
        b"1\nProperties=species:S:1:pos:R:3" + b"".join(b":c%d:R:1" % k for k in range(5000)) + b"\nH 0 0\n",
        b"1\nProperties=species:S:1:pos:R:3:much:R:9999\nH 0 0 0\n",
        b"1\nLattice=\"" + b"1 " * 5000 + b"\" Properties=species:S:1:pos:R:3 energy=1\nH 0 0 0\n",
        b"1\nenergy=" + b"9" * 100_000 + b" Properties=species:S:1:pos:R:3:forces:R:3\nH 0 0 0 0 0 0\n",
        "٣\nProperties=species:S:1:pos:R:3\nH 0 0 0\n".encode(),
    ],
    ids=["count", "columns", "wide column", "lattice", "digits", "other digits"],
)  # fmt: skip
def test_sizes_that_no_data_have_are_one_short_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.xyz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"odd\.xyz") as error:
        read_frames([path], DataKeys())
    assert len(str(error.value)) < 1000


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xyz.gz"
    path.write_bytes(_bomb())
    assert path.stat().st_size < 2**20
    with pytest.raises(DataError, match=r"bomb\.xyz\.gz"):
        read_frames([path], DataKeys())


def test_packed_files_are_read(tmp_path: Path) -> None:
    plain = tmp_path / "data.xyz"
    ase.io.write(plain, labelled_frames(6), format="extxyz")
    packed = tmp_path / "data.xyz.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert len(read_frames([packed], DataKeys())) == 6
