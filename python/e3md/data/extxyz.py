"""Extended XYZ files, also untidy ones: text to frames, each with its place in the file.

ASE converts the numbers of a frame. What it would drop or take for something else is put right
before (what the text means must be certain), or is an error that names frame and line.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms
from ase.data import chemical_symbols

from e3md.data.comment_line import Comment, CommentError, plain_flag, plain_numbers
from e3md.data.packed import head, unpacked
from e3md.data.problems import DataError, brief, last_line, raise_listed, some
from e3md.data.symbols import tidy_symbol

_DEFAULT_COLUMNS = "species:S:1:pos:R:3"
_ELEMENT_COLUMNS = ("species", "symbols", "Z", "numbers")
_OTHER_ELEMENT_COLUMNS = ("element", "elements", "symbol", "atom", "atoms", "type", "name")
_MOST_COLUMNS = 500
_LONGEST_TEXT = 200  # characters of a cell
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class RawFrame:
    """The lines of one frame."""

    number: int  # of the frame, from 0
    line: int  # of its count line, from 1
    comment: str
    rows: list[str]  # one per atom

    @property
    def label(self) -> str:
        return f"frame {self.number} (line {self.line})"


def read_structures(path: Path) -> list[Atoms]:
    """All frames of an extended XYZ file, plain or compressed (.gz, .xz, .bz2).

    Blank lines between frames, byte-order marks, Fortran exponents, stress of six numbers and
    labels such as Si1, D or T are read; nothing that the file holds is left out.

    Raises:
        DataError: naming file, frame and line of whatever cannot be read, of all frames at once.
    """
    frames, errors = [], []
    for raw in split_frames(_read_text(path), path):
        try:
            frames.append(_to_atoms(raw))
        except ValueError as error:
            errors.append(f"{path.name} {raw.label}: {error}")
    raise_listed(errors)
    if not frames:
        raise DataError(f"{path}: holds no structure")
    return frames


def _read_text(path: Path) -> str:
    """Raises DataError for what cannot be read, or does not begin with a count."""
    _check_start(head(path), path)
    text = _decoded(unpacked(path), path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_start(start: bytes, path: Path) -> None:
    """Before all of a file is in memory that may be anything."""
    for number, line in enumerate(_decoded(start, path).splitlines()):
        if line.strip():
            _count(line, 0, number + 1, path)
            return


def _decoded(data: bytes, path: Path) -> str:
    encoding = _MARKS.get(data[:2], "utf-8")
    if encoding == "utf-8" and b"\0" in data:
        raise DataError(f"{path}: is no text. {_CONVERT}")
    # a byte-order mark also comes in the middle, where files were joined
    return data.decode(encoding, errors="replace").replace("\ufeff", "")


_CONVERT = (
    "Expected extended XYZ; a file of another kind that ASE reads becomes one by "
    "`ase convert FILE train.xyz`"
)


def split_frames(text: str, path: Path) -> Iterator[RawFrame]:
    """The frames of a file, one after another; blank lines between them are skipped.

    Raises:
        DataError: where a frame should begin and does not, or has fewer lines than it says.
    """
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    at = number = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        n_atoms = _count(lines[at], number, at + 1, path)
        end = at + 2 + n_atoms
        if end > max(len(lines), at + 2):
            raise DataError(
                f"{path.name} frame {number} (line {at + 1}): says {n_atoms} atoms, but only "
                f"{max(0, len(lines) - at - 2)} lines follow its comment line"
            )
        comment = lines[at + 1] if at + 1 < len(lines) else ""
        yield RawFrame(number, at + 1, comment, lines[at + 2 : end])
        at, number = end, number + 1


def _count(line: str, number: int, at: int, path: Path) -> int:
    text = line.strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return int(text)
    shown = brief(text)
    where = f"{path.name} line {at}"
    if number == 0:
        raise DataError(f"{where}: expected the number of atoms, found '{shown}'. {_CONVERT}")
    raise DataError(
        f"{where}: frame {number} should begin here with its number of atoms, found '{shown}': a "
        f"count line is missing or wrong, here or in frame {number - 1}"
    )


def _to_atoms(raw: RawFrame) -> Atoms:
    comment = Comment(raw.comment)
    comment.tidy()
    columns = _columns(comment.get("Properties") or _DEFAULT_COLUMNS)
    columns = _name_elements(columns)
    if not any(c.name in ("pos", "positions") and (c.kind, c.width) == ("R", 3) for c in columns):
        raise CommentError("Properties: no column pos:R:3, the positions")
    rows = _tidy_rows(raw.rows, columns, named=comment.get("Properties") is not None)
    comment.set("Properties", ":".join(f"{c.name}:{c.kind}:{c.width}" for c in columns))
    text = "\n".join([str(len(rows)), str(comment), *rows]) + "\n"
    try:
        found: Any = ase.io.read(io.StringIO(text), index=0, format="extxyz")
    except Exception as error:  # ASE raises many kinds
        raise CommentError(f"ASE cannot read it ({last_line(error)})") from error
    return found


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str  # S, R, I or L
    width: int


def _columns(properties: str) -> list[_Column]:
    fields = properties.split(":")
    if len(fields) > 3 * _MOST_COLUMNS:
        raise CommentError(f"Properties names {len(fields) // 3} columns")
    columns = []
    for at in range(0, len(fields), 3):
        name, kind, width = (*fields[at : at + 3], "", "")[:3]
        if kind not in tuple("SRIL") or not re.fullmatch(r"[1-9]\d{0,3}", width):
            raise CommentError(
                f"Properties: '{brief(':'.join(fields[at : at + 3]))}' is no column such as pos:R:3"
            )
        columns.append(_Column(name, kind, int(width)))
    name, times = Counter(c.name for c in columns).most_common(1)[0]
    if times > 1:
        raise CommentError(f"Properties: the column {brief(name)} is there twice")
    return columns


def _name_elements(columns: list[_Column]) -> list[_Column]:
    """ASE knows elements by a column species or Z, and without one makes every atom X."""
    if any(c.name in _ELEMENT_COLUMNS for c in columns):
        return columns
    texts = {c.name.lower(): c for c in columns if c.kind == "S" and c.width == 1}
    known = [n for n in (*_ELEMENT_COLUMNS, *_OTHER_ELEMENT_COLUMNS) if n in texts]
    if not known:
        raise CommentError(
            f"no column of elements (species:S:1) among {some([c.name for c in columns], 10)}"
        )
    return [_Column("species", "S", 1) if c is texts[known[0]] else c for c in columns]


def _tidy_rows(rows: list[str], columns: list[_Column], named: bool) -> list[str]:
    """named: by Properties; a plain XYZ file may have more columns than the four that are read."""
    width = sum(c.width for c in columns)
    split = [row.split() for row in rows]
    for number, cells in enumerate(split):
        if len(cells) < width or (named and len(cells) > width):
            raise CommentError(
                f"the line of atom {number} has {len(cells)} columns, Properties names {width}"
            )
    at = 0
    for column in columns:
        for k in range(at, at + column.width):
            _tidy_cells(split, k, column)
        at += column.width
    _check_numbers(split, columns)
    return [" ".join(cells) for cells in split]


def _check_numbers(rows: list[list[str]], columns: list[_Column]) -> None:
    """Atomic numbers of elements that ASE knows, and of those that a column of symbols names."""
    places = {}
    at = 0
    for column in columns:
        places[_SAME_COLUMN.get(column.name, column.name)] = at
        at += column.width
    if "Z" not in places:
        return
    for number, cells in enumerate(rows):
        z = int(cells[places["Z"]])
        if not 0 <= z < len(chemical_symbols):
            raise CommentError(f"atom {number}, column Z: {z} is no atomic number")
        symbol = cells[places["species"]] if "species" in places else chemical_symbols[z]
        if symbol != chemical_symbols[z]:
            raise CommentError(f"atom {number} is {brief(symbol)}, but its atomic number is {z}")


_SAME_COLUMN = {"numbers": "Z", "symbols": "species"}


def _tidy_cells(rows: list[list[str]], at: int, column: _Column) -> None:
    """Puts elements, numbers and flags of one column into the form that ASE reads."""
    tidy = tidy_symbol if column.name in ("species", "symbols") else _TIDY[column.kind]
    for number, cells in enumerate(rows):
        try:
            cells[at] = tidy(cells[at])
        except ValueError as error:
            name = brief(column.name)
            raise CommentError(f"atom {number}, column {name}: {error}") from None


def _real(cell: str) -> str:
    try:
        float(cell)
    except ValueError:
        return plain_numbers(cell)
    # Python reads 1_0 as ten, and digits of any script
    return cell if cell.isascii() and "_" not in cell else plain_numbers(cell)


def _integer(cell: str) -> str:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", cell):
        raise ValueError(f"'{brief(cell)}' is no whole number")
    return cell


def _text(cell: str) -> str:
    if len(cell) > _LONGEST_TEXT:  # numpy gives every row the room of the longest
        raise ValueError(f"'{brief(cell)}' has {len(cell)} characters")
    return cell


_TIDY: dict[str, Callable[[str], str]] = {"S": _text, "R": _real, "I": _integer, "L": plain_flag}
