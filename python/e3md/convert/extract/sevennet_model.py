"""Hyperparameters and weights of a SevenNet checkpoint (.pth), read with sevenn itself."""

import warnings

import numpy as np
import sevenn
import torch
from ase.data import chemical_symbols
from neutral_file import (
    Unsupported,
    gate_gains,
    linear_blocks,
    main,
    tensor_product_paths,
    with_calculator,
)


def load(path):
    from sevenn.util import model_from_checkpoint

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, config = model_from_checkpoint(path)
    return model.eval(), config


def array(tensor):
    return tensor.detach().double().cpu().numpy()


def expect(condition, what):
    if not condition:
        raise Unsupported(what)


def network(net, name, arrays):
    """e3nn's FullyConnectedNet as plain products: x @ W, silu, x @ W, ... Returns hidden widths."""
    gain, layers = 1.0, list(net)
    for k, layer in enumerate(layers):
        expect(layer.var_in == layer.var_out == 1, f"variances in {name}")
        arrays[f"{name}.{k}"] = array(layer.weight) * gain / layer.weight.shape[0] ** 0.5
        if layer.act is not None:
            expect(layer.act.f is torch.nn.functional.silu, f"the activation {layer.act.f}")
            gain = float(layer.act.cst)
    return [layer.weight.shape[1] for layer in layers[:-1]]


def radial(embedding, config):
    basis, cut = embedding.basis_function, embedding.cutoff_function
    expect(type(basis).__name__ == "BesselBasis", f"the radial basis {type(basis).__name__}")
    found = {"cutoff": float(config["cutoff"]), "n_bessel": basis.num_basis, "pair_cutoffs": {}}
    if type(cut).__name__ == "XPLORCutoff":
        return {**found, "envelope_power": 6, "xplor_on": float(cut.r_on)}
    expect(type(cut).__name__ == "PolynomialCutoff", f"the cutoff {type(cut).__name__}")
    return {**found, "envelope_power": int(cut.p)}


def self_connection(module, name, n_species, arrays):
    """A shared Linear, or one matrix per species from the product with a one-hot."""
    if module is None:
        return "none"
    if hasattr(module, "linear"):
        linear_blocks(module.linear, name, arrays)
        return "shared"
    product, offset = module.fc_tensor_product, 0
    for instruction in product.instructions:
        shape = instruction.path_shape  # (c_in, n_species, c_out)
        size = int(np.prod(shape))
        weight = product.weight[offset : offset + size].view(shape)
        irrep = product.irreps_in1[instruction.i_in1].ir
        factor = instruction.path_weight / irrep.dim**0.5
        place = f"{instruction.i_in1}.{instruction.i_out}"
        arrays[f"{name}.{place}"] = array(weight.movedim(1, 0)) * factor
        offset += size
    return "species"


def layer(modules, n, n_species, arrays):
    known = {
        f"{n}_self_connection_intro", f"{n}_self_interaction_1", f"{n}_convolution",
        f"{n}_self_interaction_2", f"{n}_self_connection_outro", f"{n}_equivariant_gate",
    }  # fmt: skip
    unknown = {name for name in modules if name.startswith(f"{n}_")} - known
    expect(not unknown, f"the module {', '.join(sorted(unknown))}")
    first, second = (modules[f"{n}_self_interaction_{k}"].linear for k in (1, 2))
    convolution = modules[f"{n}_convolution"]
    gate = modules[f"{n}_equivariant_gate"].gate
    linear_blocks(first, f"{n}.linear_1", arrays)
    linear_blocks(second, f"{n}.linear_2", arrays)
    arrays[f"{n}.norms"] = 1.0 / array(convolution.denominator).reshape(-1)
    widths = network(convolution.weight_nn, f"{n}.radial", arrays)
    functions = {"silu": torch.nn.functional.silu, "tanh": torch.tanh}
    return widths, {
        "irreps_in": str(first.irreps_in),
        "irreps_mid": str(second.irreps_in),
        "irreps_gated": str(second.irreps_out),
        "irreps_out": str(gate.irreps_out),
        "gated": str(gate.irreps_gated),
        "paths": tensor_product_paths(convolution.convolution),
        "gains": gate_gains(gate, functions),
        "self_connection": self_connection(
            modules.get(f"{n}_self_connection_intro"), f"{n}.sc", n_species, arrays
        ),
    }


def readout(modules, arrays):
    if "readout_FCN" in modules:
        return network(modules["readout_FCN"].fcn, "readout", arrays)
    product = None
    for name in ("reduce_input_to_hidden", "reduce_hidden_to_energy"):
        found: dict = {}
        linear_blocks(modules[name].linear, name, found)
        expect(len(found) == 1, f"{name} of several irreps")
        (matrix,) = found.values()
        product = matrix if product is None else product @ matrix
    arrays["readout.0"] = product
    return []


