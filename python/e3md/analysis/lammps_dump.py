"""LAMMPS text dumps (`dump custom`, `dump atom`) as frames."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from e3md.analysis.frames import Frame
from e3md.analysis.periodic import FloatArray
from e3md.data.problems import brief, last_line

# Columns that hold a position: (names, unwrapped already, fractional)
_COORDINATES = (
    (("xu", "yu", "zu"), True, False),
    (("xsu", "ysu", "zsu"), True, True),
    (("x", "y", "z"), False, False),
    (("xs", "ys", "zs"), False, True),
)
_IMAGES = ("ix", "iy", "iz")
_LARGEST = 1e9  # Å
_TIME_PS = {"metal": 1.0, "real": 1e-3}  # unit styles whose length is Å; ps per time unit
_ELEMENT = re.compile(r"([A-Z][a-z]?)(?![A-Za-z])")  # of labels such as Li, Li1, O_w, S2-
_ISOTOPES = {"D": "H", "T": "H"}  # case counts here, unlike in XYZ: a type CO is no cobalt


def is_dump(file: TextIO) -> bool:
    """True if the text begins as a LAMMPS dump does. Leaves the file at its beginning."""
    first = file.read(5)
    file.seek(0)
    return first == "ITEM:"


def read_dump(
    file: TextIO, path: Path, where: str, types: Sequence[str] | None
) -> tuple[list[Frame], list[str]]:
    """All whole frames, and what was found.

    Atoms are put in the order of their IDs and measured from the corner of the cell.

    Args:
        file: text of the dump.
        path: of the file, for messages.
        where: what the labels of frames add to their number.
        types: elements of the atom types 1, 2, ...

    Raises:
        ValueError: naming the file, the step and the column at fault.
    """
    reader = _Reader(file, path, where, types)
    return list(reader.frames()), reader.notes


@dataclass
class _Sections:
    """What a file has said of a frame so far: `ITEM:` header and rows of each of its sections."""

    found: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    whole: bool = True  # no row was cut

    def words(self, name: str) -> list[list[str]]:
        return [row.split() for row in self.found[name][1]]

    def number(self, name: str) -> str | None:
        """The one number of a section; None if it is not there."""
        rows = self.words(name) if name in self.found else []
        return rows[0][0] if rows and rows[0] else None

    def ends_before(self, name: str) -> bool:
        """Whether a section of this name must be another frame's."""
        opening = name in ("UNITS", "TIME", "TIMESTEP")
        return name in self.found or (opening and "NUMBER OF ATOMS" in self.found)


_SECTIONS = ("UNITS", "TIMESTEP", "TIME", "NUMBER OF ATOMS", "BOX BOUNDS", "ATOMS")


