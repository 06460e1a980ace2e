"""mace-torch weights in e3md's MACE.

Both use e3nn's normalizations, so that most weights map by reshaping. What differs: mace-torch's
edge vectors point the other way (odd harmonics change sign), its product basis has one weight per
coupling path where e3md's has one per independent coupling, and e3nn finds the gain of silu by
sampling.
"""

import math
from typing import Literal

import torch
from ase.data import chemical_symbols
from e3nn.o3 import Irreps
from torch import Tensor

from e3md.convert.neutral import ConversionError, Converted, Hyperparameters, Neutral, load_weights
from e3md.data.statistics import Statistics
from e3md.model import MACEConfig
from e3md.model.build import build_model
from e3md.model.layout import Layout, harmonics_irreps
from e3md.model.mace import MACE, Interaction, MACELayer
from e3md.model.path_table import Path
from e3md.model.radial import SILU_GAIN
from e3md.model.symmetric_contraction import SymmetricContraction

BOHR, COULOMB = 0.529, 14.3996  # Å, eV Å: as mace-torch rounds them
DECAYS = (3.2, 0.9423, 0.4028, 0.2016)
SAME_SPAN = 1e-6  # relative residual of couplings that are stored in float32


class MACEHyperparameters(Hyperparameters):
    """What extract/mace_model.py writes."""

    species: tuple[int, ...]
    hidden_irreps: str
    n_layers: int
    l_max: int
    harmonics: str
    correlation: Literal[1, 2, 3]
    first_interaction: Interaction
    interaction: Interaction
    avg_num_neighbors: float
    radial_hidden: tuple[int, ...]
    readout_hidden: int
    scaled_zbl: bool
    zbl_power: int | None
    cutoff: float
    n_bessel: int
    envelope_power: int
    distance_transform: Literal["none", "agnesi"]


def build(neutral: Neutral) -> Converted:
    """The e3md model with the weights of a mace-torch model, in float64.

    Raises:
        ConversionError: naming options or weights that have no counterpart.
    """
    hyper = neutral.parse(MACEHyperparameters)
    _check(hyper)
    scale, shift = float(neutral.take("scale")), float(neutral.take("shift"))
    statistics = Statistics(
        species=tuple(chemical_symbols[z] for z in hyper.species),
        e0s=tuple(neutral.take("e0").tolist()),
        scale=scale,
        shift=shift,
        avg_num_neighbors=hyper.avg_num_neighbors,
    )
    shared = set(MACEHyperparameters.model_fields) & set(MACEConfig.model_fields)
    config = MACEConfig(zbl=hyper.zbl_power is not None, **hyper.model_dump(include=shared))
    model = build_model(config, statistics, torch.float64)
    assert isinstance(model, MACE)
    weights = _outer_weights(neutral, hyper, scale)
    for n, layer in enumerate(model.layers):
        assert isinstance(layer, MACELayer)
        found = _layer_weights(neutral, layer, config, n)
        weights |= {f"layers.{n}.{name}": value for name, value in found.items()}
    load_weights(model, weights)
    neutral.check_all_taken()
    return Converted(model, config, statistics)


def _check(hyper: MACEHyperparameters) -> None:
    if Irreps(hyper.harmonics) != harmonics_irreps(hyper.l_max):
        raise ConversionError(f"harmonics = {hyper.harmonics}: only those of natural parity")
    unnatural = [str(ir) for _, ir in Irreps(hyper.hidden_irreps) if ir.p != (-1) ** ir.l]
    if unnatural:
        raise ConversionError(f"hidden_irreps = {hyper.hidden_irreps}: parity of {unnatural[0]}")
    if hyper.zbl_power not in (None, hyper.envelope_power):
        raise ConversionError(f"a ZBL envelope of power {hyper.zbl_power}, not the cutoff's")


