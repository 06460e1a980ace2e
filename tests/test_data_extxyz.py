"""Untidy extended XYZ is read where it is unambiguous, and else refused by file, frame and key."""

import gzip
import io
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from e3md.data.comment_line import Comment, CommentError
from e3md.data.extxyz import read_structures
from e3md.data.problems import DataError
from e3md.data.read import DataKeys, read_frames
from e3md.data.symbols import tidy_symbol

LATTICE = 'Lattice="5.3 0 0 0 5.4 0 0 0 5.5" pbc="T T T"'
COLUMNS = "Properties=species:S:1:pos:R:3:forces:R:3"
ROWS = ("Si 0.1 0.2 0.3 0.5 -0.25 0.125", "O 1.9 0.2 0.3 -0.5 0.25 -0.125")


def frame(comment: str = f"{LATTICE} {COLUMNS} energy=-3.5", rows: tuple[str, ...] = ROWS) -> str:
    return "\n".join([str(len(rows)), comment, *rows]) + "\n"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "data.xyz"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_tidy_frames_are_as_ase_reads_them(tmp_path: Path) -> None:
    text = frame(f"{LATTICE} {COLUMNS} energy=-3.5 name='a b' list=\"1 2 3\" flag note=C=O")
    (ours,) = read_structures(written(tmp_path, text))
    theirs = ase.io.read(io.StringIO(text), format="extxyz")
    assert ours == theirs
    assert ours.calc.results.keys() == theirs.calc.results.keys()
    assert ours.info["name"] == theirs.info["name"] == "a b"
    assert ours.info["note"] == theirs.info["note"] == "C=O"
    np.testing.assert_array_equal(ours.info["list"], theirs.info["list"])


@pytest.mark.parametrize("blank", ["\n", "   \n", "\t\n\n \n"])
def test_blank_lines_between_frames_end_nothing(tmp_path: Path, blank: str) -> None:
    text = blank + frame() * 2 + blank + frame() + blank
    assert len(read_structures(written(tmp_path, text))) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (frame() + frame().split("\n", 1)[1], r"data\.xyz line 5: frame 1 should begin here"),
        (frame() + "3" + frame()[1:], r"data\.xyz frame 1 \(line 5\): says 3 atoms, but only 2"),
        (frame() + "1" + frame()[1:], r"data\.xyz line 8: frame 2 should begin here"),
        ("900000000\ncomment\n", r"says 900000000 atoms, but only 0"),
        (frame() + "two\n", r"line 5: .*found 'two'"),
    ],
)
def test_frames_out_of_step_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_structures(written(tmp_path, text))


@pytest.mark.parametrize("key", ["comment", "config_type", "tag"])
@pytest.mark.parametrize("after", ['pbc="T T F"', "energy=-3.5"])
def test_an_empty_text_swallows_no_key(tmp_path: Path, key: str, after: str) -> None:
    """As ASE itself writes an info entry of ''."""
    rest = {'pbc="T T F"', "energy=-3.5"} - {after}
    lattice = LATTICE.split(" pbc")[0]
    comment = " ".join([lattice, COLUMNS, f"{key}=", after, *rest])
    (atoms,) = read_structures(written(tmp_path, frame(comment)))
    assert atoms.pbc.tolist() == [True, True, False]
    assert atoms.get_potential_energy() == -3.5


def test_what_ase_writes_of_an_empty_text_comes_back(tmp_path: Path) -> None:
    atoms = Atoms("Si2", [[0, 0, 0], [1, 1, 1]], cell=[5, 5, 9], pbc=(True, True, False))
    atoms.info = {"comment": "", "energy": -2.0}
    ase.io.write(tmp_path / "slab.xyz", atoms, format="extxyz")
    (found,) = read_structures(tmp_path / "slab.xyz")
    assert found.pbc.tolist() == [True, True, False]
    assert found.get_potential_energy() == -2.0


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_byte_order_marks_and_line_ends(tmp_path: Path, mark: bytes, end: str) -> None:
    text = mark + frame().replace("\n", end).encode()
    assert len(read_structures(written(tmp_path, text))) == 1
    utf16 = (frame() * 2).replace("\n", end).encode("utf-16")
    assert len(read_structures(written(tmp_path, utf16))) == 2


def test_marks_in_the_middle_and_empty_matrices(tmp_path: Path) -> None:
    """As joined files have them, and writers that had no stress."""
    text = frame(f'{LATTICE} {COLUMNS} energy=-3.5 stress="" tag=""')
    marked = b"\xef\xbb\xbf" + text.encode()
    assert len(read_frames([written(tmp_path, marked * 2)], DataKeys())) == 2


