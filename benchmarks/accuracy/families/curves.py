"""Learning curves: five architectures of like size, from few frames to many."""

from protocols import Experiment, Family, Protocol, Published, TestSet

SIZES = (10, 25, 50, 100, 250)
RECIPES = ("schnet", "nequip_l0", "nequip_l1", "nequip_l2", "mace")
STEPS = 5000  # of the optimizer, whatever the number of frames


def _protocol(n_train: int) -> Protocol:
    return Protocol(
        f"curves_lips_{n_train}",
        f"{n_train}",
        ("lips/train_700.xyz.xz",),
        ("lips/valid.xyz.xz",),
        (TestSet("test", "lips/test.xyz.xz"),),
        n_train=n_train,
        n_valid=10,
    )


FAMILY = Family(
    key="curves",
    title="Learning curves on LiPS",
    text=(
        f"The first frames of the LiPS training set, 10 frames for validation, {STEPS:,} steps of "
        "the optimizer for every model and every number of frames; 32 channels each. Frames of "
        "training across, test set as above. Beyond 50 frames the steps are the limit, not the frames: "
        "`lips_700` goes on for 35,000 and reaches 16.4 meV/Å."
    ),
    statistic="mae",
    energy_unit="meV/atom",
    published=(
        Published(
            "NequIP, frames of the full trajectory",
            "NequIP, Nat. Commun. 13, 2453 (2022); data/lips/README [M]",
            {"curves_lips_10": (2.03, 97.8), "curves_lips_100": (0.44, 25.8)},
        ),
    ),
    experiments=tuple(
        Experiment(f"curves_lips_{recipe}_{p.n_train}", p, f"curves_{recipe}", STEPS)
        for p in map(_protocol, SIZES)
        for recipe in RECIPES
    ),
)
