"""Runs with schnetpack: `build MODEL CHANNELS SYMBOLS` or `time MODEL STRUCTURE DTYPE THREADS STEPS`."""

import sys
import warnings

import schnetpack as spk
import torch
from schnetpack import atomistic, transform
from schnetpack.interfaces import SpkCalculator
from timing import time_calculator

warnings.simplefilter("ignore")
CUTOFF = 5.0


def build(path, channels, symbols):
    torch.manual_seed(0)
    representation = spk.representation.SchNet(
        n_atom_basis=int(channels), n_interactions=3,
        radial_basis=spk.nn.GaussianRBF(50, CUTOFF), cutoff_fn=spk.nn.CosineCutoff(CUTOFF),
    )  # fmt: skip
    model = spk.model.NeuralNetworkPotential(
        representation=representation,
        input_modules=[atomistic.Strain(), atomistic.PairwiseDistances()],
        output_modules=[
            atomistic.Atomwise(int(channels), output_key="energy"),
            atomistic.Forces(calc_stress=True),
        ],
        postprocessors=[transform.CastTo64()],
    )
    torch.save(model.double(), path)


if sys.argv[1] == "build":
    build(*sys.argv[2:])
else:
    model, structure, dtype, threads, steps = sys.argv[2:]
    time_calculator(
        lambda: SpkCalculator(
            model, neighbor_list=transform.MatScipyNeighborList(cutoff=CUTOFF),
            energy_key="energy", force_key="forces", stress_key="stress", energy_unit="eV",
            position_unit="Ang", device="cpu", dtype=getattr(torch, dtype),
        ),
        structure, int(threads), int(steps),
    )  # fmt: skip
