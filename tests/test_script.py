"""The scripted model is the eager model, and a model file keeps it."""

import json

import pytest
import torch

from conftest import random_statistics, random_structure
from e3md._core import check_model_file
from e3md.export import save_model
from e3md.model import ModelConfig, NequIPConfig, build_model
from e3md.model_file import METADATA_FILE, TrainingRecord
from laws import CONFIGS, SPECIES, build, to_graph


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saved_model_equals_eager(config: ModelConfig, dtype: torch.dtype, tmp_path) -> None:
    model = build(config, dtype)
    graph = to_graph(random_structure(10, seed=21), config, dtype)
    arguments = (graph.types, graph.edge_index, graph.edge_vec, graph.n_atoms)
    energies, descriptors = model(*arguments), model.descriptors(*arguments)

    path = tmp_path / "model.pt"
    record = TrainingRecord(seed=4, test_errors={"forces_mae": 0.05})
    remark = save_model(model, config, random_statistics(SPECIES), record, path, exact=True)
    files = {METADATA_FILE: ""}
    loaded = torch.jit.load(str(path), _extra_files=files)
    metadata = json.loads(files[METADATA_FILE])

    check_model_file(str(path))  # its code is allowed
    assert "exact" in remark
    assert metadata["tables"] is None
    assert energies.dtype == torch.float64
    assert descriptors.dtype == dtype
    torch.testing.assert_close(loaded(*arguments), energies, atol=0, rtol=0)
    torch.testing.assert_close(loaded.descriptors(*arguments), descriptors, atol=0, rtol=0)
    assert metadata["format_version"] == 2
    assert metadata["species"] == list(SPECIES)
    assert metadata["cutoff"] == config.cutoff
    assert metadata["n_layers"] == config.n_layers
    assert metadata["dtype"] == str(dtype).removeprefix("torch.")
    assert metadata["training"]["test_errors"] == {"forces_mae": 0.05}
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_a_file_with_tables_gives_the_models_energies(config: ModelConfig, tmp_path) -> None:
    model = build(config, torch.float64)
    graph = to_graph(random_structure(10, seed=21), config, torch.float64)
    arguments = (graph.types, graph.edge_index, graph.edge_vec, graph.n_atoms)
    path = tmp_path / "model.pt"
    save_model(model, config, random_statistics(SPECIES), TrainingRecord(), path)
    check_model_file(str(path))
    loaded = torch.jit.load(str(path))
    loaded.double().tabulate(False)
    torch.testing.assert_close(loaded(*arguments), model(*arguments), atol=1e-11, rtol=0)
    torch.testing.assert_close(
        loaded.descriptors(*arguments), model.descriptors(*arguments), atol=1e-10, rtol=1e-10
    )


def test_exact_files_have_no_knots_whatever_was_written_before(tmp_path) -> None:
    config, statistics = CONFIGS["nequip-1-layer"], random_statistics(SPECIES)
    model, path = build(config), tmp_path / "m.pt"
    for exact in (False, True):
        save_model(model, config, statistics, TrainingRecord(), path, exact)
        assert (torch.jit.load(str(path)).n_knots == (0, 0)) == exact


def test_a_file_with_xplor_smoothing_is_allowed(tmp_path) -> None:
    config = NequIPConfig(cutoff=4.0, n_layers=1, channels=4, xplor_on=3.0)
    path = tmp_path / "m.pt"
    statistics = random_statistics(SPECIES)
    save_model(build(config), config, statistics, TrainingRecord(), path, exact=True)
    check_model_file(str(path))


def test_a_cutoff_below_every_bond_has_no_tables(tmp_path) -> None:
    config = NequIPConfig(cutoff=0.4, n_layers=1, channels=4)
    statistics, path = random_statistics(SPECIES), tmp_path / "m.pt"
    remark = save_model(build(config), config, statistics, TrainingRecord(), path)
    assert "no tables" in remark
    assert "no two atoms come within 0.4 Å" in remark


def test_export_says_how_good_the_tables_are(tmp_path) -> None:
    config = CONFIGS["nequip-l1"]
    path = tmp_path / "m.pt"
    remark = save_model(build(config), config, random_statistics(SPECIES), TrainingRecord(), path)
    files = {METADATA_FILE: ""}
    torch.jit.load(str(path), _extra_files=files)
    tables = json.loads(files[METADATA_FILE])["tables"]
    assert tables["force_error"]["float32"] < 1e-6
    assert tables["force_error"]["float64"] < 1e-10
    assert tables["knots"]["float32"] < tables["knots"]["float64"]
    assert f"{tables['knots']['float32']} knots in float32" in remark


def test_float32_agrees_with_float64(config: ModelConfig) -> None:
    atoms = random_structure(10, seed=22)
    energies = []
    for dtype in (torch.float32, torch.float64):
        graph = to_graph(atoms, config, dtype)
        model = build(config, dtype)
        energies.append(model(graph.types, graph.edge_index, graph.edge_vec, graph.n_atoms))
    torch.testing.assert_close(energies[0], energies[1], atol=1e-5, rtol=1e-5)


def test_building_a_model_leaves_the_default_dtype_alone(config: ModelConfig) -> None:
    build_model(config, random_statistics(SPECIES), torch.float64)
    assert torch.get_default_dtype() == torch.float32
