"""The comment line of an extended XYZ frame: keys and values, tidied so that none is lost."""

import re
from dataclasses import dataclass

from e3md.data.problems import brief

# Delimited pieces may hold blanks and escaped characters; bare ones hold neither blanks nor '='.
_PIECES = re.compile(
    r"""(?: "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | \{(?:\\.|[^}\\])*\} | \[(?:\\.|[^\]\\])*\]
        | \\. | [^\s="'{\[\\] )+""",
    re.VERBOSE,
)
# (\d+\.?\d* would try every way to part a long row of digits)
_FORTRAN = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:[dD]([+-]?\d+)|([+-]\d{3}))", re.ASCII)
_NUMBER = re.compile(
    r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)",
    re.IGNORECASE | re.ASCII,
)
_LONGEST = 2_000_000  # characters of a line
_MOST_KEYS = 2000
_STANDARD = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_NO_LATTICE = ("cell", "box", "unit_cell", "cell_vectors")
_MATRICES = ("stress", "virial")  # which ASE takes as nine numbers only
_FLAG = re.compile(r"\.?(?:t|true|1|(f|false|0))\.?", re.IGNORECASE)


class CommentError(ValueError):
    """A frame that cannot be read; the message says why."""


@dataclass
class _Entry:
    key: str
    raw: str | None  # value as it stands in the file; None: a key alone

    @property
    def value(self) -> str:
        """Without delimiters."""
        raw = self.raw or ""
        return raw[1:-1] if len(raw) > 1 and raw[0] in "\"'{[" and raw[-1] in "\"'}]" else raw


class Comment:
    """Keys and values in the order of the line."""

    def __init__(self, line: str) -> None:
        """Raises CommentError for a quote or bracket that is not closed, or a key given twice."""
        if len(line) > _LONGEST:
            raise CommentError(f"the comment line has {len(line)} characters")
        self.entries = _parse(line.strip()) if "=" in line else []  # else a remark in words
        for entry in self.entries:
            entry.key = _STANDARD.get(entry.key.lower(), entry.key)
        if len(self.entries) > _MOST_KEYS:
            raise CommentError(f"the comment line has {len(self.entries)} keys and words")
        self.entries = [e for e in self.entries if e.raw is None or e.value.strip()]
        first: dict[str, str] = {}
        for entry in self.entries:
            if first.setdefault(entry.key, entry.value) != entry.value:
                raise CommentError(f"{brief(entry.key)} is given twice, with unlike values")

    def get(self, key: str) -> str | None:
        """The value of a key without delimiters, None if it is not there."""
        return next((e.value for e in self.entries if e.key == key and e.raw is not None), None)

    def set(self, key: str, value: str) -> None:
        """Replace a value, or add it at the end."""
        self.entries = [e for e in self.entries if e.key != key]
        self.entries.append(_Entry(key, f'"{value}"'))

    def tidy(self) -> None:
        """Numbers in a form that ASE reads; matrices of six numbers as nine; pbc as T and F."""
        for entry in self.entries:
            words = entry.value.replace(",", " ").split()
            if words and all(_FORTRAN.fullmatch(w) or _NUMBER.fullmatch(w) for w in words):
                if any(_FORTRAN.fullmatch(w) for w in words):
                    entry.raw = f'"{" ".join(plain_numbers(w) for w in words)}"'
            elif any(set(word) == {"*"} for word in words):
                cut = f"{brief(entry.key)}: {brief(words[0])}"
                raise CommentError(f"{cut} is a number that its format cut off")
            if entry.key in _MATRICES:
                entry.raw = f'"{" ".join(_matrix(entry.key, entry.value))}"'
        self._tidy_cell()

    def _tidy_cell(self) -> None:
        other = next((e.key for e in self.entries if e.key.lower() in _NO_LATTICE and e.raw), None)
        if other and self.get("Lattice") is None:
            raise CommentError(f"{other} makes no cell: write Lattice")
        lattice, pbc = self.get("Lattice"), self.get("pbc")
        if lattice is not None:
            words = lattice.replace(",", " ").split()
            if len(words) == 3 and all(_NUMBER.fullmatch(w) for w in words):
                a, b, c = words
                self.set("Lattice", f"{a} 0 0 0 {b} 0 0 0 {c}")
            elif len(words) != 9 or not all(_NUMBER.fullmatch(w) for w in words):
                raise CommentError(f"Lattice must be nine numbers, not '{brief(lattice)}'")
        if pbc is not None:
            self.set("pbc", _flags(pbc))

    def __str__(self) -> str:
        return " ".join(e.key if e.raw is None else f"{e.key}={e.raw}" for e in self.entries)