def _outer_weights(neutral: Neutral, hyper: MACEHyperparameters, scale: float) -> dict[str, Tensor]:
    n_species, n_last = len(hyper.species), hyper.n_layers - 1
    embedding = neutral.take("embedding").view(n_species, -1) / math.sqrt(n_species)
    agnesi = hyper.distance_transform == "agnesi"
    radial = "edge_embedding.radial." + ("basis." if agnesi else "")
    weights = {
        "species_embedding.weight": embedding,
        radial + "wavenumbers": neutral.take("bessel.wavenumbers"),
    }
    if agnesi:
        weights["edge_embedding.radial.shape"] = neutral.take("agnesi.shape")
    for n in range(n_last):
        weights[f"readouts.{n}.weights.0"] = neutral.take(f"{n}.readout.0")[:, None]
    last = f"{n_last}.readout"
    weights[f"readouts.{n_last}.weights.0"] = neutral.take(f"{last}.0")
    weights[f"readouts.{n_last}.weights.1"] = _after_silu(
        neutral.take(f"{last}.1")[:, None], neutral.take(f"{last}.gain")
    )
    if hyper.zbl_power is not None:
        weights |= _zbl_weights(neutral, hyper, scale)
    return weights


def _zbl_weights(neutral: Neutral, hyper: MACEHyperparameters, scale: float) -> dict[str, Tensor]:
    """ScaleShiftMACE scales the repulsion with the network's energy."""
    radii = neutral.take("zbl.covalent_radii")[list(hyper.species)]
    coulomb = COULOMB * (scale if hyper.scaled_zbl else 1.0)
    return {
        "zbl.coulomb": torch.tensor(coulomb, dtype=torch.float64),
        "zbl.screening": neutral.take("zbl.prefactor") * BOHR,
        "zbl.exponent": neutral.take("zbl.exponent"),
        "zbl.amplitudes": neutral.take("zbl.amplitudes"),
        "zbl.decays": torch.tensor(DECAYS, dtype=torch.float64),
        "zbl.reach": radii[:, None] + radii[None, :],
    }


def _after_silu(weight: Tensor, gain: Tensor) -> Tensor:
    """A weight behind silu with its gain in place of e3md's."""
    return weight * (gain / SILU_GAIN)


def _layer_weights(
    neutral: Neutral, layer: MACELayer, config: MACEConfig, n: int
) -> dict[str, Tensor]:
    channels = Layout(config.hidden_irreps).n_scalars
    up = neutral.take(f"{n}.linear_up").view(-1, channels, channels)
    weights = {f"linear_up.blocks.{k}.weight": block for k, block in enumerate(up)}
    weights |= _radial_weights(neutral, layer, f"{n}.radial", len(config.radial_hidden))
    if layer.density is not None:
        weights["density.network.weights.0"] = neutral.take(f"{n}.density.0")
    # the prefactor of the basis is e3md's, but rounded to float32 in files in float32
    rounding = neutral.take("bessel.prefactor") / math.sqrt(2.0 / config.cutoff)
    for name in {"convolution.network.weights.0", "density.network.weights.0"} & weights.keys():
        weights[name] = weights[name] * rounding
    mid = Layout(layer.irreps_mid)
    columns = neutral.take(f"{n}.linear").view(-1, channels).split([b.channels for b in mid.blocks])
    weights |= {f"linear_a.blocks.{k}.weight": block for k, block in enumerate(columns)}
    weights |= _species_map(neutral, layer, f"{n}.skip", channels)
    weights |= _contraction_weights(neutral, layer.contraction, f"{n}.product")
    down = neutral.take(f"{n}.product.linear").view(-1, channels, channels)
    return weights | {f"linear_b.blocks.{k}.weight": block for k, block in enumerate(down)}


