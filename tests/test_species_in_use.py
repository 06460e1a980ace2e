"""Tables of the species in use: those of all species, but fewer; other pairs give NaN."""

import itertools
from pathlib import Path

import pytest
import torch
from ase.data import chemical_symbols

from conftest import random_statistics, random_structure, small_config
from e3md.calculator import E3Calculator
from e3md.data.statistics import Statistics
from e3md.derivatives import predict
from e3md.export import save_model
from e3md.model import ModelConfig, build_model, choose_knots, short_range
from e3md.model.architecture import Architecture, Reach
from e3md.model.committee import StackedCommittee
from e3md.model.mace import MACEConfig
from e3md.model.radial import AgnesiBessel
from e3md.model.splines import SplineConvolution
from e3md.model_file import TrainingRecord, load_module
from e3md.neighbors import atoms_to_graph
from laws import CONFIGS, SPECIES, build, learning, tabulated, to_graph, with_knots

NAMES = ("nequip-l1", "nequip-pair-cutoffs", "nequip-xplor", "mace-1o", "mace-density",
         "mace-agnesi", "schnet", "so3net")  # fmt: skip
USED = (2, 0)
ELEMENTS = 89


@pytest.fixture(params=[CONFIGS[name] for name in NAMES], ids=NAMES)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


@pytest.fixture(scope="module")
def many() -> tuple[Architecture, MACEConfig, Statistics]:
    """89 elements, Agnesi distances, densities: as foundation models, but narrow."""
    from ase.data import chemical_symbols

    config = small_config(
        "mace",
        distance_transform="agnesi",
        first_interaction="density",
        interaction="density_residual",
        cutoff=5.0,
    )
    statistics = random_statistics(tuple(chemical_symbols[1 : ELEMENTS + 1]))
    torch.manual_seed(3)
    return build_model(config, statistics, torch.float64), config, statistics


def with_species(model: Architecture, used: tuple[int, ...], n_knots: int = 24) -> Architecture:
    """A copy that reads tables of these species."""
    copied = with_knots(model, n_knots)
    copied.use(torch.tensor(used))
    copied.tabulate(True)
    return copied


def splines_of(model: Architecture) -> list[SplineConvolution]:
    """Those that keep knots."""
    found = [m for m in model.modules() if isinstance(m, SplineConvolution) and m.knots.numel()]
    assert found
    return found


def test_tables_are_those_of_all_species(config: ModelConfig) -> None:
    model = build(config)
    every, some = tabulated(model, 24), with_species(model, USED)
    for whole, part in zip(splines_of(every), splines_of(some), strict=True):
        assert len(part.knots) <= len(whole.knots) + 1
        for i, j in itertools.product(range(3), repeat=2):
            found = part.knots[part.table_of_pair[i, j]]
            if i in USED and j in USED:
                assert found.equal(whole.knots[whole.table_of_pair[i, j]])
            else:
                assert found.isnan().all()


def test_energies_are_those_of_all_species(config: ModelConfig) -> None:
    model = build(config)
    every, some = tabulated(model, 24), with_species(model, USED)
    known = to_graph(random_structure(8, seed=3, species=("Li", "S")), config)
    for whole, part in zip(predict(every, known)[:2], predict(some, known)[:2], strict=True):
        assert part.equal(whole)
    unknown = predict(some, to_graph(random_structure(8, seed=3), config))
    assert unknown.energy.isnan().all()
    assert unknown.forces.isnan().any()


def test_species_may_be_added(config: ModelConfig) -> None:
    model = build(config)
    growing = with_species(model, (2,))
    growing.use(torch.tensor([0, 1, 2, 1]))
    growing.tabulate(True)
    graph = to_graph(random_structure(8, seed=3), config)
    assert predict(growing, graph).energy.equal(predict(tabulated(model, 24), graph).energy)


@pytest.mark.parametrize(
    ("name", "n_functions", "n_merged"),
    [("nequip-l1", 1, 0), ("nequip-pair-cutoffs", 3, 0), ("mace-1o", 1, 3), ("mace-agnesi", 6, 9)],
)
def test_equal_functions_share_a_table(name: str, n_functions: int, n_merged: int) -> None:
    model = tabulated(build(CONFIGS[name]), 24)
    assert len(model.layers[1].convolution.splines.knots) == n_functions
    if n_merged:
        assert len(model.layers[0].merged.splines.knots) == n_merged


def test_radii_may_be_learned_or_of_a_file() -> None:
    """Which pairs share a table is seen when tables are made."""
    model = build(CONFIGS["mace-agnesi"])
    assert isinstance(model.edge_embedding.radial, AgnesiBessel)
    model.edge_embedding.radial.half_bonds += 0.01 * torch.arange(9)
    graph = to_graph(random_structure(8, seed=3), CONFIGS["mace-agnesi"])
    fast = tabulated(model, 768)
    assert len(fast.layers[1].convolution.splines.knots) == 9
    torch.testing.assert_close(
        predict(fast, graph).forces, predict(model, graph).forces, rtol=0, atol=1e-8
    )


def test_committees_use_the_species_of_members() -> None:
    torch.manual_seed(3)
    config, graph = CONFIGS["mace-agnesi"], to_graph(
        random_structure(8, seed=3, species=("Li", "S")), CONFIGS["mace-agnesi"]
    )  # fmt: skip
    models = [build_model(config, random_statistics(SPECIES), torch.float64) for _ in range(2)]
    committee = StackedCommittee([with_knots(model, 24) for model in models])
    committee.use(torch.tensor(USED))
    committee.tabulate(True)
    arguments = (graph.types, graph.edge_index, graph.edge_vec, graph.n_atoms)
    alone = [with_species(model, USED)(*arguments) for model in models]
    torch.testing.assert_close(committee.member_energies(*arguments), torch.stack(alone, 1))
    torch.testing.assert_close(committee(*arguments), torch.stack(alone).mean(0))
    assert {len(splines.knots) for splines in splines_of(committee.stacked)} == {4 + 1, 3 + 1}


