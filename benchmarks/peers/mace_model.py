"""Random models of mace-torch, for itself and for a program that reads them."""

# isort: off
from mace.modules import ScaleShiftMACE, interaction_classes  # first: e3nn 0.4.4 needs it
from ase.data import atomic_numbers
from e3nn import o3

import numpy as np
import torch

# isort: on

RESIDUAL = interaction_classes["RealAgnosticResidualInteractionBlock"]


def build(path, irreps, symbols, r_max):
    """Save a model of the size that mace-torch calls medium, in float64."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    numbers = [atomic_numbers[s] for s in symbols.split(",")]
    model = ScaleShiftMACE(
        r_max=r_max, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, correlation=3,
        num_interactions=2, num_elements=len(numbers), atomic_numbers=numbers,
        interaction_cls=RESIDUAL, interaction_cls_first=RESIDUAL, use_reduced_cg=False,
        hidden_irreps=o3.Irreps(irreps), MLP_irreps=o3.Irreps("16x0e"), radial_MLP=[64, 64, 64],
        atomic_energies=np.zeros(len(numbers)), avg_num_neighbors=30.0, heads=None,
        gate=torch.nn.functional.silu, atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )  # fmt: skip
    torch.save(model, path)
