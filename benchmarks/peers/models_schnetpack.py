"""Random-weight SchNet and SO3net models over a grid of options, saved by SchNetPack.

    OTHER/bin/python benchmarks/peers/models_schnetpack.py OUTPUT_FOLDER

OTHER: an environment with schnetpack 2.1.
"""

import sys
from pathlib import Path

import schnetpack as spk
import torch
from schnetpack import atomistic, transform
from schnetpack.nn import (
    BesselRBF,
    CosineCutoff,
    GaussianRBF,
    GaussianRBFCentered,
    MollifierCutoff,
    NuclearEmbedding,
    shifted_softplus,
)
from torch.nn import functional

CUTOFF = 4.5
BASE = {
    "channels": 12,
    "n_interactions": 3,
    "basis": lambda: GaussianRBF(10, CUTOFF),
    "cutoff": CosineCutoff,
    "representation": {},
    "readout": {},
    "forces": True,
    "postprocessors": lambda: [transform.CastTo64()],
    "elements": 10,
    "dtype": torch.float64,
}


def offsets(mean, atomrefs):
    step = transform.AddOffsets("energy", add_mean=mean, add_atomrefs=atomrefs)
    step.mean, step.atomref = torch.randn(1), 10 * torch.randn(100)
    return step


def scaled(*keys):
    steps = [transform.ScaleProperty(key) for key in keys]
    for step in steps:
        step.scale = torch.tensor([1.7])
    return steps


SCHNET = {
    "default": {},
    "one_layer": {"n_interactions": 1},
    "five_layers": {"n_interactions": 5},
    "filters": {"representation": {"n_filters": 7}},
    "shared": {"representation": {"shared_interactions": True}},
    "silu": {"representation": {"activation": functional.silu}},
    "mollifier": {"cutoff": MollifierCutoff},
    "trained_basis": {"basis": lambda: GaussianRBF(8, CUTOFF, start=0.5, trainable=True)},
    "centered": {"basis": lambda: GaussianRBFCentered(8, CUTOFF, trainable=True)},
    "bessel": {"basis": lambda: BesselRBF(6, CUTOFF)},
    "readout": {"readout": {"n_hidden": [9, 5], "n_layers": 3, "activation": shifted_softplus}},
    "linear_readout": {"readout": {"n_layers": 1}},
    "offsets": {"postprocessors": lambda: [transform.CastTo64(), offsets(True, True)]},
    "mean": {"postprocessors": lambda: [offsets(True, False)], "forces": False},
    "scaled": {
        "postprocessors": lambda: [*scaled("energy", "forces"), offsets(False, True)],
    },
    "electrons": {
        "representation": {"nuclear_embedding": lambda: NuclearEmbedding(101, 12, zero_init=False)}
    },
    "all_elements": {"elements": 100},
    "float32": {"dtype": torch.float32},
}
SO3NET = {
    "default": {"representation": {"lmax": 2}},
    "l0": {"representation": {"lmax": 0}},
    "l1": {"representation": {"lmax": 1}},
    "l3": {"representation": {"lmax": 3}, "n_interactions": 2},
    "one_layer": {"representation": {"lmax": 2}, "n_interactions": 1},
    "five_layers": {"representation": {"lmax": 1}, "n_interactions": 5},
    "shared": {"representation": {"lmax": 2, "shared_interactions": True}},
    "vectors": {"representation": {"lmax": 1, "return_vector_representation": True}},
    "mollifier": {"representation": {"lmax": 2}, "cutoff": MollifierCutoff},
    "bessel": {"representation": {"lmax": 2}, "basis": lambda: BesselRBF(6, CUTOFF)},
    "trained_basis": {
        "representation": {"lmax": 2},
        "basis": lambda: GaussianRBF(8, CUTOFF, trainable=True),
    },
    "offsets": {
        "representation": {"lmax": 2},
        "readout": {"n_hidden": [7], "activation": shifted_softplus},
        "postprocessors": lambda: [*scaled("energy", "forces"), offsets(True, True)],
    },
    "float32": {"representation": {"lmax": 2}, "dtype": torch.float32},
}
CASES = {f"schnet_{name}": (spk.representation.SchNet, case) for name, case in SCHNET.items()} | {
    f"so3net_{name}": (spk.representation.SO3net, case) for name, case in SO3NET.items()
}


def build(kind, options):
    options = {**BASE, **options}
    channels = options["channels"]
    extra = dict(options["representation"])
    embedding = extra.pop(
        "nuclear_embedding", lambda: torch.nn.Embedding(options["elements"], channels)
    )
    representation = kind(
        n_atom_basis=channels,
        n_interactions=options["n_interactions"],
        radial_basis=options["basis"](),
        cutoff_fn=options["cutoff"](CUTOFF),
        nuclear_embedding=embedding(),
        **extra,
    )
    outputs = [atomistic.Atomwise(channels, output_key="energy", **options["readout"])]
    if options["forces"]:
        outputs.append(atomistic.Forces())
    model = spk.model.NeuralNetworkPotential(
        representation=representation,
        input_modules=[atomistic.PairwiseDistances()],
        output_modules=outputs,
        postprocessors=options["postprocessors"](),
    )
    noise = 0.1 if kind is spk.representation.SchNet else 0.15
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += noise * torch.randn_like(parameter)
    return model.to(options["dtype"]).eval()


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, (kind, options)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        torch.save(build(kind, options), folder / f"schnetpack_{name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
