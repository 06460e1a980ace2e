"""Convolutions that tests of GPU kernels go through."""

from collections.abc import Callable

from radial import Case, Convolution, convolution

from gpu.emulated import random_graph  # puts the benchmarks on the path

OUT = "{0}x0e+{0}x1o+{0}x2e+{0}x3o"


def first_layer() -> Convolution:
    """MACE's, whose features are ones; channels are no whole tiles."""
    return convolution("40x0e", 3, OUT.format(40), ones=True, n_types=2, n_knots=24)


def vectors() -> Convolution:
    """MACE's second layer with vectors; a break in the tables."""
    return convolution("48x0e+48x1o", 3, OUT.format(48), n_types=2, n_knots=24, doubled=True)


def mixed() -> Convolution:
    """Fewer channels of some irreps, harmonics of edge vectors."""
    return convolution("40x0e+8x1o", 2, "40x0e+40x1o+40x2e", solid=True, n_types=2, n_knots=24)


def nequip() -> Convolution:
    return convolution("32x0e+32x1o+32x2e", 2, "32x0e+32x1o+32x2e", n_types=2, n_knots=24)


def committee() -> Convolution:
    """Two members side by side, each with gradients of its own."""
    return convolution("16x0e+16x1o", 1, "16x0e+16x1o", n_types=2, n_knots=24, members=2)


def high() -> Convolution:
    """More results than one kernel takes."""
    irreps = "+".join(f"8x{degree}{'eo'[degree % 2]}" for degree in range(4))
    return convolution(irreps, 3, irreps, n_types=2, n_knots=24)


CASES: dict[str, Callable[[], Convolution]] = {
    f.__name__: f for f in (first_layer, vectors, mixed, nequip, committee, high)
}


def case(name: str) -> Case:
    return Case.random(CASES[name](), random_graph())
