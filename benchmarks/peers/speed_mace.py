"""Runs with mace-torch: `build MODEL.model IRREPS SYMBOLS` or `time MODEL STRUCTURE DTYPE THREADS STEPS`."""

# ruff: noqa: E402
import sys
import warnings

import numpy as np
import torch

warnings.simplefilter("ignore")

# isort: off
from mace.calculators import MACECalculator  # first: lets e3nn 0.4.4 read its constants
from mace.modules import ScaleShiftMACE, interaction_classes
from ase.data import atomic_numbers
from e3nn import o3

from timing import time_calculator

# isort: on

RESIDUAL = interaction_classes["RealAgnosticResidualInteractionBlock"]


def build(path, irreps, symbols):
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    numbers = [atomic_numbers[s] for s in symbols.split(",")]
    model = ScaleShiftMACE(
        r_max=5.0, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, correlation=3,
        num_interactions=2, num_elements=len(numbers), atomic_numbers=numbers,
        interaction_cls=RESIDUAL, interaction_cls_first=RESIDUAL, use_reduced_cg=False,
        hidden_irreps=o3.Irreps(irreps), MLP_irreps=o3.Irreps("16x0e"), radial_MLP=[64, 64, 64],
        atomic_energies=np.zeros(len(numbers)), avg_num_neighbors=30.0, heads=None,
        gate=torch.nn.functional.silu, atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )  # fmt: skip
    torch.save(model, path)


if sys.argv[1] == "build":
    build(*sys.argv[2:])
else:
    model, structure, dtype, threads, steps = sys.argv[2:]
    time_calculator(
        lambda: MACECalculator(model_paths=model, device="cpu", default_dtype=dtype),
        structure, int(threads), int(steps),
    )  # fmt: skip
