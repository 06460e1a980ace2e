"""Random-weight SevenNet models over a grid of options, as checkpoints of sevenn.

    OTHER/bin/python benchmarks/peers/models_sevennet.py OUTPUT_FOLDER

OTHER: an environment with sevenn.
"""

import sys
import warnings
from pathlib import Path

import sevenn
import torch
from sevenn._const import DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG
from sevenn.model_build import build_E3_equivariant_model

BASE = {
    **DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG,
    "channel": 8,
    "weight_nn_hidden_neurons": [12],
    "conv_denominator": 4.2,
    "shift": -2.5,
    "scale": 1.7,
    "_number_of_species": 3,
    "chemical_species": ["C", "H", "O"],
    "_type_map": {6: 0, 1: 1, 8: 2},
    "version": sevenn.__version__,
    "use_modality": False,
    "radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 8},
    "cutoff_function": {"cutoff_function_name": "poly_cut", "poly_cut_p_value": 6},
}
XPLOR = {"cutoff_function_name": "XPLOR", "cutoff_on": 3.8}
CASES = {
    "default": {},
    "no_parity": {"is_parity": False, "lmax": 2, "channel": 6},
    "xplor": {"cutoff_function": XPLOR, "is_parity": False},
    "solid": {"_normalize_sph": False, "is_parity": False, "lmax": 2, "channel": 4},
    "linear": {"self_connection_type": "linear"},
    "l0": {"lmax": 0},
    "l2": {"lmax": 2, "channel": 4, "num_convolution_layer": 2},
    "l3": {"lmax": 3, "channel": 4, "num_convolution_layer": 2, "is_parity": False},
    "l4": {"lmax": 4, "channel": 4, "num_convolution_layer": 2},
    "two_layers": {"num_convolution_layer": 2},
    "five_layers": {"num_convolution_layer": 5, "channel": 4},
    "species_wise": {"shift": [-1.0, 2.0, 3.0], "scale": [0.5, 1.5, 2.5]},
    "bessel": {"radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 5}},
    "manual_irreps": {
        "irreps_manual": ["8x0e", "8x0e+4x1e+2x2e", "8x0e+4x1e+2x2e", "8x0e"],
        "is_parity": False, "lmax": 2, "self_connection_type": "linear",
    },
    "readout": {
        "readout_as_fcn": True, "readout_fcn_hidden_neurons": [6],
        "readout_fcn_activation": "silu",
    },
}  # fmt: skip


def checkpoint(options, seed):
    torch.manual_seed(seed)
    config = {**BASE, **options}
    model = build_E3_equivariant_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() > 1:
                parameter.mul_(1 + 0.3 * torch.randn_like(parameter))
    return {
        "model_state_dict": model.state_dict(),
        "config": config,
        "epoch": 0,
        "hash": "0",
        "time": "0",
        "optimizer_state_dict": {},
        "scheduler_state_dict": {},
    }


def main(folder):
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, options) in enumerate(CASES.items()):
        torch.save(checkpoint(options, seed), folder / f"sevennet_{name}.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
