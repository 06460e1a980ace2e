"""Figures as SVG elements whose colors follow the page, light or dark."""

import io
import re
from html import escape

import matplotlib
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from e3md.accuracy.plots import DENSITY

LEVELS = 6  # of density, in the style sheet
COLORS = {
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    to_hex("0.3"): "var(--soft)",
    to_hex("0.6"): "var(--faint)",
    **{to_hex(f"C{k}"): f"var(--line-{k})" for k in range(4)},
    **{
        to_hex(DENSITY(k)): f"var(--density-{1 + k * LEVELS // DENSITY.N})"
        for k in range(DENSITY.N)
    },
}
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)


def inline_svg(figure: Figure, name: str, alternative: str) -> str:
    """An <svg> element as wide as its place.

    name: unlike those of other figures on the page, as identifiers are made of it.
    alternative: what the figure shows, for those who cannot see it.
    """
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True)
    _, start, rest = text.getvalue().partition("<svg")
    body = _METADATA.sub("", start + rest)
    body = re.sub(r"#[0-9a-f]{6}\b", lambda found: COLORS.get(found[0], found[0]), body)
    body = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r' (width|height)="[0-9.]+pt"', "", body, count=2)
    return body.replace("<svg", f'<svg role="img" aria-label="{escape(alternative)}"', 1)
