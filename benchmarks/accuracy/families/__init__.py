"""All protocols, one file per family."""

from protocols import Experiment, Family

from families import bpa, curves, li3po4, lips, mlearn, molecules, water

FAMILIES: tuple[Family, ...] = (
    lips.FAMILY,
    li3po4.FAMILY,
    molecules.RMD17,
    molecules.MD17,
    bpa.FAMILY,
    mlearn.FAMILY,
    water.FAMILY,
    curves.FAMILY,
)

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment for family in FAMILIES for experiment in family.experiments
}
