"""Hyperparameters and weights of a mace-torch model (`.model`), read with mace-torch itself."""

import warnings
from itertools import combinations_with_replacement, permutations

import mace
import numpy as np
import torch
from e3nn.o3 import Irreps
from mace.modules import blocks, models
from mace.tools.cg import U_matrix_real
from neutral_file import Unsupported, main, with_calculator

INTERACTIONS = {
    "RealAgnosticInteractionBlock": "agnostic",
    "RealAgnosticResidualInteractionBlock": "residual",
    "RealAgnosticDensityInteractionBlock": "density",
    "RealAgnosticDensityResidualInteractionBlock": "density_residual",
}
FLAGS = {  # attribute of the model -> the value e3md stands for
    "apply_cutoff": True,
    "use_so3": False,
    "use_agnostic_product": False,
    "use_last_readout_only": False,
    "edge_irreps": None,
    "use_edge_irreps_first": False,
    "lammps_mliap": False,
    "embedding_specs": None,
    "keep_last_layer_irreps": False,
}
MODULES = {  # children of the model that this script reads
    "node_embedding", "radial_embedding", "spherical_harmonics", "atomic_energies_fn",
    "interactions", "products", "readouts", "scale_shift", "pair_repulsion_fn",
}  # fmt: skip


def load(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.load(path, map_location="cpu", weights_only=False)
    if type(model) not in (models.MACE, models.ScaleShiftMACE):
        raise Unsupported(f"the model class {type(model).__module__}.{type(model).__name__}")
    upgrade(model)
    restore_couplings(model)
    return model.eval()


def upgrade(model):
    """Early files hold as plain attributes what are buffers now."""
    for name in ("r_max", "atomic_numbers"):
        if name in model.__dict__:
            model.register_buffer(name, torch.tensor(model.__dict__.pop(name)))


def restore_couplings(model):
    """Coupling coefficients in float64 again, where a file in float32 has them rounded."""
    for product in model.products:
        contractions = product.symmetric_contractions.contractions
        for contraction, (_, irrep) in zip(contractions, product.linear.irreps_in):  # noqa: B905
            for order in range(1, contraction.correlation + 1):
                name = f"U_matrix_{order}"
                stored = getattr(contraction, name)
                if stored.dtype == torch.float64:
                    continue
                options = {"correlation": order, "dtype": torch.float64, "use_cueq_cg": False}
                irreps = (contraction.coupling_irreps, Irreps([(1, irrep)]))
                exact = U_matrix_real(*irreps, **options)[-1]
                if exact.shape == stored.shape and torch.allclose(exact.float(), stored, atol=1e-6):
                    setattr(contraction, name, exact)


def check_flags(model):
    for name, expected in FLAGS.items():
        value = getattr(model, name, expected)
        if value != expected:
            raise Unsupported(f"{name} = {value!r} (only {expected!r})")
    unknown = {name for name, _ in model.named_children()} - MODULES
    if unknown:
        raise Unsupported(f"the module {', '.join(sorted(unknown))}")
    for name, module in model.named_modules():
        for attribute in ("cueq_config", "oeq_config"):
            if getattr(module, attribute, None) is not None:
                raise Unsupported(
                    f"{name}.{attribute}: convert the model back first, with mace_cueq_to_e3nn "
                    "or mace_oeq_to_e3nn"
                )


def head_index(model, head):
    heads = list(getattr(model, "heads", ["Default"]))
    if head is None and len(heads) > 1:
        raise Unsupported(f"several heads, choose one with --head: {', '.join(heads)}")
    if head is not None and head not in heads:
        raise Unsupported(f"head '{head}', the model has {', '.join(heads)}")
    return (0 if head is None else heads.index(head)), len(heads)


def array(tensor):
    return tensor.detach().cpu().numpy()


def kind_of(block):
    name = type(block).__name__
    if type(block).__module__ != "mace.modules.blocks" or name not in INTERACTIONS:
        raise Unsupported(f"the interaction {name}")
    return INTERACTIONS[name]


def same(values, name):
    values = list(values)
    if any(value != values[0] for value in values):
        raise Unsupported(f"{name} that differs between layers: {values}")
    return values[0]


def hidden_irreps(model):
    first = model.products[0].linear.irreps_out
    channels = {mul for mul, _ in first}
    if len(channels) != 1:
        raise Unsupported(f"hidden_irreps with unequal channels, {first}")
    if first != first.sort().irreps:
        raise Unsupported(f"hidden_irreps that are not in e3nn's order, {first}")
    for n, product in enumerate(model.products[:-1]):
        if product.linear.irreps_out != first:
            raise Unsupported(f"hidden irreps {product.linear.irreps_out} of layer {n}")
    return first


def radial_hyperparameters(embedding, arrays):
    basis = embedding.bessel_fn
    if type(basis).__name__ != "BesselBasis":
        raise Unsupported(f"radial_type of {type(basis).__name__}")
    transform = getattr(embedding, "distance_transform", None)
    name = type(transform).__name__
    if transform is not None and name != "AgnesiTransform":
        raise Unsupported(f"distance_transform = {name}")
    arrays["bessel.wavenumbers"] = array(basis.bessel_weights)
    arrays["bessel.prefactor"] = array(basis.prefactor)
    if transform is not None:
        arrays["agnesi.shape"] = np.array(
            [float(transform.a), float(transform.q), float(transform.p)]
        )
    return {
        "cutoff": float(embedding.cutoff_fn.r_max),
        "n_bessel": basis.bessel_weights.numel(),
        "envelope_power": int(embedding.cutoff_fn.p),
        "distance_transform": "none" if transform is None else "agnesi",
    }


def network(net, prefix, arrays):
    """e3nn's FullyConnectedNet; returns the widths of its hidden layers."""
    layers = list(net)
    for k, layer in enumerate(layers):
        if layer.var_in != 1 or layer.var_out != 1:
            raise Unsupported(f"{prefix}: variances {layer.var_in}, {layer.var_out}")
        arrays[f"{prefix}.{k}"] = array(layer.weight)
        if layer.act is not None:
            arrays[f"{prefix}.{k}.gain"] = silu_gain(layer.act, prefix)
    return [layer.weight.shape[1] for layer in layers[:-1]]


def silu_gain(activation, where):
    """Constant c of e3nn's normalized activation c·silu(x)."""
    function = getattr(activation, "f", None)
    if function not in (torch.nn.functional.silu, torch.ops.aten.silu):
        raise Unsupported(f"the activation {function} in {where}")
    return np.array(float(activation.cst))


def interaction_arrays(block, prefix, arrays):
    arrays[f"{prefix}.linear_up"] = array(block.linear_up.weight)
    arrays[f"{prefix}.linear"] = array(block.linear.weight)
    arrays[f"{prefix}.skip"] = array(block.skip_tp.weight)
    if hasattr(block, "density_fn"):
        network(block.density_fn, f"{prefix}.density", arrays)
    return network(block.conv_tp_weights, f"{prefix}.radial", arrays)


def product_arrays(product, prefix, arrays):
    if type(product) is not blocks.EquivariantProductBasisBlock:
        raise Unsupported(f"the product {type(product).__name__}")
    arrays[f"{prefix}.linear"] = array(product.linear.weight)
    for k, contraction in enumerate(product.symmetric_contractions.contractions):
        top = contraction.correlation
        weights = {top: contraction.weights_max}
        weights.update({top - 1 - n: w for n, w in enumerate(contraction.weights)})
        for order, weight in weights.items():
            coupling = dict(contraction.named_buffers())[f"U_matrix_{order}"].double()
            if not coupling.any():
                continue
            arrays[f"{prefix}.{k}.{order}.weight"] = array(weight)
            arrays[f"{prefix}.{k}.{order}.coupling"] = over_monomials(array(coupling), order)
    return same((c.correlation for c in product.symmetric_contractions.contractions), "correlation")


def over_monomials(coupling, order):
    """([2L+1,] dim, ..., dim, n_paths) -> (n_paths, 2L+1, n_monomials), monomials i <= j <= k."""
    if coupling.ndim == order + 1:
        coupling = coupling[None]
    by_component = np.moveaxis(coupling, [0, -1], [-1, -2])  # (dim, ..., dim, n_paths, 2L+1)
    columns = [
        sum(by_component[p] for p in set(permutations(index)))
        for index in combinations_with_replacement(range(coupling.shape[1]), order)
    ]
    return np.stack(columns, axis=-1)


def readout_arrays(readout, prefix, arrays, head, n_heads):
    """The column of one head; where heads share a hidden layer, its part of that too."""
    if type(readout) is blocks.LinearReadoutBlock:
        weight = array(readout.linear.weight).reshape(-1, n_heads)
        arrays[f"{prefix}.0"] = weight[:, head]
        return None
    if type(readout) is not blocks.NonLinearReadoutBlock:
        raise Unsupported(f"the readout {type(readout).__name__}")
    hidden = readout.hidden_irreps
    if len(hidden) != 1 or hidden[0].ir.l != 0 or hidden[0].ir.p != 1:
        raise Unsupported(f"MLP_irreps = {hidden}")
    width = hidden.dim // n_heads
    arrays[f"{prefix}.0"] = array(readout.linear_1.weight).reshape(-1, n_heads, width)[:, head]
    # e3nn divides by the square root of all heads' width
    last = array(readout.linear_2.weight).reshape(n_heads, width, n_heads)[head, :, head]
    arrays[f"{prefix}.1"] = last / np.sqrt(n_heads)
    arrays[f"{prefix}.gain"] = silu_gain(readout.non_linearity.acts[0], prefix)
    return width


def zbl_arrays(zbl, arrays):
    arrays["zbl.amplitudes"] = array(zbl.c)
    arrays["zbl.exponent"] = array(zbl.a_exp)
    arrays["zbl.prefactor"] = array(zbl.a_prefactor)
    arrays["zbl.covalent_radii"] = array(zbl.covalent_radii)
    return int(zbl.p)


def extract(path, head):
    model = load(path)
    check_flags(model)
    head, n_heads = head_index(model, head)
    arrays = {"embedding": array(model.node_embedding.linear.weight)}
    layers = [*zip(model.interactions, model.products)]  # noqa: B905 (also before Python 3.10)
    hidden = hidden_irreps(model) if len(layers) > 1 else model.products[0].linear.irreps_out
    radial_hidden = same(
        (interaction_arrays(block, f"{n}", arrays) for n, (block, _) in enumerate(layers)),
        "radial_MLP",
    )
    correlation = same(
        (product_arrays(p, f"{n}.product", arrays) for n, (_, p) in enumerate(layers)),
        "correlation",
    )
    widths = [
        readout_arrays(readout, f"{n}.readout", arrays, head, n_heads)
        for n, readout in enumerate(model.readouts)
    ]
    if len(widths) != len(layers) or any(widths[:-1]):
        raise Unsupported(f"readouts of hidden widths {widths} for {len(layers)} layers")
    energies = np.atleast_2d(array(model.atomic_energies_fn.atomic_energies).astype(float))
    arrays["e0"] = energies[head]
    scale_shift = getattr(model, "scale_shift", None)
    for name, default in (("scale", 1.0), ("shift", 0.0)):
        value = (
            default
            if scale_shift is None
            else np.atleast_1d(array(getattr(scale_shift, name)))[head]
        )
        arrays[name] = np.array(value, dtype=float)
    zbl = getattr(model, "pair_repulsion_fn", None)
    hyperparameters = {
        "species": [int(z) for z in model.atomic_numbers],
        "hidden_irreps": str(hidden),
        "n_layers": len(layers),
        "l_max": model.spherical_harmonics.irreps_out.lmax,
        "harmonics": str(model.spherical_harmonics.irreps_out),
        "correlation": correlation,
        "first_interaction": kind_of(layers[0][0]),
        "interaction": same((kind_of(b) for b, _ in layers[1:] or layers[:1]), "interaction"),
        "avg_num_neighbors": float(
            same((b.avg_num_neighbors for b, _ in layers), "avg_num_neighbors")
        ),
        "radial_hidden": radial_hidden,
        "readout_hidden": widths[-1],
        "scaled_zbl": scale_shift is not None,
        "zbl_power": None if zbl is None else zbl_arrays(zbl, arrays),
        **radial_hyperparameters(model.radial_embedding, arrays),
    }
    version = mace.__version__
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    header = {"source": "mace", "version": version, "dtype": dtype}
    return {**header, "hyperparameters": hyperparameters}, arrays


def evaluate(path, head, structures):
    from mace.calculators import MACECalculator

    torch.set_default_dtype(torch.float64)  # of constants that meet integers inside the model
    options = {} if head is None else {"head": head}
    model = load(path)
    stored = next(model.parameters()).dtype
    calculator = MACECalculator(
        models=[model.double()], device="cpu", default_dtype="float64", **options
    )
    return str(stored).removeprefix("torch."), with_calculator(structures, calculator)


if __name__ == "__main__":
    main(extract, evaluate)
