"""What export says of distances that no data has is measured, and true."""

import json
from pathlib import Path

import pytest
import torch

from committees import SPECIES
from conftest import random_statistics
from e3md._core import read_metadata
from e3md.export import save_model
from e3md.model import ModelConfig
from e3md.model.architecture import Reach
from e3md.model.committee import Committee
from e3md.model.short_range import (
    LEARNED,
    N_DISTANCES,
    TOLERANCES,
    dimer_forces,
    learned,
    make_dimers,
    relative_errors,
    right_from,
    short_range,
)
from e3md.model_file import TrainingRecord
from laws import CONFIGS, build, learning

SHORTEST = 1.6  # Å


# one of each kind of table: those of the others are made in the same way
KINDS = ("nequip-l1", "nequip-l3-zbl", "nequip-pair-cutoffs", "mace-1o", "mace-agnesi", "mace-density",
         "schnet-bessel", "so3net")  # fmt: skip


@pytest.fixture(params=[CONFIGS[name] for name in KINDS], ids=KINDS)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


def test_tables_are_right_at_short_range(config: ModelConfig) -> None:
    """In the precision of a run, down to about the first knot; below it only the repulsion holds."""
    model = build(config)
    model.n_knots = (256, 1024)
    found = short_range([model], config.cutoff, len(SPECIES))
    for dtype, tolerance in TOLERANCES.items():
        assert found.right_from[dtype] < 0.06
        errors = zip(found.distance, found.error[dtype], strict=True)
        assert all(error < tolerance for r, error in errors if r >= found.right_from[dtype])
    if not getattr(config, "zbl", False):
        assert found.error["float32"][0] > TOLERANCES["float32"]
    assert max(found.error["float32"][2:]) > 1e-8, "not computed in float32"


def test_coarse_tables_are_found_out() -> None:
    config = CONFIGS["nequip-l1"]
    coarse, fine = build(config), build(config)
    coarse.n_knots, fine.n_knots = (12, 256), (256, 256)
    found = short_range([coarse], config.cutoff, len(SPECIES))
    assert found.right_from["float32"] > 1.0
    both = short_range([fine, coarse], config.cutoff, 3)
    assert both.error["float32"] == found.error["float32"]  # the largest of the members


def test_training_evaluates_the_file_where_data_are(config: ModelConfig) -> None:
    found = learned([build(config)], Reach(SHORTEST, config.cutoff), len(SPECIES))
    assert found.error < LEARNED
    assert 0.85 * SHORTEST < found.right_from < SHORTEST  # the first knot is at 0.9 of it
    assert found.error_at_half > 1e-3


def test_the_difference_is_that_of_the_forms() -> None:
    config = CONFIGS["mace-1o"]
    model, dimers = build(config), make_dimers(config.cutoff, 3)
    fast = learning(model, config, SHORTEST)
    expected, found = (dimer_forces(m, dimers, torch.float64) for m in (model, fast))
    nearest = int((dimers.distance - 0.5 * SHORTEST).abs().argmin())
    difference = (found - expected)[:, nearest].norm(dim=1)
    beyond = expected[:, nearest:].norm(dim=2).amax(1)
    stated = learned([model], Reach(SHORTEST, config.cutoff), 3)
    assert stated.error_at_half == pytest.approx(float((difference / beyond).max()), rel=0.1)


def test_errors_are_relative_to_the_largest_force_beyond() -> None:
    distance = torch.tensor([1.0, 2.0, 3.0, 4.0])
    size = torch.tensor([0.5, 4.0, 2.0, 1e-9])
    exact = torch.zeros(2, 4, 3)
    exact[:, :, 0] = size
    found = exact.clone()
    found[1, :, 1] = 0.1
    errors = relative_errors(found, exact, distance, near=2.5)
    torch.testing.assert_close(errors, torch.tensor([0.1 / 4, 0.1 / 4, 0.1 / 2, 0.1 / 2]))
    assert right_from(errors, distance, 0.03) == 4.0  # nowhere
    assert right_from(errors, distance, 0.06) == 1.0
    assert right_from(torch.tensor([9.0, float("nan"), 0.0, 0.0]), distance, 1.0) == 3.0


@pytest.mark.parametrize(("n_species", "n_pairs"), [(1, 1), (3, 6), (89, 30)])
def test_every_pair_is_there_or_those_of_like_atoms(n_species: int, n_pairs: int) -> None:
    dimers = make_dimers(5.0, n_species)
    pairs = dimers.types.view(-1, N_DISTANCES, 2)[:, 0].tolist()
    assert len(pairs) == n_pairs
    assert dimers.edge_vec.equal(dimers.edge_vec.float().double())
    reference = dimers.edge_vec.view(n_pairs, N_DISTANCES, 2, 3)
    torch.testing.assert_close(
        reference.norm(dim=3),
        dimers.distance[None, :, None].expand(n_pairs, -1, 2),
        rtol=1e-6,
        atol=0,
    )


@pytest.mark.parametrize("members", [1, 2])
def test_export_states_it(members: int, tmp_path: Path) -> None:
    config, statistics = CONFIGS["nequip-1-layer"], random_statistics(SPECIES)
    models = [build(config, torch.float32) for _ in range(members)]
    model = Committee(models) if members > 1 else models[0]
    record = TrainingRecord(shortest_distance=SHORTEST)
    remark = save_model(model, config, statistics, record, tmp_path / "m.pt")
    metadata = json.loads(read_metadata(str(tmp_path / "m.pt")).json)
    assert metadata["training"]["shortest_distance"] == SHORTEST
    tables = metadata["tables"]
    near, trained = tables["short_range"], tables["learned"]
    for dtype, tolerance in TOLERANCES.items():
        assert near["right_from"][dtype] < 0.06
        assert f"below {tolerance:.0e} from {near['right_from'][dtype]:.2f} Å on" in remark
    assert trained["shortest_distance"] == SHORTEST
    assert trained["error"] < LEARNED
    assert f"are {SHORTEST:.2f} Å apart: down to {trained['right_from']:.2f} Å" in remark


def test_a_model_of_unknown_data_has_nothing_to_state(tmp_path: Path) -> None:
    config = CONFIGS["nequip-1-layer"]
    remark = save_model(
        build(config), config, random_statistics(SPECIES), TrainingRecord(), tmp_path / "m.pt"
    )
    assert "closest atoms" not in remark
    metadata = json.loads(read_metadata(str(tmp_path / "m.pt")).json)
    assert metadata["tables"]["learned"] is None
    assert metadata["training"]["shortest_distance"] is None
