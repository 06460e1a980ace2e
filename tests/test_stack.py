"""Members side by side give what each gives alone."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from torch import Tensor, nn

from committees import write_committee_alone
from conftest import random_statistics, random_structure, small_config
from e3md._core import Potential
from e3md.calculator import E3Calculator
from e3md.data.statistics import Statistics
from e3md.derivatives import predict
from e3md.export import save_model
from e3md.model import build_model, choose_knots
from e3md.model.committee import Committee, StackedCommittee
from e3md.model_file import TrainingRecord, load_module
from e3md.neighbors import atoms_to_graph, neighbor_list
from laws import with_knots

SPECIES = ("Li", "P", "S")
VARIANTS = {
    "nequip": ("nequip", {}),
    "nequip, repulsion": ("nequip", {"zbl": True}),
    "nequip, 17 channels": ("nequip", {"channels": 17, "l_max": 2}),
    "nequip, both parities": ("nequip", {"parity": "both"}),
    "nequip, shared self-connection": ("nequip", {"self_connection": "shared"}),
    "nequip, layer norm": ("nequip", {"layer_norm": True}),
    "mace": ("mace", {}),
    "mace, repulsion": ("mace", {"zbl": True}),
    "mace, three layers": ("mace", {"n_layers": 3, "interaction": "agnostic"}),
    "mace, scalars": ("mace", {"hidden_irreps": "20x0e", "correlation": 2}),
    "mace, densities": (
        "mace",
        {
            "first_interaction": "density",
            "interaction": "density_residual",
            "correlation": 1,
            "distance_transform": "agnesi",
        },
    ),
    "nequip, XPLOR": ("nequip", {"xplor_on": 3.1}),
    "schnet": ("schnet", {"filter_channels": 12}),
}


@pytest.fixture(params=VARIANTS, ids=str)
def committee(request: pytest.FixtureRequest) -> StackedCommittee:
    arch, overrides = VARIANTS[request.param]
    torch.manual_seed(3)
    config = small_config(arch, **overrides)
    models = [build_model(config, random_statistics(SPECIES), torch.float64) for _ in range(3)]
    stacked = StackedCommittee([with_knots(model, 64) for model in models])
    stacked.tabulate(False)
    return stacked


def graph() -> tuple[Tensor, Tensor, Tensor]:
    atoms = random_structure(12, seed=9)
    i, j, _, vectors = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, 4.0)
    types = [SPECIES.index(symbol) for symbol in atoms.get_chemical_symbols()]
    return torch.tensor(types), torch.tensor(np.stack([i, j])), torch.tensor(vectors)


def energies_and_slopes(module: nn.Module, edge_vec: Tensor) -> tuple[Tensor, Tensor]:
    types, edge_index, _ = graph()
    edge_vec = edge_vec.clone().requires_grad_()
    evaluate = getattr(module, "member_energies", module)
    energies = evaluate(types, edge_index, edge_vec, len(types))
    return energies.detach(), torch.autograd.grad(energies.sum(), edge_vec)[0]


def test_every_member_has_its_energies_and_gradients(committee: StackedCommittee) -> None:
    edge_vec = graph()[2]
    energies, slopes = energies_and_slopes(committee, edge_vec.expand(3, -1, -1))
    for k, member in enumerate(committee.members):
        alone, slope = energies_and_slopes(member, edge_vec)
        assert alone.std() > 1e-3
        torch.testing.assert_close(energies[:, k], alone, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(slopes[k], slope, rtol=1e-11, atol=1e-12)


def test_one_gradient_is_that_of_the_sum(committee: StackedCommittee) -> None:
    edge_vec = graph()[2]
    energies, slopes = energies_and_slopes(committee, edge_vec.expand(3, -1, -1))
    together, slope = energies_and_slopes(committee, edge_vec)
    torch.testing.assert_close(together, energies, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(slope, slopes.sum(0), rtol=1e-11, atol=1e-12)


def test_members_one_by_one_have_second_derivatives(committee: StackedCommittee) -> None:
    types, edge_index, edge_vec = graph()
    bends = []
    for n_gradients in (1, 3):
        given = edge_vec.expand(n_gradients, -1, -1).clone().requires_grad_()
        evaluated = given[0] if n_gradients == 1 else given
        energies = committee.member_energies(types, edge_index, evaluated, len(types))
        (slope,) = torch.autograd.grad(energies.sum(), given, create_graph=True)
        bends.append(torch.autograd.grad(slope.sum(0).sin().sum(), given)[0].sum(0))
    torch.testing.assert_close(bends[1], bends[0], rtol=1e-10, atol=1e-10)


def test_what_cannot_be_stacked_is_evaluated_one_by_one() -> None:
    config = small_config("so3net")
    models = [build_model(config, random_statistics(SPECIES), torch.float64) for _ in range(2)]
    with pytest.raises(ValueError, match="ChannelProduct cannot be stacked"):
        StackedCommittee(models)


@pytest.mark.usefixtures("_coarse_tables")
@pytest.mark.parametrize("arch", ["nequip", "mace", "schnet", "so3net"])
def test_forces_are_the_same_whether_members_are_asked_for(arch: str, tmp_path) -> None:
    path = write_committee_alone(tmp_path, arch)
    atoms, potential = random_structure(14, seed=3), Potential(str(path))
    structure = E3Calculator(path)._structure(atoms)
    with_members, without = (
        potential.evaluate_structure(*structure, members=wanted) for wanted in (True, False)
    )
    assert "forces_std" in with_members
    for key in ("energies", "forces", "virial"):
        np.testing.assert_allclose(without[key], with_members[key], rtol=1e-10, atol=1e-12)


# ---- members that differ -----------------------------------------------------------------------


def other_statistics() -> Statistics:
    return Statistics(SPECIES, (-3.0, 0.4, 1.7), scale=1.9, shift=0.6, avg_num_neighbors=31.0)


def build_unlike(arch: str, change: Callable[[nn.Module], None], **overrides: object) -> nn.Module:
    model = build_model(small_config(arch, **overrides), random_statistics(SPECIES), torch.float64)
    change(model)
    return model


def _gains(model: nn.Module) -> None:
    for layer in model.layers:
        layer.gate.gains *= torch.tensor([1.1, 0.8])


def _repulsion(model: nn.Module) -> None:
    model.zbl.amplitudes *= 2.0


def _slopes(model: nn.Module) -> None:
    """Of the networks that have no weights to stack."""
    for module in model.modules():
        if hasattr(module, "gain"):
            module.gain *= 1.3


def _nothing(_: nn.Module) -> None:
    pass


UNLIKE: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
    "gains of gates": lambda: (
        build_unlike("nequip", _nothing),
        build_unlike("nequip", _gains),
    ),
    "strength of the repulsion": lambda: (
        build_unlike("mace", _nothing, zbl=True),
        build_unlike("mace", _repulsion, zbl=True),
    ),
    "repulsion in the second only": lambda: (
        build_unlike("nequip", _nothing),
        build_unlike("nequip", _nothing, zbl=True),
    ),
    "activation": lambda: (
        build_unlike("schnet", _nothing),
        build_unlike("schnet", _nothing, activation="silu"),
    ),
    "gains of networks": lambda: (
        build_unlike("nequip", _nothing),
        build_unlike("nequip", _slopes),
    ),
    **{
        f"{arch}, envelope": lambda arch=arch: (
            build_unlike(arch, _nothing, zbl=True),
            build_unlike(arch, _nothing, zbl=True, envelope_power=9),
        )
        for arch in ("nequip", "mace")
    },
    **{
        f"{arch}, statistics": lambda arch=arch: (
            build_unlike(arch, _nothing),
            build_model(small_config(arch), other_statistics(), torch.float64),
        )
        for arch in ("nequip", "mace", "schnet", "so3net")
    },
}


@pytest.fixture
def _coarse_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """One table of 96 knots for every member, however it comes out: what counts is the mean."""
    monkeypatch.setattr(choose_knots, "CANDIDATES", (96,))
    monkeypatch.setattr(choose_knots, "TOLERANCES", {"float32": 1.0, "float64": 1.0})


def _energies_and_forces(model: nn.Module, cutoff: float, atoms: Atoms) -> tuple[np.ndarray, ...]:
    """Of one member with the tables that its file would have."""
    choose_knots.choose_knots(model, cutoff, SPECIES)
    model.tabulate(False)
    found = predict(model, atoms_to_graph(atoms, SPECIES, cutoff, torch.float64))
    return found.energies.detach().numpy(), found.forces.numpy()


@pytest.mark.usefixtures("_coarse_tables")
def test_members_that_were_exported_alone_are_stacked(tmp_path: Path) -> None:
    config, statistics = small_config("schnet"), random_statistics(SPECIES)
    models = [build_model(config, statistics, torch.float64) for _ in range(2)]
    save_model(models[0], config, statistics, TrainingRecord(), tmp_path / "one.pt")
    remark = save_model(
        Committee(models), config, statistics, TrainingRecord(), tmp_path / "committee.pt"
    )
    assert "one after the other" not in remark
    assert hasattr(load_module(str(tmp_path / "committee.pt")), "member_energies")


def test_members_that_cannot_be_stacked_are_said_to_be(tmp_path: Path) -> None:
    config, statistics = small_config("so3net"), random_statistics(SPECIES)
    models = [build_model(config, statistics, torch.float64) for _ in range(2)]
    path = tmp_path / "committee.pt"
    remark = save_model(Committee(models), config, statistics, TrainingRecord(), path)
    assert remark.endswith("one after the other: ChannelProduct cannot be stacked")


@pytest.mark.parametrize("difference", UNLIKE)
def test_a_file_of_unlike_members_is_their_mean(difference: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    models, atoms = UNLIKE[difference](), random_structure(12, seed=9)
    arch, path = type(models[0]).__name__.lower(), tmp_path / "model.pt"
    config, statistics = small_config(arch), random_statistics(SPECIES)
    save_model(Committee(models), config, statistics, TrainingRecord(), path)
    calculator = E3Calculator(path)
    mean = calculator.get_property("energies", atoms), calculator.get_forces(atoms)
    first, second = (_energies_and_forces(model, config.cutoff, atoms) for model in models)
    for a, b, c in zip(first, second, mean, strict=True):
        assert np.abs(a - b).max() > 1e-3
        np.testing.assert_allclose(c, (a + b) / 2, rtol=1e-9, atol=1e-10)


@pytest.mark.usefixtures("_coarse_tables")
def test_gates_of_unlike_gains_are_stacked() -> None:
    StackedCommittee(UNLIKE["gains of gates"]())


def test_members_that_differ_in_anything_are_not_stacked() -> None:
    """Also in what no module has today, wherever one module would act for all."""
    config = small_config("mace", zbl=True)
    models = [build_model(config, random_statistics(SPECIES), torch.float64) for _ in range(2)]
    for name in ("layers.1", "layers.1.contraction", "layers.0.linear_b", "zbl.envelope", "layers"):
        members = [copy.deepcopy(model) for model in models]
        StackedCommittee(members)
        members[1].get_submodule(name).invented = 0.5
        with pytest.raises(ValueError, match="members differ in invented of"):
            StackedCommittee(members)


def test_members_of_unlike_kinds_and_sizes_are_not_stacked() -> None:
    for changed, message in (({"readout_hidden": (9,)}, "0"), ({"zbl": True}, "children")):
        members = [build_unlike("nequip", _nothing, **overrides) for overrides in ({}, changed)]
        with pytest.raises(ValueError, match=f"members differ in {message} of"):
            StackedCommittee(members)
    members = [with_knots(build_unlike("nequip", _nothing), n) for n in (64, 96)]
    with pytest.raises(ValueError, match="members differ in n_knots of NequIP"):
        StackedCommittee(members)
