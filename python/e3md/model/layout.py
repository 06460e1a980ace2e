"""Where the irreps of a feature vector lie in memory.

A node's features are one row. Irreps follow one another, each as a block [2l+1, channels] with the
channels innermost and contiguous, so that loops over channels vectorize.
"""

from dataclasses import dataclass

from e3nn.o3 import Irrep, Irreps


@dataclass(frozen=True)
class Block:
    """One irrep with its channels inside a row."""

    irrep: Irrep
    channels: int
    offset: int

    @property
    def n_m(self) -> int:
        return self.irrep.dim

    @property
    def dim(self) -> int:
        return self.irrep.dim * self.channels


class Layout:
    """Blocks of a row, each irrep at most once, in the order of e3nn's sort (l, then parity)."""

    def __init__(self, irreps: Irreps | str) -> None:
        merged = Irreps(irreps).sort().irreps.simplify()
        blocks, offset = [], 0
        for mul, irrep in merged:
            if mul > 0:
                blocks.append(Block(irrep, mul, offset))
                offset += mul * irrep.dim
        self.blocks = tuple(blocks)
        self.dim = offset
        self.irreps = merged

    def find(self, irrep: Irrep) -> Block | None:
        """The block of an irrep, None if absent."""
        return next((b for b in self.blocks if b.irrep == irrep), None)

    @property
    def n_scalars(self) -> int:
        """Channels of the invariant irrep 0e."""
        return self.irreps.count("0e")


def harmonics_irreps(l_max: int, inversion: bool = True) -> Irreps:
    """Irreps of the spherical harmonics up to l_max, parity (-1)^l; all even without inversion."""
    return Irreps.spherical_harmonics(l_max, p=-1 if inversion else 1)
