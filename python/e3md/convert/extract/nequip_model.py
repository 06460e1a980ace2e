"""Hyperparameters and weights of a NequIP model: a checkpoint (.ckpt) or a package (.nequip.zip)."""

import math
import warnings

import nequip
import numpy as np
import torch
from e3nn.o3 import Irreps
from neutral_file import (
    Unsupported,
    gate_gains,
    linear_blocks,
    main,
    tensor_product_paths,
    with_calculator,
)

MODULES = {  # of the energy model, beside layerN_convnet
    "type_embed", "spharm", "edge_norm", "bessel_encode", "factor", "per_atom_energy_readout",
    "per_type_energy_scale_shift", "pair_potential", "total_energy_sum",
}  # fmt: skip


def load(path):
    from nequip.model.saved_models.load_utils import load_saved_model
    from nequip.utils.global_state import set_global_state

    set_global_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_saved_model(path).eval()


def energy_modules(model):
    """The named steps of the energy model, checked to be those of NequIPGNNModel."""
    sequence = next(
        (m for m in model.modules() if type(m).__name__ == "SequentialGraphNetwork"), None
    )
    if sequence is None:
        raise Unsupported(f"the model {type(model).__name__}")
    modules = dict(sequence.named_children())
    unknown = [n for n in modules if n not in MODULES and not n.endswith("_convnet")]
    if unknown:
        raise Unsupported(f"the module {', '.join(unknown)}")
    return modules


def array(tensor):
    return tensor.detach().cpu().numpy()


def expect(condition, what):
    if not condition:
        raise Unsupported(what)


def radial(modules, species):
    """Cutoffs, basis and envelope."""
    norm, bessel = modules["edge_norm"], modules["bessel_encode"]
    cutoff = float(norm.r_max)
    expect(
        math.isclose(float(modules["factor"].factor), 2 * math.pi / cutoff**2, rel_tol=1e-6),
        f"a factor {float(modules['factor'].factor)} on the radial basis",
    )
    power = bessel.cutoff.p
    expect(power == int(power), f"polynomial_cutoff_p = {power}")
    table = {}
    if norm._rmax_recip.numel() > 1:
        cutoffs = (1.0 / norm._rmax_recip.double()).view(len(species), -1).tolist()
        table = {
            f"{a}-{b}": cutoffs[i][j] for i, a in enumerate(species) for j, b in enumerate(species)
        }
    hyperparameters = {
        "cutoff": cutoff,
        "pair_cutoffs": table,
        "n_bessel": bessel.num_bessels,
        "envelope_power": int(power),
    }
    wavenumbers = array(bessel.bessel_weights.double()).reshape(-1) * math.pi / cutoff
    return hyperparameters, wavenumbers


def mlp(function, name, arrays):
    """Dense layers with their factors; without nonlinearity they are one. Returns hidden widths."""
    steps = function.mlp
    if type(steps).__name__ == "DeepLinearMLP":
        product = torch.linalg.multi_dot([w.double() for w in steps.weights])
        arrays[f"{name}.0"] = array(product * steps.alpha)
        return []
    linears = [m for m in steps if type(m).__name__ == "ScalarLinearLayer"]
    others = {type(m).__name__ for m in steps} - {"ScalarLinearLayer"}
    expect(others <= {"SiLU"}, f"the nonlinearity {', '.join(sorted(others))} in {name}")
    for k, linear in enumerate(linears):
        expect(linear.bias is None, f"biases in {name}")
        arrays[f"{name}.{k}"] = array(linear.weight.double() * linear.alpha.double())
    return [linear.out_features for linear in linears[:-1]]


def readout(module, arrays):
    function = next((m for m in module.modules() if type(m).__name__ == "ScalarMLPFunction"), None)
    expect(function is not None, f"the readout {type(module).__name__}")
    return mlp(function, "readout", arrays)


def self_connection(module, embedding, name, arrays):
    """Contracted with each species' embedding: one matrix per species and pair of blocks."""
    offset = 0
    for instruction in module.instructions:
        shape = instruction.path_shape  # (c_in, n_embedded, c_out)
        size = math.prod(shape)
        weight = module.weight[offset : offset + size].view(shape).double()
        irrep = module.irreps_in1[instruction.i_in1].ir
        factor = instruction.path_weight / math.sqrt(irrep.dim)
        matrix = torch.einsum("uew,ze->zuw", weight, embedding.double()) * factor
        arrays[f"{name}.{instruction.i_in1}.{instruction.i_out}"] = array(matrix)
        offset += size