class _Reader:
    """Reads one frame after another from an open dump."""

    def __init__(self, file: TextIO, path: Path, where: str, types: Sequence[str] | None) -> None:
        self.notes: list[str] = []
        self._file = file
        self._path = path
        self._where = where
        self._types = types
        self._units: str | None = None  # LAMMPS writes it before the first frame of a run only
        self._number = 0  # of the frame being read, those cut short counted
        self._step: int | None = None
        self._elements: dict[str, str] = {}  # of the labels seen

    def frames(self) -> Iterator[Frame]:
        """All frames but those that a killed run left unfinished, which are noted."""
        current = _Sections()
        for header, rows, whole in self._sections():
            name = next((name for name in _SECTIONS if header.startswith(name)), None)
            if name is None:
                raise self._error(f"unexpected line 'ITEM: {brief(header)}'")
            if current.ends_before(name):
                self._cut(current)
                current = _Sections()
            current.found[name] = (header, rows)
            current.whole &= whole
            if name == "UNITS" and whole and rows:
                self._set_units(rows[0].strip())
            if name == "ATOMS":
                if (frame := self._frame(current)) is not None:
                    yield frame
                current = _Sections()
        if "TIMESTEP" in current.found:
            self._cut(current)

    def _sections(self) -> Iterator[tuple[str, list[str], bool]]:
        """Header, rows that are not blank, and whether the last row is whole."""
        header: str | None = None
        rows: list[str] = []
        for line in self._lines():
            if "ITEM:" not in line:
                if line.strip():
                    rows.append(line)
                continue
            cut, _, title = line.rpartition("ITEM:")  # a killed run leaves half a line before it
            if header is not None:
                yield header, rows, not cut
            header, rows = title.strip(), []
        if header is not None:
            yield header, rows, not rows or rows[-1].endswith("\n")

    def _lines(self) -> Iterator[str]:
        try:
            yield from self._file
        except EOFError:  # a compressed file that a killed run left unfinished
            return

    def _set_units(self, units: str) -> None:
        if units not in _TIME_PS:
            raise ValueError(f"{self._path}: units {brief(units)}; metal and real are read")
        self._units = units

    def _frame(self, sections: _Sections) -> Frame | None:
        """The frame, or None if it is cut short."""
        needed = {"TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS", "ATOMS"}
        if not (sections.whole and needed <= sections.found.keys()):
            self._cut(sections)
            return None
        header, rows = sections.found["ATOMS"]
        if len(rows) != self._whole(sections, "NUMBER OF ATOMS"):
            self._cut(sections)
            return None
        self._step = self._whole(sections, "TIMESTEP")
        ps = self._time(sections)
        label = f"frame {self._number}{self._where} (step {self._step})"
        self._number += 1
        low, cell, pbc = self._box(sections)
        columns = self._columns(header.split()[1:], rows)
        ids, order = self._ids(columns)
        symbols = self._symbols(columns, order)
        positions, unwrapped = self._positions(columns, low, cell)
        # the corner of a shrink-wrapped direction moves with the atoms and is no reference point
        positions = (positions - np.where(pbc, low, 0.0))[order]
        return Frame(label, self._step, "step", ps, cell, pbc, ids, symbols, positions, unwrapped)

    def _whole(self, sections: _Sections, name: str) -> int:
        text = sections.number(name) or "nothing"
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise self._error(f"{name} is {brief(text)}, expected a whole number")
        return int(text)

    def _time(self, sections: _Sections) -> float | None:
        """Time in ps, if the file says it and its unit."""
        time = sections.number("TIME")
        if self._units is None or time is None:
            return None
        try:
            ps = float(time) * _TIME_PS[self._units]
        except ValueError:
            ps = np.nan
        if not np.isfinite(ps):
            raise self._error(f"TIME is {brief(time)}, expected a number")
        return ps

    def _box(self, sections: _Sections) -> tuple[FloatArray, FloatArray, tuple[bool, bool, bool]]:
        """Corner (3,) Å, cell (3, 3) Å and periodic directions."""
        try:
            low, cell, pbc = _box(sections)
        except (ValueError, IndexError):
            raise self._error("BOX BOUNDS: expected three lines of numbers") from None
        largest = max(np.abs(cell).max(), np.abs(low).max())
        if not largest < _LARGEST:
            raise self._error(f"BOX BOUNDS of {largest:.3g} Å, expected less than {_LARGEST:g} Å")
        if (np.diag(cell) < 0).any() and sections.found["BOX BOUNDS"][0].split()[2:3] != ["abc"]:
            raise self._error("BOX BOUNDS: the upper bound lies below the lower one")
        return low, cell, pbc

    def _cut(self, sections: _Sections) -> None:
        step = brief(sections.number("TIMESTEP") or "")
        n_atoms = brief(sections.number("NUMBER OF ATOMS") or "unknown")
        n_rows = len(sections.found.get("ATOMS", ("", []))[1])
        self.notes.append(
            f"frame {self._number}{self._where}{f' (step {step})' if step else ''} is cut short "
            f"({n_rows} of {n_atoms} atoms) and left out"
        )
        self._number += 1

    def _columns(self, names: list[str], rows: list[str]) -> dict[str, tuple[str, ...]]:
        table = [row.split() for row in rows]
        if not table:
            raise self._error("no atoms")
        for words in table:
            if len(words) != len(names):
                raise self._error(
                    f"{len(names)} columns ({brief(' '.join(names))}), but a line of {len(words)} "
                    f"words: {brief(' '.join(words))}"
                )
        return dict(zip(names, zip(*table, strict=True), strict=True))

    def _ids(self, columns: dict[str, tuple[str, ...]]) -> tuple[NDArray[np.int64], np.ndarray]:
        """Increasing IDs, and the order of the rows that makes them so."""
        if "id" not in columns:
            raise self._error("no column `id`; atoms cannot be followed without it")
        ids = self._numbers(columns, ("id",), np.int64)[:, 0]
        order = np.argsort(ids)
        twice = ids[order][1:][np.diff(ids[order]) == 0]
        if len(twice):
            raise self._error(f"atom ID {twice[0]} is there twice")
        return ids[order], order

    def _positions(
        self, columns: dict[str, tuple[str, ...]], low: FloatArray, cell: FloatArray
    ) -> tuple[FloatArray, bool]:
        """(n_atoms, 3) Å, in the order of the rows, and whether they are unwrapped."""
        for keys, unwrapped, fractional in _COORDINATES:  # noqa: B007 (used below)
            if all(key in columns for key in keys):
                break
        else:
            raise self._error(
                f"no positions among the columns {brief(' '.join(columns))}; dump xu yu zu"
            )
        positions = self._numbers(columns, keys, float)
        if fractional:
            with np.errstate(over="ignore", invalid="ignore"):  # such positions are refused by name
                positions = positions @ cell + low
        if not unwrapped and all(key in columns for key in _IMAGES):
            return positions + self._numbers(columns, _IMAGES, np.int64) @ cell, True
        return positions, unwrapped

    def _numbers(
        self, columns: dict[str, tuple[str, ...]], keys: Sequence[str], dtype: type
    ) -> np.ndarray:
        try:
            return np.array([columns[key] for key in keys], dtype=dtype).T
        except (ValueError, OverflowError) as error:
            raise self._error(f"column {' '.join(keys)}: {last_line(error)}") from error

    def _symbols(self, columns: dict[str, tuple[str, ...]], order: np.ndarray) -> tuple[str, ...]:
        labels = columns[self._label_column(columns)]
        for label in sorted(set(labels) - self._elements.keys(), reverse=True):
            self._elements[label] = self._element(label)
        return tuple(self._elements[labels[index]] for index in order)

    def _label_column(self, columns: dict[str, tuple[str, ...]]) -> str:
        preferred = ("element", "typelabel", "type")
        if self._types is not None:
            preferred = ("type", "element", "typelabel")
        label = next((name for name in preferred if name in columns), None)
        if label is None:
            raise self._error("no column `element`, `typelabel` or `type`")
        if label == "element" and set(columns[label]) == {"C"}:  # LAMMPS, unless told better
            if "typelabel" in columns:
                return "typelabel"
            if len(set(columns.get("type", ""))) > 1:
                raise self._error(
                    "all elements are C though there are several types; write the dump with "
                    "`dump_modify ID element ...`, or give the elements of the atom types (types)"
                )
        return label

    def _element(self, label: str) -> str:
        if self._types is not None and re.fullmatch(r"-?[0-9]+", label):
            number = int(label) if len(label) < 10 else -1
            if not 1 <= number <= len(self._types):
                raise self._error(
                    f"atom type {brief(label)}, but only {len(self._types)} elements given"
                )
            label = self._types[number - 1]
        match = _ELEMENT.match(label)
        symbol = _ISOTOPES.get(match[1], match[1]) if match else ""
        if symbol not in chemical_symbols[1:]:
            raise self._error(
                f"{brief(label)} is not an element; write an element column (dump ... element ..., "
                "dump_modify ... element Li P S) or give the elements of the atom types (types, "
                "--species)"
            )
        return symbol

    def _error(self, what: str) -> ValueError:
        step = "" if self._step is None else f"step {self._step}: "
        return ValueError(f"{self._path}: {step}{what}")


def _box(sections: _Sections) -> tuple[FloatArray, FloatArray, tuple[bool, bool, bool]]:
    """Corner (3,) Å, cell (3, 3) Å and periodic directions."""
    words = sections.found["BOX BOUNDS"][0].split()[2:]
    rows = np.array(sections.words("BOX BOUNDS"), dtype=float)
    if len(rows) != 3:
        raise ValueError(f"{len(rows)} lines")
    if words[:2] == ["abc", "origin"]:  # general triclinic: three vectors, each with a corner
        return rows[:, 3], rows[:, :3], _periodic(words[2:5])
    tilted = words[:3] == ["xy", "xz", "yz"]
    xy, xz, yz = rows[:, 2] if tilted else (0.0, 0.0, 0.0)
    low, high = rows[:, 0].copy(), rows[:, 1].copy()
    # bounds of a tilted box enclose it: docs.lammps.org/Howto_triclinic
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    length = high - low
    cell = np.array([[length[0], 0, 0], [xy, length[1], 0], [xz, yz, length[2]]])
    return low, cell, _periodic(words[3 if tilted else 0 :][:3])


def _periodic(words: Sequence[str]) -> tuple[bool, bool, bool]:
    x, y, z = (word.startswith("p") for word in words)
    return x, y, z
