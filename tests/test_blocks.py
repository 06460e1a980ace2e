"""Each block against e3nn's reference or the equation it implements."""

import itertools
import math

import pytest
import torch
from e3nn import nn as e3nn_nn
from e3nn import o3
from e3nn.o3 import Irreps
from torch import Tensor

from e3md import ops
from e3md.model import SchNetConfig
from e3md.model.convolution import channelwise
from e3md.model.couplings import coupling_tensors
from e3md.model.cutoffs import CosineCutoff, MollifierCutoff, PolynomialEnvelope, XPLOREnvelope
from e3md.model.dense import GAINS, Dense
from e3md.model.filters import FilterBasis, FilterNetwork
from e3md.model.gate import Gate
from e3md.model.harmonics import SphericalHarmonics
from e3md.model.layout import Layout, harmonics_irreps
from e3md.model.linear import Linear, SpeciesLinear
from e3md.model.radial import BesselBasis
from e3md.model.symmetric_contraction import SymmetricContraction
from e3md.model.tied import ChannelProduct, clebsch_gordan, tied

EXACT = {"atol": 1e-12, "rtol": 1e-12}


@pytest.fixture(autouse=True)
def _double(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)  # e3nn's constants
    yield
    torch.set_default_dtype(torch.float32)


def to_e3nn(rows: Tensor, irreps: Irreps) -> Tensor:
    """Our blocks [2l+1, channels] as e3nn's [channels, 2l+1]."""
    parts = [
        rows.narrow(1, b.offset, b.dim).unflatten(1, (b.n_m, b.channels)).mT.flatten(1)
        for b in Layout(irreps).blocks
    ]
    return torch.cat(parts, dim=1)


def from_e3nn(rows: Tensor, irreps: Irreps) -> Tensor:
    parts = [
        rows.narrow(1, b.offset, b.dim).unflatten(1, (b.channels, b.n_m)).mT.flatten(1)
        for b in Layout(irreps).blocks
    ]
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("l_max", [0, 1, 2, 3, 6])
def test_harmonics_are_e3nns(l_max: int) -> None:
    directions = torch.nn.functional.normalize(torch.randn(50, 3))
    expected = o3.spherical_harmonics(
        list(range(l_max + 1)), directions, normalize=False, normalization="component"
    )
    torch.testing.assert_close(SphericalHarmonics(l_max)(directions), expected, **EXACT)


@pytest.mark.parametrize(
    ("irreps_in", "l_max", "keep"),
    [
        ("4x0e", 3, "0e+1o+2e+3o"),
        ("4x0e+4x1o", 1, "0e+1o"),
        ("3x0e+5x1o+2x2e", 3, "0e+0o+1o+1e+2e+2o+3o"),
        ("4x0e+4x0o+4x1o+4x1e", 2, "0e+0o+1o+1e+2e"),
    ],
)
def test_convolution_is_e3nns_tensor_product(irreps_in: str, l_max: int, keep: str) -> None:
    source = Layout(irreps_in).irreps
    table, irreps_out = channelwise(source, harmonics_irreps(l_max), keep)
    n_nodes, edge_index = 6, torch.tensor([[0, 0, 1, 3, 3, 3, 4], [1, 2, 0, 0, 5, 4, 4]])
    h = torch.randn(n_nodes, source.dim)
    sh = SphericalHarmonics(l_max)(torch.nn.functional.normalize(torch.randn(7, 3)))
    weights = torch.randn(7, table.n_weights)

    # e3nn keeps every path apart; ours joins paths to the same irrep as channels.
    sh_irreps = harmonics_irreps(l_max)
    paths = [
        (i, j, mul, out)
        for i, (mul, ir) in enumerate(source)
        for j, (_, sh_ir) in enumerate(sh_irreps)
        for out in ir * sh_ir
        if out in Irreps(keep)
    ]
    product = o3.TensorProduct(
        source, sh_irreps, Irreps([(mul, out) for _, _, mul, out in paths]),
        [(i, j, k, "uvu", True) for k, (i, j, _, _) in enumerate(paths)],
        shared_weights=False, internal_weights=False,
    )  # fmt: skip
    messages = product(to_e3nn(h, source)[edge_index[1]], sh, weights)
    summed = torch.zeros(n_nodes, messages.shape[1]).index_add(0, edge_index[0], messages)
    pieces: dict = {}
    offset = 0
    for _, _, mul, out in paths:
        piece = summed.narrow(1, offset, mul * out.dim).unflatten(1, (mul, out.dim))
        pieces.setdefault(out, []).append(piece)
        offset += mul * out.dim
    order = [b.irrep for b in Layout(irreps_out).blocks]
    expected = torch.cat([torch.cat(pieces[ir], dim=1).mT.flatten(1) for ir in order], dim=1)

    ours = ops.edge_conv(h, sh, weights, edge_index, *table.tensors(), n_nodes, table.dim_out)
    torch.testing.assert_close(ours, expected, **EXACT)