def layer(convnet, embedding, n, arrays):
    expect(not convnet.resnet, "convnet_resnet = True")
    gate, conv = convnet.equivariant_nonlin, convnet.conv
    expect(type(gate).__name__ == "Gate", f"the nonlinearity {type(gate).__name__}")
    tp = conv.tp_scatter.tp
    linear_blocks(conv.linear_1, f"{n}.linear_1", arrays)
    linear_blocks(conv.linear_2, f"{n}.linear_2", arrays)
    if conv.sc is not None:
        self_connection(conv.sc, embedding, f"{n}.sc", arrays)
    arrays[f"{n}.norms"] = array(conv.avg_num_neighbors_norm.norm_const).reshape(-1)
    widths = mlp(conv.edge_mlp, f"{n}.radial", arrays)
    return widths, {
        "irreps_in": str(conv.linear_1.irreps_in),
        "irreps_mid": str(conv.linear_2.irreps_in),
        "irreps_gated": str(conv.linear_2.irreps_out),
        "irreps_out": str(gate.irreps_out),
        "gated": str(gate.irreps_gated),
        "paths": tensor_product_paths(tp),
        "gains": gate_gains(gate, {"silu": torch.nn.functional.silu, "tanh": torch.tanh}),
        "self_connection": "none" if conv.sc is None else "species",
    }


def per_species(module, name, n):
    values = getattr(module, name, None)
    if not getattr(module, f"has_{name}"):
        return np.ones(n) if name == "scales" else np.zeros(n)
    return np.broadcast_to(array(values).astype(float).reshape(-1), (n,))


def zbl(module, arrays):
    expect(type(module).__name__ == "ZBL", f"the pair potential {type(module).__name__}")
    arrays["zbl.numbers"] = array(module.atomic_numbers).astype(float)
    arrays["zbl.half_coulomb"] = array(module._qqr2exesquare).astype(float)
    expect(module.cutoff.p == 6.0, f"polynomial_cutoff_p = {module.cutoff.p} of the ZBL potential")


def extract(path, head):
    expect(head is None, f"head '{head}': a NequIP model has one")
    model = load(path)
    modules = energy_modules(model)
    embed = modules["type_embed"]
    expect(not embed.do_categorical_graph_field_embed, "categorical_graph_field_embed")
    scale_shift = modules["per_type_energy_scale_shift"]
    species = list(scale_shift.type_names)
    arrays = {"embedding": array(embed.embed_module.weight)}
    hyperparameters, arrays["wavenumbers"] = radial(modules, species)
    names = sorted((n for n in modules if n.endswith("_convnet")), key=lambda n: int(n[5:-8]))
    found = [
        layer(modules[name], embed.embed_module.weight, n, arrays) for n, name in enumerate(names)
    ]
    widths = [w for w, _ in found]
    expect(all(w == widths[0] for w in widths), f"radial networks of widths {widths}")
    harmonics = modules["spharm"].irreps_edge_sh
    expect(harmonics == Irreps.spherical_harmonics(harmonics.lmax), f"edge harmonics {harmonics}")
    arrays["scales"] = per_species(scale_shift, "scales", len(species))
    arrays["shifts"] = per_species(scale_shift, "shifts", len(species))
    if "pair_potential" in modules:
        zbl(modules["pair_potential"], arrays)
    hyperparameters.update(
        species=species,
        l_max=harmonics.lmax,
        layers=[description for _, description in found],
        radial_hidden=widths[0],
        readout_hidden=readout(modules["per_atom_energy_readout"], arrays),
        zbl="pair_potential" in modules,
    )
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    header = {"source": "nequip", "version": nequip.__version__, "dtype": dtype}
    return {**header, "hyperparameters": hyperparameters}, arrays


def evaluate(path, head, structures):
    from nequip.integrations.ase import NequIPCalculator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calculator = NequIPCalculator._from_saved_model(path)
    stored = next(calculator.model.parameters()).dtype
    calculator.model.double()
    for module in calculator.model.modules():
        for name in ("_output_dtype", "model_dtype"):
            if hasattr(module, name):
                setattr(module, name, torch.float64)
    return str(stored).removeprefix("torch."), with_calculator(structures, calculator)


if __name__ == "__main__":
    main(extract, evaluate)
