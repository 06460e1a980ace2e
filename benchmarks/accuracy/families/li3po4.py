"""Li3PO4, trained on the melt and tested on the glass."""

from protocols import Experiment, Family, Protocol, Published, TestSet

_MELT_ONLY = Protocol(
    "li3po4",
    "trained on the melt",
    ("li3po4/train_melt.xyz.xz",),
    (),
    (
        TestSet("melt", "li3po4/valid_melt.xyz.xz"),
        TestSet("quench", "li3po4/test_quench.xyz.xz"),
    ),
)

FAMILY = Family(
    key="li3po4",
    title="Li₃PO₄: from the melt to the glass",
    text=(
        "192 atoms, PBE. Trained on 81 frames of the melt and validated on 9; tested on 10 other "
        "frames of the melt, and on 100 frames along the quench, which training never saw. NequIP's "
        "Li₄P₂O₇ is another composition with the same idea; Allegro trained on melt and quench."
    ),
    statistic="mae",
    energy_unit="meV/atom",
    published=(
        Published(
            "NequIP on Li₄P₂O₇", "Nat. Commun. 13, 2453 (2022), quoted second-hand [M]",
            {"li3po4/melt": (None, 63.2), "li3po4/quench": (None, 36.9)},
        ),
        Published(
            "Allegro, 10,000 frames of both",
            "Nat. Commun. 14, 579 (2023); data/li3po4/README [M]", {"li3po4/quench": (1.7, 73.4)},
        ),
    ),
    experiments=(Experiment("li3po4", _MELT_ONLY, "li3po4"),),
)  # fmt: skip