def _species_map(neutral: Neutral, layer: MACELayer, name: str, channels: int) -> dict[str, Tensor]:
    """e3nn's weights (c_in, n_species, c_out) of each irrep, normalized also by n_species."""
    n_species = layer.species_map.n_species
    maps = neutral.take(name).view(-1, channels, n_species, channels) / math.sqrt(n_species)
    return {f"species_map.weights.{k}": block.movedim(1, 0) for k, block in enumerate(maps)}


def _radial_weights(
    neutral: Neutral, layer: MACELayer, prefix: str, n_hidden: int
) -> dict[str, Tensor]:
    weights = {"convolution.network.weights.0": neutral.take(f"{prefix}.0")}
    for k in range(1, n_hidden + 1):
        gain = neutral.take(f"{prefix}.{k - 1}.gain")
        weights[f"convolution.network.weights.{k}"] = _after_silu(
            neutral.take(f"{prefix}.{k}"), gain
        )
    last = f"convolution.network.weights.{n_hidden}"
    weights[last] = _in_order_of_paths(weights[last], layer)
    return weights


def _in_order_of_paths(weight: Tensor, layer: MACELayer) -> Tensor:
    """Columns of mace-torch, sorted by output, in e3md's order; odd harmonics change sign."""
    paths = layer.convolution.table.paths
    by_output = sorted(range(len(paths)), key=lambda k: (_output_block(layer, paths[k]), k))
    columns = dict(zip(by_output, weight.chunk(len(paths), dim=1), strict=True))
    signs = [(-1) ** math.isqrt(path.sh_offset) for path in paths]
    return torch.cat([columns[k] * sign for k, sign in enumerate(signs)], dim=1)


def _output_block(layer: MACELayer, path: Path) -> int:
    blocks = Layout(layer.irreps_mid).blocks
    return max(n for n, block in enumerate(blocks) if block.offset <= path.out_offset)


def _contraction_weights(
    neutral: Neutral, contraction: SymmetricContraction, prefix: str
) -> dict[str, Tensor]:
    """Weights of independent couplings C_η: W_η = Σ_k M_kη W_k, with U_k = Σ_η M_kη C_η."""
    found: dict[str, Tensor] = {}
    for index, order in enumerate(contraction.couplings()):
        nu = order.factors.shape[0]
        columns = _monomial_columns(order.factors, contraction.dim_lm)
        rows, parts = order.values, []
        for k, (n_eta, n_m) in zip(order.outputs, order.shapes, strict=True):
            ours, rows = rows[: n_eta * n_m].view(n_eta, -1), rows[n_eta * n_m :]
            theirs = neutral.take(f"{prefix}.{k}.{nu}.coupling")
            mixing = _mixing(theirs, columns, ours, f"{prefix}.{k}.{nu}")
            weight = neutral.take(f"{prefix}.{k}.{nu}.weight")
            parts.append(torch.einsum("ke,zkc->zec", mixing, weight))
        found[f"contraction.orders.{index}.weight"] = torch.cat(parts, dim=1)
    return found


def _monomial_columns(factors: Tensor, dim: int) -> Tensor:
    """Where e3md's monomials (order, n) stand among all monomials i <= j <= k of `dim` factors."""
    every = torch.combinations(torch.arange(dim), r=len(factors), with_replacement=True)
    position = {tuple(row): n for n, row in enumerate(every.tolist())}
    return torch.tensor([position[tuple(column)] for column in factors.T.tolist()])


def _mixing(theirs: Tensor, columns: Tensor, ours: Tensor, name: str) -> Tensor:
    """M of U_k = Σ_η M_kη C_η; theirs (n_paths, 2L+1, all monomials), ours (n_η, (2L+1)·n)."""
    used = theirs[:, :, columns].flatten(1)
    mixing = torch.linalg.lstsq(ours.T, used.T).solution.T
    left = (used - mixing @ ours).square().sum() + theirs.square().sum() - used.square().sum()
    if left > SAME_SPAN**2 * theirs.square().sum():
        raise ConversionError(f"the couplings {name} are not those of e3md's product basis")
    return mixing
