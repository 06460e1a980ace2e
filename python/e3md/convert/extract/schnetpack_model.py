"""Hyperparameters and weights of a SchNetPack model (`best_model`), read with SchNetPack itself."""

import warnings
from pathlib import Path

import numpy as np
import schnetpack
import so3_constants
import torch
from neutral_file import Unsupported, main
from schnetpack import atomistic, properties, transform
from schnetpack.nn import cutoff, radial
from schnetpack.nn.ops import so3
from schnetpack.representation import SchNet, SO3net
from schnetpack.units import convert_units
from schnetpack.utils import load_model

BASES = {
    radial.GaussianRBF: "gaussian",
    radial.GaussianRBFCentered: "gaussian",
    radial.BesselRBF: "bessel",
}
CUTOFFS = {cutoff.CosineCutoff: "cosine", cutoff.MollifierCutoff: "mollifier"}
BESIDE = (  # outputs that leave the energy as it is
    atomistic.Forces,
    atomistic.Response,
    atomistic.Atomwise,
    atomistic.DipoleMoment,
    atomistic.Polarizability,
)
CASTS = (transform.CastTo64, transform.CastTo32, transform.CastMap)


def load(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load_model(path, device="cpu", weights_only=False)
    if isinstance(model, schnetpack.AtomisticTask):
        model = model.model
    if type(model) is not schnetpack.model.NeuralNetworkPotential:
        raise Unsupported(f"the model class {type(model).__module__}.{type(model).__name__}")
    return model.eval()


def array(tensor):
    return tensor.detach().cpu().numpy()


def only(kinds, thing, what):
    """The name e3md has for something, by its exact class."""
    if type(thing) not in kinds:
        raise Unsupported(f"the {what} {type(thing).__name__}")
    return kinds[type(thing)]


def activation_name(activation):
    if activation is None or isinstance(activation, torch.nn.Identity):
        return None
    if activation is schnetpack.nn.shifted_softplus:
        return "shifted_softplus"
    if activation is torch.nn.functional.silu or isinstance(activation, torch.nn.SiLU):
        return "silu"
    if isinstance(activation, schnetpack.nn.ShiftedSoftplus):
        if float(activation.alpha) == float(activation.beta) == 1.0:
            return "shifted_softplus"
        raise Unsupported(f"ShiftedSoftplus(alpha={activation.alpha}, beta={activation.beta})")
    raise Unsupported(f"the activation {getattr(activation, '__name__', activation)}")


def dense_arrays(network, prefix, arrays):
    """Weights of dense layers; returns the widths behind the first layer and the activation."""
    names = [activation_name(layer.activation) for layer in network]
    if names[-1] is not None or len(set(names[:-1])) > 1:
        raise Unsupported(f"activations {names} in {prefix}")
    for k, layer in enumerate(network):
        arrays[f"{prefix}.{k}.weight"] = array(layer.weight)
        bias = layer.bias if layer.bias is not None else torch.zeros_like(layer.weight[:, 0])
        arrays[f"{prefix}.{k}.bias"] = array(bias)
    return [layer.out_features for layer in network], names[0] if len(names) > 1 else None


# ---- representation ----------------------------------------------------------------------------


def basis_hyperparameters(representation, arrays):
    basis, envelope = representation.radial_basis, representation.cutoff_fn
    name = only(BASES, basis, "radial basis")
    if name == "gaussian":
        arrays["basis.centers"] = array(basis.offsets)
        arrays["basis.widths"] = array(basis.widths)
    else:
        arrays["basis.wavenumbers"] = array(basis.freqs)
    return {
        "basis": name,
        "n_basis": basis.n_rbf,
        "cutoff_function": only(CUTOFFS, envelope, "cutoff function"),
        "cutoff": float(envelope.cutoff),
    }


def embedding_array(representation):
    """Features of the elements Z = 1, 2, ..."""
    if len(representation.electronic_embeddings):
        raise Unsupported("electronic_embeddings (total charge and spin)")
    embedding = representation.embedding
    if type(embedding) is torch.nn.Embedding:
        table = embedding.weight
    elif type(embedding) is schnetpack.nn.NuclearEmbedding:
        table = embedding.embedding
    else:
        raise Unsupported(f"the nuclear embedding {type(embedding).__name__}")
    return array(table)[1:]


def schnet_layers(representation, arrays):
    activations = set()
    for n, layer in enumerate(representation.interactions):
        if layer.in2f.bias is not None or activation_name(layer.in2f.activation):
            raise Unsupported("a bias or an activation in in2f")
        arrays[f"{n}.linear"] = array(layer.in2f.weight)
        for name, network in (("filters", layer.filter_network), ("network", layer.f2out)):
            widths, activation = dense_arrays(network, f"{n}.{name}", arrays)
            activations.add(activation)
            if len(widths) != 2:
                raise Unsupported(f"{len(widths)} dense layers in {name}")
    if len(activations) != 1 or None in activations:
        raise Unsupported(f"activations {activations}")
    return {
        "representation": "schnet",
        "n_layers": len(representation.interactions),
        "channels": representation.n_atom_basis,
        "filter_channels": representation.n_filters,
        "activation": activations.pop(),
    }


def so3net_layers(representation, arrays):
    for n, convolution in enumerate(representation.so3convs):
        dense_arrays([convolution.filternet], f"{n}.filters", arrays)
        for k, mixings in enumerate(("mixings1", "mixings2", "mixings3"), 1):
            arrays[f"{n}.mixing{k}"] = array(getattr(representation, mixings)[n].weight)
        scaling = representation.gatings[n].scaling
        arrays[f"{n}.gate.weight"], arrays[f"{n}.gate.bias"] = map(
            array, (scaling.weight, scaling.bias)
        )
    return {
        "representation": "so3net",
        "n_layers": len(representation.so3convs),
        "channels": representation.n_atom_basis,
        "l_max": int(representation.lmax),
    }


LAYERS = {SchNet: schnet_layers, SO3net: so3net_layers}


# ---- energy ------------------------------------------------------------------------------------


def energy_module(model):
    """The module that predicts the energy whose derivatives are the forces."""
    for module in model.input_modules:
        if isinstance(module, atomistic.FilterShortRange):
            if module.short_range_cutoff < float(model.representation.cutoff):
                raise Unsupported(f"FilterShortRange({module.short_range_cutoff})")
        elif not isinstance(module, (atomistic.PairwiseDistances, atomistic.Strain)):
            raise Unsupported(f"the input module {type(module).__name__}")
    for module in model.output_modules:
        if type(module) not in BESIDE:
            raise Unsupported(f"the output module {type(module).__name__}")
    keys = {m.energy_key for m in model.output_modules if hasattr(m, "energy_key")}
    found = [
        m
        for m in model.output_modules
        if type(m) is atomistic.Atomwise and (not keys or m.output_key in keys)
    ]
    if len(found) != 1 or len(keys) > 1:
        raise Unsupported(f"{len(found)} output modules for the energy")
    if found[0].n_out != 1 or found[0].aggregation_mode != "sum":
        raise Unsupported(
            f"Atomwise(n_out={found[0].n_out}, aggregation_mode={found[0].aggregation_mode!r})"
        )
    return found[0]


def scale_and_offsets(model, key, n_elements):
    """Energy = scale · Σ network + Σ offset(Z), from the post-processors in their order."""
    scale, offsets, forces_scale = 1.0, np.zeros(n_elements), 1.0
    for step in model.postprocessors if model.do_postprocessing else ():
        if isinstance(step, CASTS):
            continue
        name = type(step).__name__
        if type(step) is transform.ScaleProperty:
            if step.output_key != step.input_key:
                raise Unsupported(f"ScaleProperty from {step.input_key} to {step.output_key}")
            if step.input_key == key:
                scale, offsets = scale * float(step.scale), offsets * float(step.scale)
            else:
                forces_scale *= float(step.scale)
        elif type(step) is transform.AddOffsets:
            if step._property == key:
                offsets = offsets + element_offsets(step, n_elements)
        else:
            raise Unsupported(f"the post-processor {name}")
    has_forces = any(hasattr(m, "energy_key") for m in model.output_modules)
    if has_forces and not np.isclose(scale, forces_scale, rtol=1e-12):
        raise Unsupported(f"energies scaled by {scale} and forces by {forces_scale}")
    return scale, offsets


def element_offsets(step, n_elements):
    if not step.is_extensive:
        raise Unsupported("AddOffsets(is_extensive=False)")
    offsets = np.zeros(n_elements)
    if step.add_mean:
        offsets += float(step.mean)
    if step.add_atomrefs:
        table = array(step.atomref).reshape(-1).astype(float)[1 : n_elements + 1]
        if len(table) < n_elements:
            raise Unsupported(f"atomrefs for {len(table)} of {n_elements} elements")
        offsets += table
    return offsets


def energy_unit(path, key):
    """eV per unit of energy: config.yaml beside the model says it, the model does not."""
    config = Path(path).parent / "config.yaml"
    if not config.is_file():
        return 1.0
    from omegaconf import OmegaConf

    data = OmegaConf.load(config).get("data", {})
    length = data.get("distance_unit", "Ang")
    if not np.isclose(convert_units(length, "Ang"), 1.0):
        raise Unsupported(f"distance_unit = {length} (in {config})")
    unit = data.get("property_units", {}).get(key, "eV")
    return float(convert_units(unit, "eV"))


# ---- tasks -------------------------------------------------------------------------------------


def extract(path, head):
    if head is not None:
        raise Unsupported(f"head '{head}': a SchNetPack model has one")
    model, arrays = load(path), {}
    atomwise = energy_module(model)
    representation = model.representation
    arrays["embedding"] = embedding_array(representation)
    hyperparameters = {
        **only(LAYERS, representation, "representation")(representation, arrays),
        **basis_hyperparameters(representation, arrays),
    }
    widths, activation = dense_arrays(atomwise.outnet, "readout", arrays)
    n_elements = len(arrays["embedding"])
    scale, offsets = scale_and_offsets(model, atomwise.output_key, n_elements)
    unit = energy_unit(path, atomwise.output_key)
    hyperparameters |= {
        "readout_hidden": widths[:-1],
        "readout_activation": activation or "silu",
        "scale": scale * unit,
    }
    arrays["offsets"] = offsets * unit
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    header = {"source": "schnetpack", "version": schnetpack.__version__, "dtype": dtype}
    if not (Path(path).parent / "config.yaml").is_file():
        header["assumed"] = "no config.yaml beside the model says its units: eV and Å"
    return {**header, "hyperparameters": hyperparameters}, arrays


def evaluate(path, head, structures):
    model = load(path)
    stored = str(next(model.parameters()).dtype).removeprefix("torch.")
    key = energy_module(model).output_key
    unit = energy_unit(path, key)
    in_double(model)
    results = {}
    for k, atoms in enumerate(structures):
        energy, forces, stress = energy_and_gradients(model, atoms, key)
        results[f"{k}.energy"] = np.array(energy * unit)
        results[f"{k}.forces"] = forces * unit
        if atoms.pbc.all():
            results[f"{k}.stress"] = stress * unit
    return stored, results


def in_double(model):
    """The model in double precision, predicting nothing but energies."""
    torch.set_default_dtype(torch.float64)
    model.double()
    so3_constants.refine(model, so3)
    if type(model.representation) is SO3net:
        l_max = model.representation.lmax
        model.representation.sphharm = schnetpack.nn.RealSphericalHarmonics(l_max, "float64")
    energy = energy_module(model)
    model.output_modules = torch.nn.ModuleList([energy])
    model.postprocessors = torch.nn.ModuleList(
        step
        for step in model.postprocessors
        if energy.output_key in (getattr(step, "input_key", None), getattr(step, "_property", None))
    )
    model.input_modules = torch.nn.ModuleList([atomistic.Strain(), atomistic.PairwiseDistances()])
    model.collect_derivatives()
    model.collect_outputs()


def energy_and_gradients(model, atoms, key):
    """Energy, forces, and dE/dstrain per volume, in the model's units."""
    inputs = schnetpack.interfaces.AtomsConverter(
        neighbor_list=transform.ASENeighborList(cutoff=float(model.representation.cutoff)),
        dtype=torch.float64,
    )(atoms)
    positions = inputs[properties.R].requires_grad_()
    energy = model(inputs)[key].sum()
    sources = (positions, inputs[properties.strain])
    gradient, virial = torch.autograd.grad(
        energy, sources, allow_unused=True, materialize_grads=True
    )
    volume = atoms.get_volume() if atoms.pbc.all() else 1.0
    return energy.item(), -gradient.numpy(), virial[0].numpy() / volume


if __name__ == "__main__":
    main(extract, evaluate)
