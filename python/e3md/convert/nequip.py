"""NequIP weights in e3md's NequIP.

Both follow e3nn. What differs: NequIP keeps irreps in the order its user gave, e3md sorts them;
NequIP's self-connection mixes learned features of the species, which become one matrix per species.
"""

import math
from typing import Literal

import torch
from e3nn.o3 import Irrep, Irreps
from torch import Tensor

from e3md.convert.neutral import ConversionError, Converted, Hyperparameters, Neutral, load_weights
from e3md.data.statistics import Statistics
from e3md.model import NequIPConfig
from e3md.model.build import build_model
from e3md.model.gate import TANH_GAIN
from e3md.model.layout import Layout
from e3md.model.nequip import NequIP, NequIPLayer, harmonics_of
from e3md.model.radial import SILU_GAIN

Path = tuple[str, str, str]  # irreps of feature, harmonic and message


class Layer(Hyperparameters):
    """One interaction layer; irreps in NequIP's order."""

    irreps_in: str
    irreps_mid: str
    irreps_gated: str
    irreps_out: str
    gated: str
    paths: tuple[Path, ...]
    gains: tuple[float | None, float | None]
    self_connection: Literal["species", "shared", "none"]


class NequIPHyperparameters(Hyperparameters):
    """What extract/nequip_model.py writes."""

    species: tuple[str, ...]
    cutoff: float
    pair_cutoffs: dict[str, float]
    n_bessel: int
    envelope_power: int
    l_max: int
    layers: tuple[Layer, ...]
    radial_hidden: tuple[int, ...]
    readout_hidden: tuple[int, ...]
    zbl: bool
    parity: Literal["natural", "none"] = "natural"
    solid_harmonics: bool = False
    xplor_on: float | None = None


def build(neutral: Neutral) -> Converted:
    """The e3md model with the weights of a NequIP model, in float64.

    Raises:
        ConversionError: naming options or weights that have no counterpart.
    """
    hyper = neutral.parse(NequIPHyperparameters)
    scales, shifts = neutral.take("scales"), neutral.take("shifts")
    statistics = Statistics(
        species=hyper.species,
        e0s=tuple(shifts.tolist()),
        scale=float(scales.mean()),
        shift=0.0,
        avg_num_neighbors=float(neutral.take("0.norms").square().reciprocal().mean()),
    )
    embedding = neutral.take("embedding")
    config = _config(hyper, embedding.shape[1])
    model = build_model(config, statistics, torch.float64)
    assert isinstance(model, NequIP)
    weights = {
        "species_embedding.weight": embedding,
        "reference.scale": scales,
        **_basis_weights(neutral, hyper),
        **_dense(neutral, "readout", "readout", len(hyper.readout_hidden), 1.0),
    }
    for n, (layer, given) in enumerate(zip(model.layers, hyper.layers, strict=True)):
        assert isinstance(layer, NequIPLayer)
        found = _layer_weights(neutral, layer, given, config, n)
        weights |= {f"layers.{n}.{name}": value for name, value in found.items()}
    if hyper.zbl:
        weights |= _zbl_weights(neutral, hyper)
    load_weights(model, weights)
    neutral.check_all_taken()
    return Converted(model, config, statistics)


