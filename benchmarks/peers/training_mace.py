"""mace-torch, as training.py asks for it."""

# ruff: noqa: E402
import types
import warnings

import numpy as np
import torch

warnings.simplefilter("ignore")

# isort: off
from mace.data import AtomicData, config_from_atoms  # first: lets e3nn 0.4.4 read its constants
from mace.modules import ScaleShiftMACE, interaction_classes
from mace.tools import AtomicNumberTable, torch_geometric
from ase.data import atomic_numbers
from e3nn import o3

from training import keep_graph, main

# isort: on

RESIDUAL = interaction_classes["RealAgnosticResidualInteractionBlock"]


def build(setup, dtype, mode="eager"):
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    numbers = [atomic_numbers[s] for s in setup["species"]]
    model = ScaleShiftMACE(
        r_max=setup["cutoff"], num_bessel=8, num_polynomial_cutoff=5, max_ell=3, correlation=3,
        num_interactions=2, num_elements=len(numbers), atomic_numbers=numbers,
        interaction_cls=RESIDUAL, interaction_cls_first=RESIDUAL, use_reduced_cg=False,
        hidden_irreps=o3.Irreps(setup["size"]), MLP_irreps=o3.Irreps("16x0e"),
        radial_MLP=[64, 64, 64], atomic_energies=np.array(setup["e0s"]),
        avg_num_neighbors=setup["avg_num_neighbors"], heads=None, gate=torch.nn.functional.silu,
        atomic_inter_scale=setup["scale"], atomic_inter_shift=setup["shift"],
    )  # fmt: skip
    torch.set_default_dtype(dtype)
    return model.to(dtype)


def inputs(setup, frames, dtype):
    table = AtomicNumberTable([atomic_numbers[s] for s in setup["species"]])
    data = [AtomicData.from_config(config_from_atoms(a), table, setup["cutoff"]) for a in frames]
    return next(iter(torch_geometric.dataloader.DataLoader(data, len(data)))).to_dict()


def predict(model, given):
    found = model(dict(given), training=True, compute_force=True)
    return found["energy"], found["forces"]


def extract(model):
    import mace_model

    mace_model.load = lambda _: model
    mace_model.array = keep_graph
    return mace_model.extract(None, None)


main(types.SimpleNamespace(build=build, inputs=inputs, predict=predict, extract=extract))
