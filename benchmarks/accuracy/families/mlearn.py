"""mlearn: crystals, surfaces, vacancies and melts of elements, with stress."""

from protocols import Experiment, Family, Protocol, Published, TestSet

ELEMENTS = ("Si", "Li", "Mo", "Cu")
DYNAMIC = ("AIMD_NVT", "Vacancy")


def _protocol(element: str) -> Protocol:
    file = f"mlearn/{element}"
    return Protocol(
        f"mlearn_{element}",
        element,
        (f"{file}_train.xyz.xz",),
        (f"{file}_valid.xyz.xz",),
        (
            TestSet("all", f"{file}_test.xyz.xz"),
            TestSet("MD", f"{file}_test.xyz.xz", DYNAMIC),
        ),
    )


def _row(model: str, *forces: float | None) -> Published:
    """forces: of Si, Li, Mo, Cu, meV/Å."""
    errors = {f"mlearn_{e}/all": (None, f) for e, f in zip(ELEMENTS, forces, strict=True) if f}
    return Published(model, "JARVIS-Leaderboard, AI/MLFF/mlearn_*_forces [V]", errors)


FAMILY = Family(
    key="mlearn",
    title="mlearn: Si, Li, Mo, Cu",
    text=(
        "PBE (Zuo et al., J. Phys. Chem. A 124, 731 (2020)), the published split, a tenth of its "
        "training frames used for validation; 2 to 108 atoms, energies, forces and stress. `MD` "
        "leaves out surfaces and strained cells, some of which are equivalent to training frames. "
        "The paper's GAP and MTP do better than SNAP, in forces about 10 to 20 meV/Å for Cu and Li and "
        "100 for Mo and Si [M]; no figure of its NNP is at hand. Of "
        "JARVIS's own runs, NequIP and Allegro look under-trained; two of ALIGNN-FF that it marks are "
        "left out."
    ),
    statistic="mae",
    energy_unit="meV/atom",
    published=(
        _row("ALIGNN-FF, per element", 69, None, None, 19),
        _row("ALIGNN-FF, six elements", 97, 31, 185, 88),
        _row("M3GNet (matgl)", 112, None, None, 18),
        _row("CHGNet, trained", 136, None, None, None),
        _row("CHGNet, pretrained", 151, 46, 365, 109),
        _row("SNAP", 176, 27, 184, 60),
        _row("NequIP, as run there", 90, None, None, None),
        _row("Allegro, as run there", 176, None, None, None),
    ),
    experiments=tuple(Experiment(f"mlearn_{e}", _protocol(e), "mlearn") for e in ELEMENTS),
)
