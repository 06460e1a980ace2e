"""Random-weight Nequix models over a grid of options, saved by nequix.

    OTHER/bin/python benchmarks/peers/models_nequix.py OUTPUT_FOLDER

OTHER: an environment with nequix (JAX).
"""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from nequix.model import Nequix, save_model

BASE = {
    "atomic_numbers": [1, 6, 8],
    "cutoff": 4.5,
    "hidden_irreps": "8x0e+4x1o",
    "lmax": 2,
    "n_layers": 2,
    "radial_basis_size": 6,
    "radial_mlp_size": 8,
    "radial_mlp_layers": 2,
    "radial_polynomial_p": 6.0,
    "mlp_init_scale": 4.0,
    "index_weights": False,
    "layer_norm": True,
    "scale": 0.8,
    "shift": 0.2,
    "avg_n_neighbors": 17.0,
}
CASES = {
    "default": {},
    "indexed": {"index_weights": True},
    "no_norm": {"layer_norm": False},
    "indexed_no_norm": {"index_weights": True, "layer_norm": False},
    "scalars": {"hidden_irreps": "8x0e"},
    "l3": {"hidden_irreps": "8x0e+4x1o+2x2e+2x3o", "lmax": 3},
    "l4": {"hidden_irreps": "8x0e+4x1o+2x4e", "lmax": 4},
    "three_layers": {"n_layers": 3},
    "five_layers": {"n_layers": 5, "lmax": 1},
    "p2": {"radial_polynomial_p": 2.0},
    "deep_radial": {"radial_mlp_layers": 3, "radial_basis_size": 10},
    "shallow_radial": {"radial_mlp_layers": 1},
    "many_elements": {"atomic_numbers": list(range(1, 90))},
}


def build(config, seed):
    config = dict(config)
    numbers = config.pop("atomic_numbers")
    rng = np.random.default_rng(seed)
    model = Nequix(
        jax.random.key(seed),
        len(numbers),
        atom_energies=rng.normal(size=len(numbers)) * 5,
        **config,
    )
    arrays, rest = eqx.partition(model, eqx.is_array)
    changed = jax.tree.map(
        lambda a: a * jnp.asarray(1 + 0.3 * rng.normal(size=a.shape), a.dtype), arrays
    )
    return eqx.combine(changed, rest)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, options) in enumerate(CASES.items()):
        config = {**BASE, **options}
        save_model(folder / f"nequix_{name}.nqx", build(config, seed), config)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
