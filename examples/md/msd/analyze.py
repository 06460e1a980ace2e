"""g(r), bond angles, MSD and lithium diffusion of nvt.traj or nvt.lammpstrj."""

import argparse
from pathlib import Path

from e3md.analysis import AnalysisOptions, analyze, read_trajectory

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("trajectory", type=Path, help="LAMMPS dump, ASE .traj or extxyz")
parser.add_argument("-o", "--output", type=Path, default=Path("analysis"))
parser.add_argument("--skip", type=float, default=0.0, help="ps left out at the start")
parser.add_argument("--window", type=float, nargs=2, help="first and last lag of the fit, ps")
parser.add_argument("--blocks", type=int, default=5, help="parts behind the interval of D")
args = parser.parse_args()

window = tuple(args.window) if args.window else None
options = AnalysisOptions(skip=args.skip, window=window, n_blocks=args.blocks)
analyze(read_trajectory(args.trajectory), args.output, options)
