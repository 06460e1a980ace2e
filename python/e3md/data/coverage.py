"""What training frames cannot teach: elements they lack or hardly hold, frames without pairs."""

from collections.abc import Sequence

from ase.data import chemical_symbols

from e3md.data.problems import shorten
from e3md.data.read import Frame

RARE = 2  # frames; an element in no more of them is hardly learned


def unused_atoms(isolated: Sequence[Frame], species: Sequence[str]) -> list[str]:
    """Isolated atoms of elements that no training frame holds, one line for all."""
    extra = [frame for frame in isolated if frame.atoms.symbols[0] not in species]
    if not extra:
        return []
    symbols = " ".join(sorted({frame.atoms.symbols[0] for frame in extra}))
    return [
        f"isolated atoms of {symbols} ({extra[0].label}{' and others' if extra[1:] else ''}) are "
        "not used: no training frame holds these elements, and the model will not know them"
    ]


def rare_elements(train: Sequence[Frame]) -> list[str]:
    """Elements in one or two of many training frames, one line each."""
    holders: dict[int, list[str]] = {}
    for frame in train:
        for number in set(frame.atoms.numbers.tolist()):
            holders.setdefault(number, []).append(frame.label)
    return shorten(
        [
            f"{chemical_symbols[number]} occurs in {' and '.join(labels)} only: "
            "the model learns little about it"
            for number, labels in sorted(holders.items())
            if len(labels) <= RARE < len(train)
        ]
    )


def pairless_frames(frames: Sequence[Frame], n_edges: Sequence[int], cutoff: float) -> list[str]:
    """Frames without any pair of neighbors, in one line.

    n_edges: of each frame within the cutoff, Å.
    """
    alone = [frame.label for frame, n in zip(frames, n_edges, strict=True) if n == 0]
    if not alone:
        return []
    labels = ", ".join(shorten(alone))
    return [f"no pair within the cutoff of {cutoff:g} Å, which teaches nothing but E0: {labels}"]
