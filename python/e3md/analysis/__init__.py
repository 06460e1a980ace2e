"""Structure and dynamics from trajectories: arrays in, frozen dataclasses out.

Each quantity has its own file; `e3md.analysis.report.analyze` runs them all and writes CSV and PNG.
Definitions and references: docs/analysis.md.
"""

from e3md.analysis.angles import AngleDistribution, angle_distribution
from e3md.analysis.diffusion import Diffusion, diffusion_coefficient
from e3md.analysis.msd import MeanSquareDisplacement, mean_square_displacement
from e3md.analysis.rdf import RadialDistribution, radial_distribution
from e3md.analysis.reading import read_trajectory
from e3md.analysis.report import AnalysisOptions, analyze
from e3md.analysis.trajectory import Trajectory

__all__ = [
    "AnalysisOptions",
    "AngleDistribution",
    "Diffusion",
    "MeanSquareDisplacement",
    "RadialDistribution",
    "Trajectory",
    "analyze",
    "angle_distribution",
    "diffusion_coefficient",
    "mean_square_displacement",
    "radial_distribution",
    "read_trajectory",
]
