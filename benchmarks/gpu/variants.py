"""Other ways to write the kernels of edge_conv_radial, as replacements in their text."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from radial import THREADS, Text

HALF = """
DEVICE float half(const unsigned short* p) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(__ldg(p)));
  return x;
}
struct Weight {
"""


@dataclass(frozen=True)
class Variant:
    """A text, and how it is launched."""

    text: Text
    threads: int = THREADS
    tiles_first: bool = False  # along the grid's x
    half: bool = False  # a table of float16
    exact: bool = True  # else only its time counts


def replaced(text: Text, *pairs: tuple[str, str]) -> Text:
    source = text.source
    for old, new in pairs:
        if old not in source:
            raise ValueError(f"the kernels' text has no '{old}'")
        source = source.replace(old, new)
    return replace(text, source=source)


def staged(n: int) -> Callable[[Text], Variant]:
    return lambda text: Variant(replaced(text, ("n_staged = 16", f"n_staged = {n}")))


def warps(n: int) -> Callable[[Text], Variant]:
    pairs = ("n_warps = 4", f"n_warps = {n}"), (f"bounds__({THREADS})", f"bounds__({32 * n})")
    return lambda text: Variant(replaced(text, *pairs), threads=32 * n)


def blocks(n: int) -> Callable[[Text], Variant]:
    """Registers for n blocks on a multiprocessor."""
    pair = f"bounds__({THREADS})", f"bounds__({THREADS}, {n})"
    return lambda text: Variant(replaced(text, pair))


def tiles_first(text: Text) -> Variant:
    pairs = ("blockIdx.x", "blockIdx.z"), ("blockIdx.y", "blockIdx.x"), ("blockIdx.z", "blockIdx.y")
    return Variant(replaced(text, *pairs), tiles_first=True)


def half(text: Text) -> Variant:
    row = "p.table + s.knot * p.row + at.channel.in_knot"
    short = "(const unsigned short*)"
    pairs = (
        ("struct Weight {\n", HALF),
        ("const real* f = knot + column", f"const unsigned short* f = {short}knot + column"),
        ("read(f +", "half(f +"),
        (row, row.replace("p.table", f"(const real*)({short}p.table") + ")"),
    )
    return Variant(replaced(text, *pairs), half=True)


def stored(text: Text) -> Variant:
    """Gradients to features stored, not added: what an order by senders could save at most."""
    pair = "atomicAdd(row + column, from[k])", "row[column] = from[k]"
    return Variant(replaced(text, pair), exact=False)


VARIANTS: dict[str, Callable[[Text], Variant]] = {
    "as it is": Variant,
    "8 edges staged": staged(8),
    "32 edges staged": staged(32),
    "blocks of 32": warps(1),
    "blocks of 64": warps(2),
    "blocks of 256": warps(8),
    "4 blocks at least": blocks(4),
    "6 blocks at least": blocks(6),
    "8 blocks at least": blocks(8),
    "tiles of channels first": tiles_first,
    "table in float16": half,
    "features' gradients stored": stored,
}
