"""Hyperparameters and weights of a matgl SO3Net potential (folder of model.json and state.pt)."""

import json
import warnings
from pathlib import Path

import matgl
import numpy as np
import so3_constants
import torch
from ase.geometry import complete_cell
from ase.neighborlist import primitive_neighbor_list
from matgl.apps.pes import Potential
from matgl.layers._so3 import RealSphericalHarmonics
from matgl.models import SO3Net
from matgl.utils import so3
from matgl.utils.constants import EV_PER_ANG3_TO_GPA
from neutral_file import Unsupported, main
from torch_geometric.data import Data

ARCHITECTURE = {  # argument of SO3Net -> name of the hyperparameter
    "element_types": "species",
    "dim_node_embedding": "channels",
    "units": "units",
    "nblocks": "n_layers",
    "nmax": "n_basis",
    "lmax": "l_max",
    "cutoff": "cutoff",
}
SUPPORTED = {  # argument -> the value e3md stands for
    "target_property": "atomwise",
    "task_type": "regression",
    "is_intensive": False,
    "include_state": False,
    "ntargets": 1,
    "calc_magmom": False,
    "calc_charge": False,
    "calc_repuls": False,
}
IRRELEVANT = {  # of other targets, or without effect on an energy
    "dim_state_embedding", "ntypes_state", "dim_state_feats", "rbf_learnable", "readout_type",
    "niters_set2set", "nlayers_set2set", "nlayers_readout", "use_vector_representation",
    "correct_charges", "predict_dipole_magnitude", "activation_type",
    "return_vector_representation", "calc_forces", "calc_stresses", "calc_hessian",
    "zbl_trainable", "debug_mode", "compile_model", "compile_mode",
}  # fmt: skip
FROM_STATE = {"model", "data_mean", "data_std", "element_refs"}


def read(path):
    """Arguments of the model and tensors of its state; neither runs code of the file."""
    description = json.loads((Path(path) / "model.json").read_text())
    if description["@class"] != "Potential":
        raise Unsupported(f"the class {description['@class']} (only matgl.apps.pes.Potential)")
    network = description["kwargs"]["model"]
    if network["@class"] != "SO3Net":
        raise Unsupported(f"the model class {network['@class']}")
    check(description["kwargs"], Potential)
    check(network["init_args"], SO3Net)
    state = torch.load(Path(path) / "state.pt", map_location="cpu", weights_only=True)
    state.pop("element_refs.onehot", None)  # of early versions
    return network["init_args"], state


def check(arguments, owner):
    known = set(ARCHITECTURE) | set(SUPPORTED) | IRRELEVANT | FROM_STATE
    for name, value in arguments.items():
        if name not in known or value != SUPPORTED.get(name, value):
            raise Unsupported(f"{owner.__name__}({name}={value!r})")


def network_of(arguments, state):
    """The network with its weights; matgl's defaults for arguments that are not in the file."""
    network = SO3Net(**arguments)
    if network.target_property != "atomwise" or network.is_intensive:
        raise Unsupported(f"SO3Net(is_intensive={network.is_intensive})")
    weights = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    network.to(weights["embedding.weight"].dtype).load_state_dict(weights)
    return network.eval()


def array(tensor):
    return tensor.detach().cpu().numpy()


def dense_arrays(layers, prefix, arrays):
    """Weights of dense layers; returns the widths behind them."""
    dense = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
    for k, layer in enumerate(dense):
        arrays[f"{prefix}.{k}.weight"] = array(layer.weight)
        arrays[f"{prefix}.{k}.bias"] = array(layer.bias)
    return [layer.out_features for layer in dense]


def extract(path, head):
    if head is not None:
        raise Unsupported(f"head '{head}': a matgl model has one")
    arguments, state = read(path)
    network = network_of(arguments, state)
    arrays = {
        "embedding": array(network.embedding.weight),
        "frequencies": array(network.radial_basis.frequencies),
    }
    for n, convolution in enumerate(network.so3convs):
        dense_arrays(convolution.filternet.layers, f"{n}.filters", arrays)
        for k, mixings in enumerate((network.mixings1, network.mixings2, network.mixings3), 1):
            arrays[f"{n}.mixing{k}"] = array(mixings[n].weight)
        scaling = network.gatings[n].scaling
        arrays[f"{n}.gate.weight"] = array(scaling.weight)
        arrays[f"{n}.gate.bias"] = array(scaling.bias)
    gated = network.final_layer.gated
    widths = dense_arrays(gated.layers, "readout.values", arrays)
    dense_arrays(gated.gates, "readout.gates", arrays)
    if float(state["data_mean"]) != 0.0:
        raise Unsupported(f"data_mean = {float(state['data_mean'])}, a constant per structure")
    offsets = state.get("element_refs.property_offset", torch.zeros(len(network.element_types)))
    if offsets.ndim != 1:
        raise Unsupported(f"element_refs of {len(offsets)} states")
    arrays["offsets"] = array(offsets)
    hyperparameters = {
        "species": list(network.element_types),
        "cutoff": float(network.cutoff),
        "n_basis": network.radial_basis.max_n,
        "n_layers": network.nblocks,
        "channels": network.dim_node_embedding,
        "l_max": network.lmax,
        "readout_hidden": widths[:-1],
        "scale": float(state["data_std"]),
    }
    header = {"source": "matgl", "version": matgl.__version__, "dtype": stored_dtype(state)}
    return {**header, "hyperparameters": hyperparameters}, arrays


def stored_dtype(state):
    return str(state["model.embedding.weight"].dtype).removeprefix("torch.")


def evaluate(path, head, structures):
    arguments, state = read(path)
    network = network_of(arguments, state).double()
    so3_constants.refine(network, so3)
    matgl.set_default_dtype("float", 64)
    network.sphharm = RealSphericalHarmonics(network.lmax)
    potential = Potential(
        network, data_std=state["data_std"].double(), data_mean=state["data_mean"].double(),
        element_refs=state.get("element_refs.property_offset"),
    ).double()  # fmt: skip
    results = {}
    for k, atoms in enumerate(structures):
        energy, forces, stress, _ = potential(*graph(atoms, network))
        results[f"{k}.energy"] = np.array(energy.item())
        results[f"{k}.forces"] = array(forces)
        if atoms.pbc.all():
            results[f"{k}.stress"] = array(stress) / EV_PER_ANG3_TO_GPA
    return stored_dtype(state), results


def graph(atoms, network):
    """Graph and cell; matgl's own converter knows no slabs and rounds to float32."""
    cell = complete_cell(atoms.cell)
    i, j, shift = primitive_neighbor_list(
        "ijS", atoms.pbc, cell, atoms.positions, float(network.cutoff)
    )
    types = [network.element_types.index(symbol) for symbol in atoms.symbols]
    data = Data(
        num_nodes=len(atoms),
        edge_index=torch.from_numpy(np.stack([i, j])),
        pbc_offset=torch.from_numpy(shift).double(),
        node_type=torch.tensor(types),
        frac_coords=torch.from_numpy(atoms.positions @ np.linalg.inv(cell)),
    )
    return data, torch.from_numpy(cell)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(extract, evaluate)
