"""What a page consists of: sections of text, tables and pictures, without a word of HTML."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """The first cell of each row names the row."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """An SVG element, which says itself what it shows to those who cannot see it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading and what follows, in this order."""

    key: str  # of links to it
    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    code: str = ""  # a file or a command, as it is typed
    scene: str = ""  # JSON for the viewer of structures


@dataclass(frozen=True)
class Page:
    """All of it."""

    title: str
    state: str  # of what the page is about, one line
    sections: Sequence[Section]
    live: bool = False  # written anew by a training that goes on
    scripts: Sequence[str] = ()  # of the viewer, run when it is opened