def plain_numbers(word: str) -> str:
    """A number with Fortran's exponent (1.0D-3, 0.1-100) as other programs write it.

    Raises:
        ValueError: for what is no number.
    """
    fortran = _FORTRAN.fullmatch(word)
    if fortran:
        return f"{fortran[1]}e{fortran[2] or fortran[3]}"
    if not _NUMBER.fullmatch(word):
        cut = " (its format was too narrow)" if "*" in word else ""
        raise ValueError(f"'{brief(word)}' is no number{cut}")
    return word


def _parse(line: str) -> list[_Entry]:
    """Words, some joined to a value by '='.

    Where blanks follow '=' and then another key with its '=', the value is empty. ASE writes an
    empty text like that, and takes the next key for its value when it reads.
    """
    entries: list[_Entry] = []
    at = 0
    while at < len(line):
        key, at = _piece(line, at)
        after = _skip_blanks(line, at)
        if line[after : after + 1] != "=":
            entries.append(_Entry(key, None))
            at = after
            continue
        at = after + 1
        value, at = _value(line, at)
        if value:
            entries.append(_Entry(key, value))
    return entries


def _value(line: str, at: int) -> tuple[str, int]:
    start = _skip_blanks(line, at)
    if start == len(line):
        return "", start
    value, end = _piece(line, start)
    if start > at and line[_skip_blanks(line, end) :][:1] == "=":
        return "", start
    while line[end : end + 1] == "=":  # part of the value, as in C=O
        more, end = _piece(line, end + 1) if end + 1 < len(line) else ("", end + 1)
        value += "=" + more
    return value, _skip_blanks(line, end)


def _piece(line: str, at: int) -> tuple[str, int]:
    found = _PIECES.match(line, at)
    if found:
        return found[0], found.end()
    if line[at] == "=":
        raise CommentError(f"'=' without a key before it: '{brief(line[at : at + 30])}'")
    if line[at].isspace():  # a value cut short, as in `a==b`
        return "", at
    raise CommentError(f"{line[at]} is not closed: '{brief(line[at : at + 30])}'")


def _skip_blanks(line: str, at: int) -> int:
    while at < len(line) and line[at].isspace():
        at += 1
    return at


def _matrix(key: str, value: str) -> list[str]:
    """Nine numbers; of six, in ASE's (Voigt's) order xx yy zz yz xz xy."""
    words = value.replace(",", " ").split()
    if len(words) == 6:
        xx, yy, zz, yz, xz, xy = words
        words = [xx, xy, xz, xy, yy, yz, xz, yz, zz]
    if len(words) != 9:
        raise CommentError(f"{key} has {len(words)} numbers, expected 6 (xx yy zz yz xz xy) or 9")
    words = [plain_numbers(word) for word in words]
    _check_symmetry(key, [float(word) for word in words])
    return words


def _check_symmetry(key: str, values: list[float]) -> None:
    """ASE keeps three of the six numbers off the diagonal."""
    most = 1e-2 * max(abs(value) for value in values) + 1e-4
    for name, a, b in (("xy", 1, 3), ("xz", 2, 6), ("yz", 5, 7)):
        if abs(values[a] - values[b]) > most:
            raise CommentError(
                f"{key} is not symmetric: {name} {values[a]:g}, {name[::-1]} {values[b]:g}"
            )


def _flags(pbc: str) -> str:
    words = pbc.replace(",", " ").split()
    if len(words) == 1:
        words = list(words[0]) if re.fullmatch(r"[TFtf01]{3}", words[0]) else 3 * words
    if len(words) != 3:
        raise CommentError(f"pbc must be three times T or F, not '{brief(pbc)}'")
    try:
        return " ".join(plain_flag(word) for word in words)
    except ValueError as error:
        raise CommentError(f"pbc: {error}") from None


def plain_flag(word: str) -> str:
    """T or F, of true, .false., 1 and the like.

    Raises:
        ValueError: for anything else.
    """
    found = _FLAG.fullmatch(word)
    if not found:
        raise ValueError(f"'{brief(word)}' is neither T nor F")
    return "F" if found[1] else "T"