def test_linear_is_e3nns() -> None:
    source, target = Irreps("4x0e+3x1o+2x2e"), Irreps("5x0e+2x1o+4x2e")
    ours = Linear(source, target)
    theirs = o3.Linear(source, target)
    weight = torch.cat([block.weight.detach().flatten() for block in ours.blocks])
    theirs.weight.data = weight
    x = torch.randn(7, source.dim)
    expected = from_e3nn(theirs(to_e3nn(x, source)), target)
    torch.testing.assert_close(ours(x), expected, **EXACT)


def test_an_irrep_that_nothing_feeds_is_zero() -> None:
    out = Linear("4x0e", "4x0e+2x1o")(torch.randn(3, 4))
    assert out.shape == (3, 10)
    assert not out[:, 4:].any()


def test_species_linear_uses_each_species_own_weights() -> None:
    layer = SpeciesLinear(3, "4x0e+2x1o", "3x0e+2x1o+2x1e")
    x, types = torch.randn(8, 10), torch.tensor([2, 0, 2, 2, 0, 2, 0, 0])
    out = layer(x, types)
    for atom, species in enumerate(types):
        linear = Linear("4x0e+2x1o", "3x0e+2x1o+2x1e")
        learned = [block for block in linear.blocks if hasattr(block, "weight")]
        for block, weight in zip(learned, layer.weights, strict=True):
            block.weight = torch.nn.Parameter(weight[species])
        torch.testing.assert_close(out[atom], linear(x[atom : atom + 1])[0])
    assert torch.jit.script(layer)(x[:0], types[:0]).shape == (0, layer.dim_out)


@pytest.mark.parametrize("irreps", ["4x0e+3x1o", "4x0e+2x0o+3x1e+3x1o+2x2e", "5x0e"])
def test_gate_is_e3nns(irreps: str) -> None:
    target = Layout(irreps).irreps
    gate = Gate(target)
    scalars = Irreps([(m, ir) for m, ir in target if ir.l == 0])
    gated = Irreps([(m, ir) for m, ir in target if ir.l > 0])
    gates = Irreps([(gated.num_irreps, "0e")]) if len(gated) else Irreps("")
    acts = {1: torch.nn.functional.silu, -1: torch.tanh}
    theirs = e3nn_nn.Gate(
        scalars, [acts[ir.p] for _, ir in scalars],
        gates, [acts[1]] * len(gates), gated,
    )  # fmt: skip
    x = torch.randn(5, Layout(gate.irreps_in).dim)
    # e3nn wants scalars (0o, 0e as sorted), then gates, then the gated irreps.
    source = Layout(gate.irreps_in)
    rows = {b.irrep: x.narrow(1, b.offset, b.dim) for b in source.blocks}
    even = rows[Irreps("0e")[0].ir]
    parts = [even[:, :m] if ir.p == 1 else rows[ir] for m, ir in scalars] + [
        even[:, target.count("0e") :]
    ]
    parts += [rows[ir].unflatten(1, (ir.dim, m)).mT.flatten(1) for m, ir in gated]
    expected = from_e3nn(theirs(torch.cat(parts, dim=1)), target)
    # e3nn estimates the activations' norms by sampling: only they differ.
    torch.testing.assert_close(gate(x), expected, atol=0, rtol=5e-3)


