"""Li6.75P3S11, a lithium conductor."""

from protocols import Experiment, Family, Protocol, Published, TestSet

_TEST = (TestSet("test", "lips/test.xyz.xz"),)


def protocol(n_train: int) -> Protocol:
    """So many frames of training; validation and test as they come with the data."""
    file, valid = f"lips/train_{n_train}.xyz.xz", ("lips/valid.xyz.xz",)
    return Protocol(f"lips_{n_train}", f"{n_train} frames", (file,), valid, _TEST)


_PAPER = "NequIP, Nat. Commun. 13, 2453 (2022); data/lips/README [M]"
_100, _700 = protocol(100), protocol(700)

FAMILY = Family(
    key="lips",
    title="LiPS: Li₆.₇₅P₃S₁₁",
    text=(
        "83 atoms, PBE, 1,000 of the frames published with NequIP (Materials Cloud 2022.45): 50 for "
        "validation, 150 for test. The paper draws its training frames at random from all 25,000; "
        "its figure for 1,000 frames stands in the column of 700."
    ),
    statistic="mae",
    energy_unit="meV/atom",
    published=(
        Published("NequIP", _PAPER, {"lips_100": (0.44, 25.8)}),
        Published("NequIP, 1,000 frames", _PAPER, {"lips_700": (0.12, 7.7)}),
        Published("NequIP l = 1", "arXiv:2101.03164v1, quoted second-hand [M]", {"lips_100": (None, 50.0)}),
    ),
    experiments=(
        Experiment("lips_100", _100, "lips_100"),
        Experiment("lips_100_l2", _100, "lips_100_l2"),
        Experiment("lips_700", _700, "lips_700"),
    ),
)  # fmt: skip
