"""Radial functions whose second derivative jumps, as at the onset of XPLOR smoothing, have tables."""

import pytest
import torch
from torch import Tensor, nn

from conftest import random_statistics, random_structure, small_config
from e3md.derivatives import predict
from e3md.export import save_model
from e3md.model import choose_knots
from e3md.model.choose_knots import TOLERANCES
from e3md.model.splines import make_knots
from e3md.model_file import TrainingRecord
from laws import CONFIGS, SPECIES, build, learning, tabulated, to_graph

CONFIG = CONFIGS["nequip-xplor"]
ON = 3.1
BOTH = small_config("nequip", xplor_on=ON, pair_cutoffs={"Li-S": 3.6, "P-S": 3.2})


def forces_at(model: nn.Module, distances: Tensor) -> Tensor:
    """Between Li and S, (n, 3) eV/Å."""
    n = len(distances)
    atoms = torch.arange(2 * n).view(-1, 2)
    direction = torch.tensor([[0.48, 0.6, 0.64], [-0.48, -0.6, -0.64]], dtype=torch.float64)
    edge_vec = (distances[:, None, None] * direction).flatten(0, 1).requires_grad_()
    edge_index = torch.stack([atoms.flatten(), atoms.flip(1).flatten()])
    energies = model(torch.tensor([0, 2]).repeat(n), edge_index, edge_vec, 2 * n)
    g = torch.autograd.grad(energies.sum(), edge_vec)[0].view(n, 2, 3)
    return g[:, 0] - g[:, 1]


@pytest.mark.parametrize("form", ["tables", "training"])
def test_forces_near_the_onset_are_the_networks(form: str) -> None:
    model = build(CONFIG)
    fast = tabulated(model, 768) if form == "tables" else learning(model, CONFIG)
    beside = torch.logspace(-9, -0.5, 30, dtype=torch.float64)
    distances = torch.cat(
        [ON - beside.flip(0), torch.tensor([ON], dtype=torch.float64), ON + beside]
    )
    expected = forces_at(model, distances)
    found = forces_at(fast, distances)
    tolerance = (1e-9 if form == "tables" else 1e-5) * float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    slopes, wanted = ((f[1:] - f[:-1]) / distances.diff()[:, None] for f in (found, expected))
    torch.testing.assert_close(slopes, wanted, rtol=0, atol=1e-3 * float(wanted.abs().max()))


def test_without_the_doubled_knot_they_are_not() -> None:
    model = build(CONFIG)
    fast = build(CONFIG)
    fast.edge_embedding.breaks = []
    fast = tabulated(fast, 768)
    distances = torch.linspace(ON - 0.02, ON + 0.02, 41, dtype=torch.float64)
    expected = forces_at(model, distances)
    found = forces_at(fast, distances)
    assert float((found - expected).abs().max()) > 1e-7 * float(expected.abs().max())


@pytest.mark.parametrize("n", [3, 16, 96, 1000])
@pytest.mark.parametrize("at", [0.2, 3.1, 5.2, 5.999])
def test_the_break_is_a_knot_from_both_sides(n: int, at: float) -> None:
    first, last = 0.05, 6.0
    r, grid = make_knots(first, last, n, [at], torch.device("cpu"))
    spacing, doubled = float(grid[1]), int(grid[2]) if len(grid) == 3 else 0
    places = torch.arange(len(r)).double()
    if len(grid) == 3:
        places[doubled + 1 :] -= 1
    torch.testing.assert_close(r, grid[0] + spacing * places, rtol=1e-12, atol=1e-12)
    assert spacing <= (last - first) / (n - 1)
    assert first - 1e-12 < float(grid[0])
    assert float(grid[0]) < first + spacing or float(grid[0]) == pytest.approx(at)
    assert float(r[-1]) == pytest.approx(last, rel=1e-12)
    if len(grid) == 3:
        assert 1 <= doubled <= len(r) - 3
        assert float(r[doubled]) < at < float(r[doubled + 1])


def test_a_break_out_of_reach_changes_nothing() -> None:
    usual = make_knots(1.0, 4.0, 20, [], torch.device("cpu"))
    for at in (0.5, 1.0, 3.95, 4.0, 7.0):
        found = make_knots(1.0, 4.0, 20, [at], torch.device("cpu"))
        assert found.r.equal(usual.r)
        assert found.grid.equal(usual.grid)


def test_second_derivatives_are_those_of_either_side() -> None:
    embedding = build(CONFIG).edge_embedding
    basis = embedding.known(embedding.knots(0.05, 200))
    doubled = int(basis.grid[2])
    before, after = basis.jets[:, 0, doubled], basis.jets[:, 0, doubled + 1]
    torch.testing.assert_close(before[:2], after[:2], rtol=1e-11, atol=1e-11)
    jump = after[2] - before[2]
    r, h = ON, float(basis.grid[1])  # f = u b with u = 1, u' = 0 and u'' as the formula has it
    width = CONFIG.cutoff**2 - ON**2
    curvature = -24 * r * r / width**2
    torch.testing.assert_close(jump, h * h * curvature * before[0], rtol=1e-9, atol=1e-12)


def test_export_meets_its_tolerances(tmp_path) -> None:
    model = build(CONFIG)
    tables = choose_knots.choose_knots(model, CONFIG.cutoff, SPECIES)
    for dtype, tolerance in TOLERANCES.items():
        assert tables.force_error[dtype] < tolerance
    assert tables.knots["float64"] <= 1024
    remark = save_model(
        model, CONFIG, random_statistics(SPECIES), TrainingRecord(), tmp_path / "m.pt"
    )
    assert "radial tables" in remark


def test_breaks_at_several_distances_have_no_tables(tmp_path) -> None:
    model = build(BOTH)
    remark = save_model(
        model, BOTH, random_statistics(SPECIES), TrainingRecord(), tmp_path / "m.pt"
    )
    assert "no tables" in remark
    assert "not smooth at 2.48, 2.79, 3.1 Å, each in some pairs" in remark
    assert torch.jit.load(str(tmp_path / "m.pt")).n_knots == (0, 0)
    graph = to_graph(random_structure(8, seed=3), BOTH)
    exact, fast = predict(model, graph).forces, predict(learning(model, BOTH), graph).forces
    torch.testing.assert_close(fast, exact, rtol=0, atol=0)


def test_one_cutoff_for_every_pair_is_one_break() -> None:
    pairs = {f"{a}-{b}": 3.6 for a in SPECIES for b in SPECIES}
    model = build(small_config("nequip", xplor_on=ON, pair_cutoffs=pairs))
    assert model.edge_embedding.breaks == [pytest.approx(ON * 3.6 / 4.0)]
    graph = to_graph(random_structure(8, seed=3), CONFIG)
    expected = predict(model, graph).forces
    torch.testing.assert_close(
        predict(tabulated(model, 768), graph).forces, expected, rtol=0, atol=1e-9
    )