def _multiplicity(irreps: list[o3.Irrep], order: int, target: o3.Irrep) -> int:
    """How often `target` occurs in the symmetric power of a sum of irreps, from characters."""

    def character(angle: float, parity: int) -> float:
        return sum(
            ir.p ** ((1 - parity) // 2) * sum(math.cos(m * angle) for m in range(-ir.l, ir.l + 1))
            for ir in irreps
        )

    def symmetric_power(angle: float, parity: int) -> float:
        # Newton's identities: h_n = 1/n Σ_k p_k h_{n-k}, p_k the character of the k-th power.
        h = [1.0]
        for n in range(1, order + 1):
            power = [character(k * angle, parity**k) for k in range(1, n + 1)]
            h.append(sum(p * h[n - k - 1] for k, p in enumerate(power)) / n)
        return h[order]

    total, n_angles = 0.0, 400
    for parity in (1, -1):
        for k in range(n_angles):
            angle = (k + 0.5) * math.pi / n_angles
            own = sum(math.cos(m * angle) for m in range(-target.l, target.l + 1))
            own *= target.p ** ((1 - parity) // 2)
            measure = 2 * math.sin(angle / 2) ** 2 / n_angles
            total += 0.5 * measure * own * symmetric_power(angle, parity)
    return round(total)


@pytest.mark.parametrize("l_max", [1, 2, 3])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_couplings_are_complete(l_max: int, order: int) -> None:
    irreps = tuple(ir for _, ir in harmonics_irreps(l_max))
    couplings = coupling_tensors(irreps, order)
    for target in (o3.Irrep("0e"), o3.Irrep("1o"), o3.Irrep("2e"), o3.Irrep("2o")):
        found = couplings[target].shape[0] if target in couplings else 0
        assert found == _multiplicity(irreps, order, target), target


def test_contraction_is_the_sum_over_couplings() -> None:
    """The monomials give what U contracted with A ν times gives."""
    irreps_a, irreps_b = Irreps("4x0e+4x1o+4x2e"), Irreps("4x0e+4x1o")
    layer = SymmetricContraction(irreps_a, irreps_b, 3, n_species=2)
    a, types = torch.randn(5, 36), torch.tensor([0, 1, 1, 0, 1])
    lm = a.view(5, 9, 4)
    expected = torch.zeros(5, 4, 4)
    letters = "ijk"
    for order, block in enumerate(layer.orders, start=1):
        tensors = coupling_tensors(tuple(ir for _, ir in irreps_a), order)
        begin = 0
        for first, target in ((0, o3.Irrep("0e")), (1, o3.Irrep("1o"))):
            u = tensors[target]
            w = block.weight[types][:, begin : begin + len(u)]
            begin += len(u)
            used = letters[:order]
            factors = ",".join(f"n{m}c" for m in used)
            value = torch.einsum(f"qM{used},{factors},nqc->nMc", u, *[lm] * order, w)
            expected[:, first : first + target.dim] += value
    torch.testing.assert_close(layer(a, types), expected.flatten(1), **EXACT)


def test_contraction_refuses_an_irrep_it_cannot_make() -> None:
    with pytest.raises(ValueError, match="leave it out of hidden_irreps"):
        SymmetricContraction("4x0e+4x1o", "4x0e+4x0o", 2, n_species=1)


def test_bessel_basis_is_orthonormal_without_its_envelope() -> None:
    cutoff = 5.0
    basis = BesselBasis(cutoff, 6, PolynomialEnvelope(cutoff, 6))
    r = torch.linspace(1e-4, cutoff, 20001)[:-1]
    plain = basis(r, torch.zeros_like(r)) / basis.envelope(r)[:, None]
    gram = (plain * r[:, None]).T @ (plain * r[:, None]) * (r[1] - r[0])
    torch.testing.assert_close(gram, torch.eye(6), atol=1e-3, rtol=0)


def test_xplor_smoothing_is_that_of_hoomd_blue() -> None:
    cutoff, on = 5.0, 3.5
    r = torch.linspace(on, cutoff, 20)
    formula = (cutoff**2 - r**2) ** 2 * (cutoff**2 + 2 * r**2 - 3 * on**2)
    smoothing = XPLOREnvelope(cutoff, on)
    torch.testing.assert_close(smoothing(r), formula / (cutoff**2 - on**2) ** 3, **EXACT)
    assert (smoothing(torch.tensor([0.1, 2.0, on])) == 1.0).all()
    assert (smoothing(torch.tensor([cutoff, 6.0])) == 0.0).all()


@pytest.mark.parametrize("power", [2, 5, 6])
def test_envelope_meets_zero_with_two_derivatives(power: int) -> None:
    r = torch.tensor([4.0 - 1e-7], requires_grad=True)
    value = PolynomialEnvelope(4.0, power)(r)
    (first,) = torch.autograd.grad(value, r, create_graph=True)
    (second,) = torch.autograd.grad(first, r)
    assert max(value.abs().item(), first.abs().item(), second.abs().item()) < 1e-4
    assert PolynomialEnvelope(4.0, power)(torch.tensor([4.0, 5.0])).abs().max() == 0


@pytest.mark.parametrize("name", ["shifted_softplus", "silu"])
def test_dense_layers_are_torchs(name: str) -> None:
    function = {
        "shifted_softplus": lambda x: torch.nn.functional.softplus(x) - math.log(2.0),
        "silu": torch.nn.functional.silu,
    }[name]
    dense, x = Dense([4, 6, 3], name), torch.randn(10, 4)
    first, last = dense.layers
    torch.nn.init.normal_(first.bias)
    torch.nn.init.normal_(last.bias)
    hidden = function(x @ first.weight / 2.0 + first.bias) * GAINS[name]
    expected = hidden @ last.weight / math.sqrt(6.0) + last.bias
    torch.testing.assert_close(dense(x), expected, **EXACT)
    normal = torch.randn(1_000_000)
    assert (function(normal) * GAINS[name]).square().mean().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("cutoff", [CosineCutoff(3.0), MollifierCutoff(3.0)])
def test_cutoff_functions_fall_from_one_to_zero(cutoff: torch.nn.Module) -> None:
    r = torch.linspace(0, 4, 401).requires_grad_()
    values = cutoff(r)
    (slope,) = torch.autograd.grad(values.sum(), r)
    assert values[0] == 1.0
    assert (slope <= 0).all()
    assert not values[301:].any()
    assert slope[299:].abs().max() < 0.02


def test_filters_are_networks_of_gaussians_times_the_cutoff() -> None:
    config = SchNetConfig(cutoff=3.0, n_basis=4, cutoff_function="cosine")
    basis, filters = FilterBasis(config), FilterNetwork([4, 5, 2], "shifted_softplus")
    torch.nn.init.normal_(filters.network.layers[1].bias)
    r = torch.linspace(0.1, 3.5, 20)
    gaussians = torch.exp(-0.5 * (r[:, None] - torch.arange(4.0)).square())
    expected = filters.network(gaussians) * CosineCutoff(3.0)(r)[:, None]
    torch.testing.assert_close(filters(basis(r, r.long())), expected, **EXACT)


@pytest.mark.parametrize("l_max", [0, 1, 2, 3])
def test_tied_products_are_sums_of_e3nns_paths(l_max: int) -> None:
    """Each path against e3nn's full contraction, with its phase; weights of the harmonic's degree."""
    channels, dim = 3, (l_max + 1) ** 2
    product, table = ChannelProduct(l_max, l_max), tied(l_max, l_max, channels)
    a, b = torch.randn(4, dim, channels), torch.randn(4, dim, channels)
    edge_index = torch.stack([torch.arange(4), torch.tensor([2, 0, 3, 1])])
    weights = torch.randn(4, l_max + 1, channels)
    expected, message = torch.zeros(4, dim, channels), torch.zeros(4, dim, channels)
    for l1, l2, l3 in itertools.product(range(l_max + 1), repeat=3):
        if abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 + l3) % 2 == 0:
            s1, s2, s3 = (slice(n**2, (n + 1) ** 2) for n in (l1, l2, l3))
            c = o3.wigner_3j(l1, l2, l3) * math.sqrt(2 * l3 + 1) * (-1) ** ((l1 + l2 - l3) // 2)
            expected[:, s3] += torch.einsum("ijk,nic,njc->nkc", c, a[:, s1], b[:, s2])
            sent = a[edge_index[1]][:, s1] * weights[:, l2, None]
            message[:, s3] += torch.einsum("ijk,nic,nj->nkc", c, sent, b[:, s2, 0])
    torch.testing.assert_close(product(a, b), expected, **EXACT)
    found = ops.edge_conv(
        a.flatten(1), b[:, :, 0], weights.flatten(1), edge_index, *table.tensors(), 4, table.dim_out
    )
    torch.testing.assert_close(found, message.flatten(1), **EXACT)


def test_the_phase_is_condon_and_shortleys() -> None:
    """Scalars of two vectors carry the sign of ⟨1 0 1 0|0 0⟩ = -1/√3, vectors with scalars +1."""
    assert clebsch_gordan(1, 1, 0)[1, 1, 0].item() == pytest.approx(-1 / math.sqrt(3))
    assert clebsch_gordan(1, 1, 2)[1, 1, 2].item() == pytest.approx(math.sqrt(2 / 3))
    assert clebsch_gordan(1, 0, 1)[1, 0, 1].item() == pytest.approx(1.0)
