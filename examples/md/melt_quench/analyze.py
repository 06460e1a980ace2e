"""g(r), bond angles, MSD and D of the stages of a melt-quench run, and g(r) of all overlaid."""

import argparse
from pathlib import Path

from e3md.analysis import AnalysisOptions, analyze, read_trajectory
from e3md.analysis.plots import plot_rdf

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="of the trajectories")
parser.add_argument("--format", choices=("traj", "lammpstrj", "extxyz"), default="traj")
parser.add_argument("-o", "--output", type=Path, default=Path("analysis"))
parser.add_argument("--skip", type=float, default=0.0, help="ps left out of melt and anneal")
args = parser.parse_args()

rdfs = {}
for stage in ("melt", "quench", "anneal"):
    # the quench is not in equilibrium: its averages run over all its temperatures
    options = AnalysisOptions(skip=0.0 if stage == "quench" else args.skip)
    trajectory = read_trajectory(args.folder / f"{stage}.{args.format}")
    print(f"\n{stage}")
    result = analyze(trajectory, args.output / stage, options)
    if result.rdf is not None:
        rdfs[stage] = result.rdf
plot_rdf(rdfs, args.output / "rdf_stages.png")
