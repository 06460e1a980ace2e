"""Chemical elements as files spell them."""

import functools
import re

from ase.data import atomic_numbers

from e3md.data.problems import brief

_ISOTOPES = {"D": "H", "T": "H"}
_MARKED = re.compile(r"([A-Za-z]{1,2})[^A-Za-z].*")  # Si1, O_h, Fe3+, Cl-


@functools.cache
def tidy_symbol(label: str) -> str:
    """The element that an atom's label names: Si1, si and Si_a are Si, D and T are H.

    Raises:
        ValueError: if it names none, or may name two (CA1: calcium, or carbon A).
    """
    plain = _element(label)
    if plain:
        return plain
    marked = _MARKED.fullmatch(label)
    found = _element(marked[1]) if marked else None
    if not marked or not found:
        raise ValueError(
            f"'{brief(label)}' is no element that ASE knows: write its symbol, such as Si"
        )
    letters = marked[1]
    if len(letters) == 2 and letters.isupper() and _element(letters[0]):
        raise ValueError(
            f"'{brief(label)}' may be {found} or {letters[0]}: write the symbol of the element alone"
        )
    return found


def _element(letters: str) -> str | None:
    symbol = letters.capitalize()
    symbol = _ISOTOPES.get(symbol, symbol)
    return symbol if symbol in atomic_numbers else None
