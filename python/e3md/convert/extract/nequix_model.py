"""Hyperparameters and weights of a Nequix model (`.nqx`): a JSON line, then numpy arrays.

Reading needs numpy alone; the program itself (package `nequix`) only evaluates.
"""

import json
import re

import numpy as np
from neutral_file import Unsupported, main

ARCHITECTURE = {  # key of the file's header -> name of the hyperparameter
    "cutoff": "cutoff",
    "hidden_irreps": "hidden_irreps",
    "lmax": "l_max",
    "n_layers": "n_layers",
    "radial_basis_size": "n_bessel",
    "radial_mlp_size": "radial_width",
    "radial_mlp_layers": "radial_layers",
    "radial_polynomial_p": "envelope_power",
    "index_weights": "index_weights",
    "layer_norm": "layer_norm",
    "scale": "scale",
    "shift": "shift",
    "avg_n_neighbors": "avg_num_neighbors",
    "atomic_numbers": "species",
}
IRRELEVANT = {  # what nequix 0.1 to 0.4.5 read for training, data and speed; no trace in the energy
    "mlp_init_scale", "atom_energies", "valid_frac", "val_every", "avg_n_edges", "avg_n_nodes",
    "max_n_edges", "max_n_nodes", "n_graph", "optimizer", "learning_rate", "warmup_epochs",
    "warmup_factor", "grad_clip_norm", "weight_decay", "batch_size", "n_epochs", "loss_type",
    "log_every", "ema_decay", "kernel", "use_kernel", "distributed", "finetune_from", "resume_from",
    "cache_dir", "checkpoint_grad_energy", "displacement", "extra_val_frac", "extra_train_steps",
    "energy", "force", "stress", "train_path", "valid_path", "val_path", "state_path",
    "extra_train_path", "extra_val_path", "energy_weight", "force_weight", "stress_weight",
    "hessian_weight", "extra_energy_weight", "extra_force_weight", "extra_stress_weight",
}  # fmt: skip
RECORD = re.compile(  # of a run: names, places, random numbers, hardware
    r"(wandb|log|logging|slurm|git)_.*|.*_(path|paths|dir|id|seed)|(run|experiment|project|model)_name"
    r"|seed|notes?|tags|version|nequix_version|date|num_workers|n_devices|device|wandb|project"
)


def read(path):
    arrays = []
    with open(path, "rb") as handle:
        header = json.loads(handle.readline())
        while handle.peek(1)[:1] == b"\x93":  # of numpy's magic string
            arrays.append(np.load(handle, allow_pickle=False))
        if handle.read().strip():
            raise Unsupported("a file that ends in something that is no array")
    return header, arrays


def extract(path, head):
    if head is not None:
        raise Unsupported(f"head '{head}': a Nequix model has one")
    header, arrays = read(path)
    unknown = [
        key
        for key in sorted(set(header) - set(ARCHITECTURE) - IRRELEVANT)
        if not RECORD.fullmatch(key)
    ]
    if unknown:
        raise Unsupported(", ".join(f"{key} = {header[key]!r}" for key in unknown))
    missing = sorted(set(ARCHITECTURE) - set(header))
    if missing:
        raise Unsupported(f"a file without {', '.join(missing)}")
    hyperparameters = {name: header[key] for key, name in ARCHITECTURE.items()}
    weights = {f"{k}": array for k, array in enumerate(arrays)}
    header = {"source": "nequix", "version": "nqx", "dtype": "float32"}
    return {**header, "hyperparameters": hyperparameters}, weights


def evaluate(path, head, structures):
    """The program's functions in float64 arithmetic, with the constants of its float32."""
    import equinox as eqx
    import jax
    from nequix.model import load_model

    model, _ = load_model(path)
    keep_gains()
    jax.config.update("jax_enable_x64", True)
    arrays, rest = eqx.partition(model, eqx.is_array)
    double = jax.tree.map(lambda a: a.astype("float64"), arrays)
    model = eqx.combine(double, rest)
    atomic_numbers = read(path)[0]["atomic_numbers"]
    results = {}
    for k, atoms in enumerate(structures):
        energy, forces, stress = energy_and_gradients(model, atoms, atomic_numbers)
        results[f"{k}.energy"] = np.array(energy)
        results[f"{k}.forces"] = np.asarray(forces)
        if atoms.pbc.all():
            results[f"{k}.stress"] = np.asarray(stress) / atoms.get_volume()
    return "float64", results


def keep_gains():
    """e3nn_jax finds the gains of its activations by a sum whose rounding depends on the dtype."""
    import jax
    from e3nn_jax._src import activation

    one = np.float32(1.0)
    gains = {
        f: float(activation.normalize_function(f)(one) / f(one)) for f in (jax.nn.silu, jax.nn.tanh)
    }
    activation.normalize_function = lambda f: lambda x: f(x) * gains[f]


def energy_and_gradients(model, atoms, atomic_numbers):
    """Energy, forces and virial of dE/dstrain."""
    import jax
    import jax.numpy as jnp
    from ase.geometry import complete_cell
    from matscipy.neighbours import neighbour_list

    cell = complete_cell(atoms.cell)
    i, j, shift = neighbour_list(
        "ijS", positions=atoms.positions, cell=cell, pbc=atoms.pbc, cutoff=model.cutoff
    )
    species = jnp.array([atomic_numbers.index(z) for z in atoms.numbers])

    def energy(positions, strain):
        deform = jnp.eye(3) + 0.5 * (strain + strain.T)
        vectors = (positions[j] - positions[i] + shift @ cell) @ deform
        return model.node_energies(vectors, species, jnp.array(j), jnp.array(i)).sum()

    arguments = (jnp.array(atoms.positions), jnp.zeros((3, 3)))
    value, (gradient, virial) = jax.value_and_grad(energy, argnums=(0, 1))(*arguments)
    return value, -gradient, virial


if __name__ == "__main__":
    main(extract, evaluate)
