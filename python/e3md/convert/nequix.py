"""Nequix weights in e3md's NequIP.

The arrays of the file follow the order of the program's fields: layer by layer the radial network,
linear_1, linear_2, skip, layer norm; the readout last. Normalizations are those of e3nn_jax, which
are e3nn's but for the gain of its activations.
"""

import math
from collections.abc import Iterator

import torch
from ase.data import chemical_symbols
from e3nn.o3 import Irreps
from torch import Tensor

from e3md.convert.neutral import ConversionError, Converted, Hyperparameters, Neutral, load_weights
from e3md.data.statistics import Statistics
from e3md.model import NequIPConfig
from e3md.model.build import build_model
from e3md.model.gate import TANH_GAIN
from e3md.model.layout import Layout
from e3md.model.nequip import NequIP, NequIPLayer
from e3md.model.radial import SILU_GAIN

# of e3nn_jax 0.21, which integrates silu² over 1,000,001 points of a normal density in float32
E3NN_JAX_SILU_GAIN = 1.6765648126602173


class NequixHyperparameters(Hyperparameters):
    """What extract/nequix_model.py writes."""

    cutoff: float
    hidden_irreps: str
    l_max: int
    n_layers: int
    n_bessel: int
    radial_width: int
    radial_layers: int
    envelope_power: float
    index_weights: bool
    layer_norm: bool
    scale: float
    shift: float
    avg_num_neighbors: float
    species: tuple[int, ...]


def build(neutral: Neutral) -> Converted:
    """The e3md model with the weights of a Nequix model, in float64.

    Raises:
        ConversionError: naming options or weights that have no counterpart.
    """
    hyper = neutral.parse(NequixHyperparameters)
    _check(hyper)
    arrays = (neutral.take(str(k)) for k in range(len(neutral.weights)))
    statistics = Statistics(
        species=tuple(chemical_symbols[z] for z in hyper.species),
        e0s=tuple(next(arrays).tolist()),
        scale=hyper.scale,
        shift=hyper.shift,
        avg_num_neighbors=hyper.avg_num_neighbors,
    )
    config = NequIPConfig(
        cutoff=hyper.cutoff,
        n_bessel=hyper.n_bessel,
        n_layers=hyper.n_layers,
        l_max=hyper.l_max,
        hidden_irreps=str(Irreps(hyper.hidden_irreps)),
        embedding_channels=len(hyper.species),
        self_connection="species" if hyper.index_weights else "shared",
        layer_norm=hyper.layer_norm,
        envelope_power=int(hyper.envelope_power),
        radial_hidden=(hyper.radial_width,) * hyper.radial_layers,
    )
    model = build_model(config, statistics, torch.float64)
    assert isinstance(model, NequIP)
    weights = {"species_embedding.weight": torch.eye(len(hyper.species)).double()}
    for n, layer in enumerate(model.layers):
        assert isinstance(layer, NequIPLayer)
        found = _layer_weights(arrays, layer, config)
        weights |= {f"layers.{n}.{name}": value for name, value in found.items()}
    weights["readout.weights.0"] = next(arrays)
    load_weights(model, weights)
    neutral.check_all_taken()
    return Converted(model, config, statistics)


def _check(hyper: NequixHyperparameters) -> None:
    irreps = Irreps(hyper.hidden_irreps)
    if irreps != Layout(irreps).irreps or any(ir.p != (-1) ** ir.l for _, ir in irreps):
        raise ConversionError(f"hidden_irreps = {irreps}: only sorted ones of natural parity")
    if irreps.lmax > hyper.l_max:
        raise ConversionError(f"hidden_irreps = {irreps} beyond lmax = {hyper.l_max}")
    if hyper.envelope_power != int(hyper.envelope_power):
        raise ConversionError(f"radial_polynomial_p = {hyper.envelope_power}, not an integer")


def _layer_weights(
    arrays: Iterator[Tensor], layer: NequIPLayer, config: NequIPConfig
) -> dict[str, Tensor]:
    weights = _radial_weights(arrays, layer, config)
    for name, linear in (("linear_up", layer.linear_up), ("linear_down", layer.linear_down)):
        for k in range(len(linear.blocks)):
            weights[f"{name}.blocks.{k}.weight"] = next(arrays)
    if layer.self_connection is not None:
        for k in range(len(layer.self_connection.weights)):
            weights[f"self_connection.weights.{k}"] = next(arrays)
    if layer.shared_connection is not None:
        for k, block in enumerate(layer.shared_connection.blocks):
            if hasattr(block, "weight"):
                weights[f"shared_connection.blocks.{k}.weight"] = next(arrays)
    if layer.layer_norm is not None:
        blocks = Layout(layer.gate.irreps_in).blocks
        weights["layer_norm.weight"] = torch.cat([next(arrays) for _ in blocks])
        # sums over channels and takes the mean over components, then divides by 2l + 1 again
        shares = [torch.full((b.dim,), 1 / (len(blocks) * b.n_m**2)).double() for b in blocks]
        weights["layer_norm.share"] = torch.cat(shares)
    weights["gate.gains"] = torch.tensor([E3NN_JAX_SILU_GAIN, TANH_GAIN], dtype=torch.float64)
    return weights


def _radial_weights(
    arrays: Iterator[Tensor], layer: NequIPLayer, config: NequIPConfig
) -> dict[str, Tensor]:
    """Plain x @ W and silu without gain there; sin(..)/r · 2/r_c for the basis."""
    weights = []
    for k in range(len(config.radial_hidden) + 1):
        weight = next(arrays)
        gain = math.sqrt(2.0 / config.cutoff) if k == 0 else 1.0 / SILU_GAIN
        weights.append(weight * math.sqrt(len(weight)) * gain)
    paths = layer.convolution.table.paths
    by_output = sorted(range(len(paths)), key=lambda k: (paths[k].out_offset, k))
    widths = [paths[k].mul for k in by_output]
    columns = dict(zip(by_output, weights[-1].split(widths, dim=1), strict=True))
    weights[-1] = torch.cat([columns[k] for k in range(len(paths))], dim=1)
    return {f"convolution.network.weights.{k}": weight for k, weight in enumerate(weights)}