def _config(hyper: NequIPHyperparameters, embedding_channels: int) -> NequIPConfig:
    hidden = [Irreps(layer.irreps_out) for layer in hyper.layers]
    widest = max(hidden[:-1] or hidden, key=lambda irreps: irreps.dim)
    n_scalars = {irreps.count("0e") for irreps in hidden}
    if len(n_scalars) != 1 or hidden[-1] != Irreps(f"{n_scalars.pop()}x0e"):
        raise ConversionError(f"features {[str(i) for i in hidden]}: widths that differ by layer")
    connected = [layer.self_connection for layer in hyper.layers]
    if any(kind != connected[-1] for kind in connected[1:]) or (
        connected[0] not in (connected[-1], "none")
    ):
        raise ConversionError(f"self-connections that differ by layer, {connected}")
    return NequIPConfig(
        cutoff=hyper.cutoff,
        n_bessel=hyper.n_bessel,
        zbl=hyper.zbl,
        n_layers=len(hyper.layers),
        l_max=hyper.l_max,
        hidden_irreps=str(Layout(widest).irreps),
        embedding_channels=embedding_channels,
        self_connection=connected[-1],
        first_self_connection=connected[0] != "none",
        parity=hyper.parity,
        solid_harmonics=hyper.solid_harmonics,
        xplor_on=hyper.xplor_on,
        envelope_power=hyper.envelope_power,
        radial_hidden=hyper.radial_hidden,
        readout_hidden=hyper.readout_hidden,
        pair_cutoffs=hyper.pair_cutoffs,
    )


def _basis_weights(neutral: Neutral, hyper: NequIPHyperparameters) -> dict[str, Tensor]:
    prefix = "edge_embedding.radial." + ("basis." if hyper.pair_cutoffs else "")
    return {prefix + "wavenumbers": neutral.take("wavenumbers")}


def _dense(
    neutral: Neutral, name: str, source: str, n_hidden: int, gain: float
) -> dict[str, Tensor]:
    """Plain x @ W there, silu without gain between; `gain` multiplies the first."""
    weights = {}
    for k in range(n_hidden + 1):
        weight = neutral.take(f"{source}.{k}")
        factor = math.sqrt(len(weight)) * (gain if k == 0 else 1.0 / SILU_GAIN)
        weights[f"{name}.weights.{k}"] = weight * factor
    return weights


def _layer_weights(
    neutral: Neutral, layer: NequIPLayer, given: Layer, config: NequIPConfig, n: int
) -> dict[str, Tensor]:
    inputs, mid, out = (Irreps(s) for s in (given.irreps_in, given.irreps_mid, given.irreps_gated))
    ours = _our_paths(layer, inputs, harmonics_of(config))
    if set(ours) != set(given.paths):
        raise ConversionError(f"layer {n} has the paths {given.paths}, e3md's {ours}")
    weights = {}
    for k, block in enumerate(Layout(inputs).blocks):
        matrix = _matrix(neutral, f"{n}.linear_1", inputs, inputs, block.irrep)
        weights[f"linear_up.blocks.{k}.weight"] = matrix * math.sqrt(len(matrix))
    gates = _gate_order(given)
    for k, block in enumerate(Layout(out).blocks):
        matrix = _matrix(neutral, f"{n}.linear_2", mid, out, block.irrep)
        matrix = matrix[_rows(given, ours, inputs, block.irrep)]
        matrix = _sort_gates(matrix, block.irrep, gates)
        weights[f"linear_down.blocks.{k}.weight"] = matrix * math.sqrt(len(matrix))
    weights |= _dense(
        neutral, "convolution.network", f"{n}.radial", len(config.radial_hidden),
        math.sqrt(2.0 / config.cutoff),
    )  # fmt: skip
    last = f"convolution.network.weights.{len(config.radial_hidden)}"
    widths = [inputs.count(path[0]) for path in given.paths]
    columns = dict(zip(given.paths, weights[last].split(widths, dim=1), strict=True))
    weights[last] = torch.cat([columns[path] for path in ours], dim=1)
    if given.self_connection != "none":
        weights |= _self_connection(neutral, layer, given, n, gates)
    norms = neutral.take(f"{n}.norms")
    weights["norms"] = norms[:, None].expand_as(layer.norms)
    silu, tanh = given.gains
    gains = [silu if silu else SILU_GAIN, tanh if tanh else TANH_GAIN]
    return weights | {"gate.gains": torch.tensor(gains, dtype=torch.float64)}


