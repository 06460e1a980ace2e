"""Random-weight SO3Net potentials over a grid of options, saved by matgl.

    OTHER/bin/python benchmarks/peers/models_matgl.py OUTPUT_FOLDER

OTHER: an environment with matgl 4.1.
"""

import sys
from pathlib import Path

import torch
from matgl.apps.pes import Potential
from matgl.config import DEFAULT_ELEMENTS
from matgl.models import SO3Net

BASE = {
    "element_types": ("H", "C", "O"),
    "dim_node_embedding": 12,
    "units": 10,
    "nblocks": 3,
    "nmax": 5,
    "lmax": 2,
    "cutoff": 4.5,
    "is_intensive": False,
}
CASES = {
    "default": {},
    "l0": {"lmax": 0},
    "l1": {"lmax": 1},
    "l3": {"lmax": 3, "nblocks": 2},
    "one_block": {"nblocks": 1},
    "five_blocks": {"nblocks": 5, "lmax": 1},
    "learnable": {"rbf_learnable": True, "nmax": 8},
    "cutoff": {"cutoff": 5.3},
    "readout": {"units": 7, "dim_node_embedding": 9},
    "vectors": {"return_vector_representation": True, "activation_type": "tanh"},
    "no_references": {"references": False},
    "all_elements": {"element_types": DEFAULT_ELEMENTS},
    "float32": {"dtype": torch.float32},
}


def build(options):
    options = {**BASE, **options}
    references = options.pop("references", True)
    dtype = options.pop("dtype", torch.float64)
    model = SO3Net(**options)
    offsets = 10 * torch.randn(len(options["element_types"])) if references else None
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return Potential(model, data_std=1.7, element_refs=offsets).to(dtype)


def main(folder):
    for seed, (name, options) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        build(options).save(folder / f"matgl_{name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