def per_species(values, n):
    return np.broadcast_to(array(values).reshape(-1), (n,))


def extract(path, head):
    model, config = load(path)
    modalities = ", ".join(config.get("_modal_map") or {})
    expect(
        not config.get("use_modality"),
        f"several modalities in one model ({modalities}): each adds biases of its own to the linear "
        "layers (use_modality = True). Only models of a single one can be converted",
    )
    expect(head is None, f"head '{head}': a SevenNet model has one")
    expect(not config.get("use_bias_in_linear"), "use_bias_in_linear = True")
    modules = dict(model.named_children())
    numbers = sorted(config["_type_map"], key=config["_type_map"].get)
    n = len(numbers)
    arrays: dict = {}
    embedding: dict = {}
    linear_blocks(modules["onehot_to_feature_x"].linear, "embedding", embedding)
    arrays["embedding"] = embedding["embedding.0.0"]
    edges = modules["edge_embedding"]
    arrays["wavenumbers"] = array(edges.basis_function.coeffs)
    n_layers = sum(name.endswith("_convolution") for name in modules)
    found = [layer(modules, k, n, arrays) for k in range(n_layers)]
    widths = [w for w, _ in found]
    expect(all(w == widths[0] for w in widths), f"radial networks of widths {widths}")
    rescale = modules["rescale_atomic_energy"]
    expect(type(rescale).__name__ in ("Rescale", "SpeciesWiseRescale"), type(rescale).__name__)
    arrays["scales"] = per_species(rescale.scale, n)
    arrays["shifts"] = per_species(rescale.shift, n)
    hyperparameters = {
        **radial(edges, config),
        "species": [chemical_symbols[z] for z in numbers],
        "l_max": edges.spherical.lmax,
        "layers": [description for _, description in found],
        "radial_hidden": widths[0],
        "readout_hidden": readout(modules, arrays),
        "zbl": False,
        "parity": "natural" if config["is_parity"] else "none",
        "solid_harmonics": not config["_normalize_sph"],
    }
    header = {"source": "sevennet", "version": sevenn.__version__, "dtype": "float32"}
    return {**header, "hyperparameters": hyperparameters}, arrays


def double_calculator(path):
    """SevenNet's calculator in float64; the program keeps weights and structures in float32."""
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.calculator import SevenNetCalculator
    from sevenn.train.dataload import unlabeled_atoms_to_graph

    class DoubleCalculator(SevenNetCalculator):
        def calculate(self, atoms=None, properties=None, system_changes=()):
            self.atoms = atoms.copy()
            graph = unlabeled_atoms_to_graph(atoms, self.cutoff, with_shift=True)
            data = AtomGraphData.from_numpy_dict(graph)
            j, i = graph["edge_index"][1], graph["edge_index"][0]
            shift = np.asarray(graph["pbc_shift"], float).reshape(-1, 3) @ atoms.cell.array
            vectors = atoms.positions[j] - atoms.positions[i] + shift
            data["edge_vec"] = torch.from_numpy(vectors)
            data["cell_volume"] = torch.tensor(atoms.cell.volume)
            output = self.model(data)
            if "inferred_force" not in output:  # no edges, nothing to differentiate
                output["inferred_force"] = torch.zeros(len(atoms), 3)
                output["inferred_stress"] = torch.zeros(6)
            self.results = self.output_to_results(output)

    def cast(module, arguments, data):
        for name, value in data.items():
            if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
                data[name] = value.double()
        return data

    calculator = DoubleCalculator(path, device="cpu")
    calculator.model.double()
    for child in calculator.model.children():
        child.register_forward_hook(cast)
    return calculator


def restore_couplings(model):
    """Coupling coefficients in float64 again: a checkpoint holds them rounded to float32."""
    from e3nn.o3 import wigner_3j

    for module in model.modules():
        for name, stored in list(module.named_buffers(recurse=False)):
            if name.startswith("_w3j_"):
                exact = wigner_3j(*map(int, name.split("_")[2:]), dtype=torch.float64)
                if torch.allclose(exact, stored.double(), atol=1e-6):
                    setattr(module, name, exact)


def evaluate(path, head, structures):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calculator = double_calculator(path)
    # Only now: to sort the weights of checkpoints older than 0.11, sevenn compares coupling
    # coefficients of the file (float32) with ones it makes in the default dtype.
    torch.set_default_dtype(torch.float64)
    restore_couplings(calculator.model)
    return "float64", with_calculator(structures, calculator)


if __name__ == "__main__":
    main(extract, evaluate)