def test_compressed_by_content(tmp_path: Path) -> None:
    assert len(read_structures(written(tmp_path, gzip.compress(frame().encode())))) == 1


def test_fortran_exponents(tmp_path: Path) -> None:
    rows = ("Si 1.0D-01 .2d0 0.3 5.0D-01 -0.25 0.125-000", "O 1.9 0.2 0.3 -0.5 0.25 -1.25e-1")
    stress = "1.0D-2 0 0 0 2.0D-2 0 0 0 3.0-002"
    (read,) = read_structures(
        written(tmp_path, frame(f'{LATTICE} {COLUMNS} energy=-3.5D+00 stress="{stress}"', rows))
    )
    assert read.get_potential_energy() == -3.5
    np.testing.assert_allclose(read.positions[0], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(read.get_forces()[0], [0.5, -0.25, 0.125])
    np.testing.assert_allclose(read.get_stress()[:3], [0.01, 0.02, 0.03])


@pytest.mark.parametrize("key", ["stress", "virial"])
def test_six_numbers_are_in_voigts_order(tmp_path: Path, key: str) -> None:
    text = frame(f'{LATTICE} {COLUMNS} energy=-3.5 {key}="1 2 3 4 5 6"')
    (read,) = read_frames([written(tmp_path, text)], DataKeys())
    matrix = np.array([[1.0, 6, 5], [6, 2, 4], [5, 4, 3]])
    factor = 1.0 if key == "stress" else -1.0 / (5.3 * 5.4 * 5.5)
    np.testing.assert_allclose(read.stress, factor * matrix)


@pytest.mark.parametrize(
    ("label", "symbol"),
    [("Si1", "Si"), ("si", "Si"), ("SI", "Si"), ("D", "H"), ("T", "H"), ("D2", "H"), ("O_h", "O"),
     ("Fe3+", "Fe"), ("Cl-", "Cl"), ("Li1", "Li"), ("X", "X")],
)  # fmt: skip
def test_labels_of_atoms(label: str, symbol: str) -> None:
    assert tidy_symbol(label) == symbol


@pytest.mark.parametrize("label", ["CA1", "NA1", "OW", "Q", "12", "Hw1", ""])
def test_labels_that_name_no_element_or_two(label: str) -> None:
    with pytest.raises(ValueError, match=f"'{label}'"):
        tidy_symbol(label)


def test_elements_come_before_other_texts(tmp_path: Path) -> None:
    text = frame(
        f"{LATTICE} Properties=element:S:1:type:S:1:pos:R:3:forces:R:3 energy=1",
        tuple(row.replace(" ", " a1 ", 1) for row in ROWS),
    )
    (atoms,) = read_structures(written(tmp_path, text))
    assert atoms.get_chemical_symbols() == ["Si", "O"]


@pytest.mark.parametrize("name", ["element", "symbol", "Species", "atom"])
def test_a_column_of_elements_under_another_name(tmp_path: Path, name: str) -> None:
    text = frame(f"{LATTICE} {COLUMNS} energy=-3.5".replace("species", name))
    (atoms,) = read_structures(written(tmp_path, text))
    assert atoms.get_chemical_symbols() == ["Si", "O"]


@pytest.mark.parametrize(
    ("comment", "rows", "words"),
    [
        (f'{LATTICE} {COLUMNS} energy="-3.5 eV"', ROWS, r"frame 0: energy is '-3.5 eV'"),
        (f"{LATTICE} {COLUMNS} energy=hello", ROWS, r"frame 0: energy is 'hello'"),
        (f'{LATTICE} {COLUMNS} energy="1 2 3"', ROWS, r"frame 0: energy: 3 values"),
        (f"{LATTICE} {COLUMNS} energy", ROWS, r"frame 0: energy is True"),
        (f"{LATTICE} {COLUMNS} energy=*****", ROWS, r"energy: \*+ is a number that its format"),
        (f"{LATTICE} {COLUMNS}:energy:R:1", tuple(f"{r} 1.0" for r in ROWS), r"energy: 2 values"),
        (f'{LATTICE} {COLUMNS} energy=1 stress="1 2 3"', ROWS, r"stress has 3 numbers"),
        (f"{LATTICE} {COLUMNS} energy=1 energy=2", ROWS, r"energy is given twice"),
        (f'{LATTICE} {COLUMNS} energy=1 note="open', ROWS, r'" is not closed'),
        (f'{COLUMNS} energy=1 Lattice="1 2 3 4"', ROWS, r"Lattice must be nine numbers"),
        (f'{LATTICE.replace("T T T", "yes")} {COLUMNS} energy=1', ROWS, r"pbc: 'yes'"),
        (f"{LATTICE} {COLUMNS}:tail:R:1000000000 energy=1", ROWS, r"'tail:R:1000000000'"),
        (f"{LATTICE} {COLUMNS}:tail:R:9 energy=1", ROWS, r"atom 0 has 7 columns, Properties names"),
        (f"{LATTICE} {COLUMNS} energy=1", (ROWS[0], "Qq 1 1 1 0 0 0"), r"atom 1.*'Qq'"),
        (f"{LATTICE} {COLUMNS} energy=1", (ROWS[0], "O 1 1 x 0 0 0"), r"atom 1, column pos: 'x'"),
        (f"{LATTICE} {COLUMNS} energy=1", (ROWS[0], "O 1 1 1 0 *** 0"), r"forces: '\*\*\*'"),
        (f"{LATTICE} Properties=name_of_site:S:1:pos:R:3:forces:R:3 energy=1", ROWS,
         r"no column of elements"),
        (f"{LATTICE} {COLUMNS} energy=1", ("X 0 0 0 0 0 0", ROWS[1]), r"atom 0 is X, atomic number 0"),
        (f"{LATTICE} {COLUMNS} energy=1", (f"{ROWS[0]} 7", ROWS[1]), r"atom 0 has 8 columns"),
        (f"{LATTICE} {COLUMNS}:Z:I:1 energy=1", (f"{ROWS[0]} 14", f"{ROWS[1]} 9"), r"is O, but .* 9"),
        (f"{LATTICE} Properties=Z:I:1:pos:R:3:forces:R:3 energy=1",
         ("14 0 0 0 0 0 0", "-8 1 1 1 0 0 0"), r"atom 1, column Z: -8 is no atomic number"),
        (f"{LATTICE} Properties=species:S:1:x:R:3:forces:R:3 energy=1", ROWS, r"no column pos:R:3"),
        (f'{COLUMNS} energy=1 Cell="5 0 0 0 5 0 0 0 5"', ROWS, r"Cell makes no cell: write Lattice"),
        (f'{COLUMNS} energy=1 Lattice="5 0 0 9 0 0 0 0 5" pbc="T T F"', ROWS, r"in one plane or line"),
        (f'{LATTICE} {COLUMNS} energy=1 stress="1 2 3 -4 5 6 7 8 9"', ROWS, r"stress is not symmetric: xy"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(
    tmp_path: Path, comment: str, rows: tuple[str, ...], words: str
) -> None:
    with pytest.raises(DataError, match=words) as raised:
        read_frames([written(tmp_path, frame(comment, rows))], DataKeys())
    assert "data.xyz" in str(raised.value)


def test_spelling_of_the_keys_that_make_a_structure(tmp_path: Path) -> None:
    """GPUMD and others write them in any case; ASE would take the frame for a cluster."""
    text = frame(
        'lattice="5.3 0 0 0 5.4 0 0 0 5.5" properties=species:S:1:pos:R:3:force:R:3 energy=1'
    )
    (read,) = read_frames([written(tmp_path, text)], DataKeys())
    assert read.atoms.pbc.all()
    assert read.atoms.cell.lengths().tolist() == [5.3, 5.4, 5.5]


def test_blanks_around_the_sign(tmp_path: Path) -> None:
    comment = Comment('a = 1  b= 2 c =3 d= e = 5 smiles=C=O s="x = y"')
    assert [(e.key, e.value) for e in comment.entries] == [
        ("a", "1"), ("b", "2"), ("c", "3"), ("e", "5"), ("smiles", "C=O"), ("s", "x = y"),
    ]  # fmt: skip


def test_a_remark_in_words_is_no_key() -> None:
    assert Comment("water's energy is low").entries == []
    with pytest.raises(CommentError, match="not closed"):
        Comment("energy=-3 water's")


def test_density_is_refused_before_neighbors_are_counted(tmp_path: Path) -> None:
    rows = tuple(f"Si {k * 1e-3} 0 0 0 0 0" for k in range(90))
    text = frame(f'Lattice="0.2 0 0 0 0.2 0 0 0 0.2" {COLUMNS} energy=1', rows)
    with pytest.raises(DataError, match="denser than any matter"):
        read_frames([written(tmp_path, text)], DataKeys())
    molecule = frame(f'{COLUMNS} energy=1 pbc="F F F"', rows)
    with pytest.raises(DataError, match="denser than any matter"):
        read_frames([written(tmp_path, molecule)], DataKeys())
