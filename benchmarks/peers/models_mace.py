"""Random-weight MACE models over a grid of options, saved by mace-torch.

    OTHER/bin/python benchmarks/peers/models_mace.py OUTPUT_FOLDER

OTHER: an environment with mace-torch 0.3.16.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from e3nn import o3

# isort: off (mace lets e3nn 0.4.4 read its constants, so it comes first)
from mace.modules import MACE, ScaleShiftMACE, interaction_classes

# isort: on

AGNOSTIC, RESIDUAL = "RealAgnosticInteractionBlock", "RealAgnosticResidualInteractionBlock"
DENSITY, DENSITY_RESIDUAL = (
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
)
BASE = {
    "elements": [1, 6, 8],
    "hidden_irreps": "8x0e+8x1o",
    "first": RESIDUAL,
    "later": RESIDUAL,
    "max_ell": 3,
    "correlation": 3,
    "num_interactions": 2,
    "num_bessel": 8,
    "num_polynomial_cutoff": 5,
    "radial_MLP": [16, 16],
    "MLP_irreps": "16x0e",
    "scale_shift": True,
}
CASES = {
    "default": {},
    "small": {"hidden_irreps": "4x0e+4x1o", "max_ell": 2, "radial_MLP": [8]},
    "agnostic_first": {"first": AGNOSTIC, "hidden_irreps": "8x0e"},
    "agnostic_all": {"first": AGNOSTIC, "later": AGNOSTIC},
    "max_ell_4": {"max_ell": 4, "correlation": 2},
    "max_L_2": {"hidden_irreps": "8x0e+8x1o+8x2e"},
    "density": {"first": DENSITY, "later": DENSITY_RESIDUAL},
    "density_residual": {"first": DENSITY_RESIDUAL, "later": DENSITY_RESIDUAL, "max_ell": 2},
    "agnesi_zbl": {"distance_transform": "Agnesi", "pair_repulsion": True, "first": DENSITY,
                   "later": DENSITY_RESIDUAL, "hidden_irreps": "4x0e+4x1o", "max_ell": 2},
    "plain_zbl": {"pair_repulsion": True, "scale_shift": False, "num_polynomial_cutoff": 6},
    "heads": {"heads": ["dft", "cc"], "MLP_irreps": "5x0e"},
    "correlation_1": {"correlation": 1},
    "correlation_2": {"correlation": 2, "max_ell": 1},
    "three_layers": {"num_interactions": 3, "max_ell": 2, "correlation": 2},
    "five_layers": {"num_interactions": 5, "max_ell": 1, "correlation": 2},
    "radial": {"num_bessel": 10, "radial_MLP": [8, 16, 8], "num_polynomial_cutoff": 3},
    "many_elements": {"elements": list(range(1, 90)), "hidden_irreps": "8x0e"},
}  # fmt: skip


def build(options):
    options = {**BASE, **options}
    n_elements = len(options["elements"])
    heads = options.pop("heads", None)
    energies = np.random.default_rng(1).normal(size=(len(heads or "x"), n_elements)) * 10
    common = {
        "r_max": 4.5,
        "interaction_cls": interaction_classes[options.pop("later")],
        "interaction_cls_first": interaction_classes[options.pop("first")],
        "num_elements": n_elements,
        "atomic_numbers": options.pop("elements"),
        "hidden_irreps": o3.Irreps(options.pop("hidden_irreps")),
        "MLP_irreps": o3.Irreps(options.pop("MLP_irreps")),
        "atomic_energies": energies if heads else energies[0],
        "avg_num_neighbors": 11.3,
        "gate": torch.nn.functional.silu,
        "heads": heads,
        "use_reduced_cg": False,
    }
    if not options.pop("scale_shift"):
        return MACE(**common, **options)
    scale, shift = ([0.7, 1.2], [0.1, -0.3]) if heads else (0.7, 0.1)
    return ScaleShiftMACE(**common, **options, atomic_inter_scale=scale, atomic_inter_shift=shift)


def main(folder):
    torch.set_default_dtype(torch.float64)
    folder.mkdir(parents=True, exist_ok=True)
    for name, options in CASES.items():
        torch.manual_seed(len(name))
        torch.save(build(options), folder / f"mace_{name}.model")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
