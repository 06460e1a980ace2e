"""3BPA, a drug-like molecule, at 300 K."""

from protocols import Experiment, Family, Protocol, Published, TestSet

_300K = Protocol(
    "3bpa",
    "300 K",
    ("3bpa/isolated_atoms.xyz", "3bpa/train_300K.xyz.xz"),
    ("3bpa/valid_300K.xyz.xz",),
    (TestSet("300 K", "3bpa/test_300K.xyz.xz"),),
    atoms=27,
)


def _row(model: str, energy: float, forces: float, mark: str) -> Published:
    return Published(model, f"MACE, arXiv:2206.07697, Table 3 [{mark}]", {"3bpa": (energy, forces)})


FAMILY = Family(
    key="3bpa",
    title="3BPA: trained and tested at 300 K",
    text=(
        "27 atoms, ωB97X/6-31G(d) (Kovács et al., JCTC 17, 7696 (2021)): 450 frames for training, 50 "
        "for validation, 1,669 for test, E0 from isolated atoms. Of MACE's row the forces are [V]."
    ),
    statistic="rmse",
    energy_unit="meV",
    published=(
        _row("MACE", 3.0, 8.8, "M"),
        _row("NequIP l ≤ 3", 3.28, 10.77, "M"),
        _row("BOTNet", 3.1, 11.0, "M"),
        _row("Allegro", 3.84, 12.98, "M"),
        _row("ACE", 7.1, 27.1, "M"),
        _row("sGDML", 9.1, 46.2, "M"),
        _row("ANI-2x", 38.6, 84.4, "V"),
        Published("MACE, public code, run by others", "github.com/ACEsuit/mace issue 57 [V]",
                  {"3bpa": (None, 10.9)}),
    ),
    experiments=(Experiment("3bpa", _300K, "3bpa"),),
)  # fmt: skip