def test_training_makes_knots_of_the_species_in_use() -> None:
    config = CONFIGS["mace-agnesi"]
    model = build(config)
    some = build(config)
    some.use(torch.tensor(USED))
    some.learn(Reach(1.5, config.cutoff))
    known = to_graph(random_structure(8, seed=3, species=("Li", "S")), config)
    every = learning(model, config)
    assert every.layers[1].convolution.jets.shape[1] == 6
    assert some.layers[1].convolution.jets.shape[1] == 3
    slopes = []
    for form in (every, some):
        forces = predict(form, known, create_graph=True).forces
        learned = [p for p in form.parameters() if p.requires_grad]
        slopes.append(torch.autograd.grad(forces.square().sum(), learned, allow_unused=True))
    for a, b in zip(*slopes, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-9)
    assert predict(some, to_graph(random_structure(8, seed=3), config)).energy.isnan().all()


def test_many_elements_are_exported_with_tables(
    many: tuple[Architecture, MACEConfig, Statistics], tmp_path: Path
) -> None:
    model, config, statistics = many
    path = tmp_path / "many.pt"
    remark = save_model(model, config, statistics, TrainingRecord(shortest_distance=1.2), path)
    assert "radial tables" in remark
    used = torch.tensor([statistics.species.index(symbol) for symbol in SPECIES])
    module = load_module(str(path)).double().eval()
    module.use(used)
    module.tabulate(False)
    atoms = random_structure(12, seed=3)
    graph = atoms_to_graph(atoms, statistics.species, config.cutoff, torch.float64)
    exact, found = predict(model, graph).forces, predict(module, graph).forces
    assert float((found - exact).abs().max() / exact.abs().max()) < 1e-10
    first, second = module.layers.children()
    assert len(first.merged.splines.knots) == 9 + 1
    assert len(second.convolution.splines.knots) == 6 + 1


def test_large_merged_tables_are_not_made(
    many: tuple[Architecture, MACEConfig, Statistics],
) -> None:
    model, config, statistics = many
    copied = with_species(model, (3, 8, 20))
    assert copied.layers[0].merged.splines.knots.numel()
    copied.use(torch.arange(30))
    copied.tabulate(True)
    assert not copied.layers[0].merged.splines.knots.numel()
    graph = atoms_to_graph(
        random_structure(12, seed=3), statistics.species, config.cutoff, torch.float64
    )
    expected = predict(with_species(model, (2, 14, 15), 512), graph).energy
    torch.testing.assert_close(
        predict(with_species(model, tuple(range(30)), 512), graph).energy, expected
    )


def test_short_range_is_measured_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIGS["mace-agnesi"]
    model = with_knots(build(config), 32)
    found = []
    for together in (1, 4, 30):
        monkeypatch.setattr(short_range, "TOGETHER", together)
        found.append(short_range.short_range([model], config.cutoff, 3))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", NAMES)
def test_few_species_are_all_tried(name: str) -> None:
    embedding = build(CONFIGS[name]).edge_embedding
    assert choose_knots._groups(embedding) == [[0, 1, 2]]


def test_of_many_the_smallest_and_largest_are_tried(
    many: tuple[Architecture, MACEConfig, Statistics],
) -> None:
    model, _, statistics = many
    groups = [
        [statistics.species[k] for k in group]
        for group in choose_knots._groups(model.edge_embedding)
    ]
    assert groups[0] == ["He"]
    assert groups[1] == ["Fr"]
    assert {"He", "Fr"} < set(groups[3])


def test_knots_that_leave_nothing_but_rounding_are_enough() -> None:
    """As of a deep network, whose own rounding is above the tolerance of float64."""
    trial = object.__new__(choose_knots._Trial)
    trial.errors = dict.fromkeys(choose_knots.CANDIDATES, 4e-11) | {
        96: 1e-7,
        128: 3e-8,
        192: 1e-9,
        256: 3e-11,
    }
    assert trial.enough(2e-11) == 256
    trial.errors = {n: 1e-5 / n for n in choose_knots.CANDIDATES}  # not smooth
    with pytest.raises(choose_knots.TableError, match="not smooth"):
        trial.enough(2e-11)


def test_a_potential_follows_the_species_it_meets(tmp_path: Path) -> None:
    """Of many, and gives up early ones; a model of few is prepared for all of them at once."""
    species = tuple(chemical_symbols[1:25])
    config, path = small_config("mace", distance_transform="agnesi", n_layers=1), tmp_path / "m.pt"
    model = build_model(config, random_statistics(species), torch.float64)
    save_model(model, config, random_statistics(species), TrainingRecord(), path)
    calculator, energies = E3Calculator(path), []
    structures = [random_structure(8, seed=n, species=species[n : n + 3]) for n in range(0, 24, 3)]
    for atoms in (*structures, *structures):
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
    fresh = structures[5].copy()
    fresh.calc = E3Calculator(path)
    assert fresh.get_potential_energy() == pytest.approx(energies[5], abs=1e-12)
    assert energies[:8] == pytest.approx(energies[8:], abs=1e-12)
