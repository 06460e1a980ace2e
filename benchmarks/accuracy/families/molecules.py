"""rMD17 and MD17: the same geometries with two sets of labels."""

from collections.abc import Mapping

from protocols import Experiment, Family, Protocol, Published, TestSet

ATOMS = {"aspirin": 21, "ethanol": 9, "toluene": 15}
N_TRAIN = 950
STEPS = {
    "rmd17_aspirin": 57_000,
    "md17_aspirin": 38_000,
    "md17_ethanol": 38_000,
    "md17_toluene": 76_000,
}
Pair = tuple[float | None, float | None]


def _protocol(labels: str, molecule: str) -> Protocol:
    file = f"{labels}/{molecule}"
    return Protocol(
        f"{labels}_{molecule}",
        molecule,
        (f"{file}_train.xyz.xz",),
        (f"{file}_valid.xyz.xz",),
        (TestSet("test", f"{file}_test.xyz.xz"),),
        n_train=N_TRAIN,
        atoms=ATOMS[molecule],
    )


def _rows(labels: str, source: str, rows: Mapping[str, tuple[Pair, Pair, Pair]]) -> list[Published]:
    columns = [f"{labels}_{molecule}" for molecule in ATOMS]
    return [
        Published(model, source, dict(zip(columns, pairs, strict=True)))
        for model, pairs in rows.items()
    ]


def _experiments(labels: str) -> tuple[Experiment, ...]:
    return tuple(
        Experiment(name, _protocol(labels, molecule), "molecules", STEPS.get(name))
        for molecule in ATOMS
        for name in [f"{labels}_{molecule}"]
    )


_MACE = "MACE, arXiv:2206.07697, Table 2"
_README = "data/md17/README"

RMD17 = Family(
    key="rmd17",
    title="rMD17: molecules, 1,000 frames",
    text=(
        "PBE/def2-SVP (Christensen and von Lilienfeld, arXiv:2007.09593), published split 01: 950 "
        "frames for training, 50 for validation, 1,000 for test."
    ),
    statistic="mae",
    energy_unit="meV",
    published=tuple(
        _rows(
            "rmd17",
            f"{_MACE} [V]",
            {
                "MACE": ((2.2, 6.6), (0.4, 2.1), (0.5, 1.5)),
                "Allegro": ((2.3, 7.3), (0.4, 2.1), (0.4, 1.8)),
                "NequIP l ≤ 3": ((2.3, 8.2), (0.4, 2.8), (0.3, 1.6)),
                "BOTNet": ((2.3, 8.5), (0.4, 3.2), (0.3, 1.9)),
                "GemNet": ((None, 9.5), (None, 3.6), (None, 2.2)),
                "PaiNN": ((6.9, 16.1), (2.7, 10.0), (4.2, 4.4)),
                "ACE": ((6.1, 17.9), (1.2, 7.3), (1.1, 6.5)),
                "FCHL19": ((6.2, 20.9), (0.9, 6.2), (1.7, 8.8)),
                "ANI": ((16.6, 40.6), (2.5, 13.4), (7.7, 24.3)),
                "GAP": ((17.7, 44.9), (3.5, 18.1), (4.0, 17.8)),
            },
        )
        + _rows(
            "rmd17",
            "github.com/kcheng0407/mace-rmd17-benchmark [V]",
            {"MACE, 256 channels, run again": ((2.4, 8.9), (0.4, 2.7), (0.4, 2.2))},
        )
    ),
    experiments=_experiments("rmd17"),
)

MD17 = Family(
    key="md17",
    title="MD17: molecules, 1,000 frames, original labels",
    text=(
        "PBE+vdW-TS (Chmiela et al., Sci. Adv. 3, e1603015 (2017)): the geometries and the split of "
        "rMD17 with the original, noisier energies and forces. The published models drew other "
        "frames of the same trajectories."
    ),
    statistic="mae",
    energy_unit="meV",
    published=tuple(
        _rows(
            "md17",
            f"{_MACE} [V]",
            {
                "NewtonNet": ((7.3, 15.1), (2.6, 9.1), (4.1, 3.8)),
                "DimeNet": ((8.8, 21.6), (2.8, 10.0), (4.4, 9.4)),
            },
        )
        + _rows(
            "md17",
            f"{_README} [M]",
            {
                "NequIP l ≤ 3": ((5.7, 8.0), (2.2, 3.1), (4.0, 2.0)),
                "NequIP l = 1": ((None, 15.1), (None, 9.0), (None, 4.4)),
                "sGDML": ((8.2, 29.5), (3.0, 14.3), (4.3, 6.1)),
                "SchNet": ((16.0, 58.5), (3.5, 16.9), (5.2, 24.7)),
            },
        )
    ),
    experiments=_experiments("md17"),
)
