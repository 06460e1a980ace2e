"""Random-weight NequIP models over a grid of options, as checkpoints of nequip.

    OTHER/bin/python benchmarks/peers/models_nequip.py OUTPUT_FOLDER

OTHER: an environment with nequip 0.19.
"""

import sys
import warnings
from pathlib import Path

import torch
from nequip.train.lightning import NequIPLightningModule
from nequip.utils import get_current_code_versions
from nequip.utils.global_state import set_global_state

BASE = {
    "_target_": "nequip.model.NequIPGNNModel",
    "seed": 1,
    "model_dtype": "float64",
    "type_names": ["H", "C", "O"],
    "r_max": 4.5,
    "num_layers": 3,
    "l_max": 1,
    "parity": False,
    "num_features": 8,
    "radial_mlp_depth": 1,
    "radial_mlp_width": 12,
    "avg_num_neighbors": 13.0,
    "per_type_energy_scales": {"H": 0.7, "C": 1.3, "O": 0.9},
    "per_type_energy_shifts": {"H": -3.0, "C": 2.0, "O": -5.0},
}
ZBL = {
    "_target_": "nequip.nn.pair_potential.ZBL",
    "units": "metal",
    "chemical_species": ["H", "C", "O"],
}
CASES = {
    "default": {},
    "l0": {"l_max": 0},
    "l2": {"l_max": 2, "num_features": [8, 6, 4], "num_layers": 2},
    "l3": {"l_max": 3, "num_layers": 2, "num_features": 4},
    "l4": {"l_max": 4, "num_layers": 2, "num_features": 4},
    "parity": {"parity": True, "num_features": [6, 4]},
    "parity_l2": {"parity": True, "l_max": 2, "num_features": [6, 4, 3], "num_layers": 2},
    "two_layers": {"num_layers": 2, "num_features": 6},
    "five_layers": {"num_layers": 5, "num_features": 4},
    "bessel": {"bessel_trainable": True, "num_bessels": 5, "polynomial_cutoff_p": 4},
    "embedding": {"type_embed_num_features": 5, "num_layers": 2},
    "pair_cutoffs": {"per_edge_type_cutoff": {"H": 3.0, "C": {"H": 3.5, "C": 4.0, "O": 3.8}}},
    "zbl": {"pair_potential": ZBL, "per_type_energy_scales": 2.0},
    "readout": {"readout_mlp_hidden_layers_depth": 1, "readout_mlp_hidden_layers_width": 6},
    "deep_radial": {"radial_mlp_depth": 3, "num_layers": 2},
    "linear_radial": {"radial_mlp_depth": 0, "num_layers": 2},
    "per_type_neighbors": {"avg_num_neighbors": {"H": 5.0, "C": 9.0, "O": 14.0}},
    "float32": {"model_dtype": "float32", "num_layers": 2},
}


def checkpoint(options, seed):
    torch.manual_seed(seed)
    module = NequIPLightningModule(
        model={**BASE, **options}, num_datasets={"train": 1, "val": 1, "test": 1, "predict": 0}
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    hyper_parameters = dict(module.hparams)
    hyper_parameters["info_dict"] = {
        "versions": get_current_code_versions(verbose=False),
        "training_module": {"_target_": "nequip.train.NequIPLightningModule"},
    }
    return {
        "state_dict": module.state_dict(),
        "hyper_parameters": hyper_parameters,
        "pytorch-lightning_version": "2.6.6",
        "epoch": 0,
        "global_step": 0,
        "loops": {},
    }


def main(folder):
    warnings.simplefilter("ignore")
    set_global_state()
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, options) in enumerate(CASES.items()):
        torch.save(checkpoint(options, seed), folder / f"nequip_{name}.ckpt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