def _our_paths(layer: NequIPLayer, irreps_in: Irreps, edge_irreps: Irreps) -> list[Path]:
    """The paths of e3md's convolution by their irreps, in its order."""
    inputs = Layout(irreps_in).blocks
    outputs = Layout(layer.irreps_mid).blocks
    harmonics = {ir.l**2: str(ir) for _, ir in edge_irreps}
    return [
        (
            str(next(b.irrep for b in inputs if b.offset == path.in_offset)),
            harmonics[path.sh_offset],
            str([b for b in outputs if b.offset <= path.out_offset][-1].irrep),
        )
        for path in layer.convolution.table.paths
    ]


def _matrix(neutral: Neutral, name: str, source: Irreps, target: Irreps, irrep: Irrep) -> Tensor:
    """All weights between two sets of blocks of one irrep, (..., c_in, c_out)."""
    rows = []
    for i, (_, ir_in) in enumerate(source):
        if ir_in == irrep:
            columns = [j for j, (_, ir_out) in enumerate(target) if ir_out == irrep]
            rows.append(torch.cat([neutral.take(f"{name}.{i}.{j}") for j in columns], dim=-1))
    return torch.cat(rows, dim=-2)


def _rows(given: Layer, ours: list[Path], inputs: Irreps, irrep: Irrep) -> Tensor:
    """Where the channels of e3md's messages of one irrep stand among NequIP's."""
    paths = [path for path in given.paths if Irrep(path[2]) == irrep]
    widths = [inputs.count(path[0]) for path in paths]
    places = dict(zip(paths, torch.arange(sum(widths)).split(widths), strict=True))
    return torch.cat([places[path] for path in ours if Irrep(path[2]) == irrep])


def _gate_order(given: Layer) -> Tensor:
    """NequIP's gates in the order of e3md's gated irreps."""
    gated = Irreps(given.gated)
    places = torch.arange(gated.num_irreps).split([mul for mul, _ in gated])
    by_irrep = sorted(range(len(gated)), key=lambda k: gated[k].ir)
    return torch.cat([places[k] for k in by_irrep]) if len(gated) else torch.arange(0)


def _sort_gates(matrix: Tensor, irrep: Irrep, gates: Tensor) -> Tensor:
    """Even scalars come first, then the gates."""
    if irrep != Irrep("0e"):
        return matrix
    n_scalars = matrix.shape[-1] - len(gates)
    return matrix[..., torch.cat([torch.arange(n_scalars), n_scalars + gates])]


def _self_connection(
    neutral: Neutral, layer: NequIPLayer, given: Layer, n: int, gates: Tensor
) -> dict[str, Tensor]:
    source, target = Irreps(given.irreps_in), Irreps(given.irreps_gated)
    blocks = Layout(target).blocks
    both = [k for k, block in enumerate(blocks) if Layout(source).find(block.irrep)]
    weights = {}
    for place, k in enumerate(both):
        matrix = _matrix(neutral, f"{n}.sc", source, target, blocks[k].irrep)
        matrix = _sort_gates(matrix, blocks[k].irrep, gates)
        name = (
            f"shared_connection.blocks.{k}.weight"
            if layer.shared_connection is not None
            else f"self_connection.weights.{place}"
        )
        weights[name] = matrix * math.sqrt(matrix.shape[-2])
    return weights


def _zbl_weights(neutral: Neutral, hyper: NequIPHyperparameters) -> dict[str, Tensor]:
    """Constants of LAMMPS' pair_style zbl, cut off where the model's edges are."""
    cutoffs = [
        hyper.pair_cutoffs.get(f"{a}-{b}", hyper.cutoff)
        for a in hyper.species
        for b in hyper.species
    ]
    n = len(hyper.species)
    return {
        "zbl.numbers": neutral.take("zbl.numbers"),
        "zbl.coulomb": 2.0 * neutral.take("zbl.half_coulomb"),
        "zbl.screening": torch.tensor(0.46850, dtype=torch.float64),
        "zbl.exponent": torch.tensor(0.23, dtype=torch.float64),
        "zbl.reach": torch.tensor(cutoffs, dtype=torch.float64).view(n, n),
    }
