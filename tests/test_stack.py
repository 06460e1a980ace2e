"""Members side by side give what each gives alone."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from committees import write_committee
from conftest import random_statistics, random_structure, small_config
from e3md._core import Potential
from e3md.calculator import E3Calculator
from e3md.fused import fuse
from e3md.fused.committee import FusedCommittee, StackedCommittee, tabulated_committee
from e3md.model import build_model
from e3md.model.committee import Committee
from e3md.neighbors import neighbor_list

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
    "schnet": ("schnet", {"filter_channels": 12}),
}


@pytest.fixture(params=VARIANTS, ids=str)
def committee(request: pytest.FixtureRequest) -> StackedCommittee:
    arch, overrides = VARIANTS[request.param]
    torch.manual_seed(3)
    config = small_config(arch, **overrides)
    models = [build_model(config, random_statistics(SPECIES), torch.float64) for _ in range(3)]
    stacked = StackedCommittee([fuse(model, config.cutoff, (64, 64)) for model in models])
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


def test_members_one_by_one_have_no_second_derivatives(committee: StackedCommittee) -> None:
    types, edge_index, edge_vec = graph()
    edge_vec = edge_vec.expand(3, -1, -1).clone().requires_grad_()
    energies = committee.member_energies(types, edge_index, edge_vec, len(types))
    with pytest.raises(RuntimeError, match="several gradients to edge_vec"):
        torch.autograd.grad(energies.sum(), edge_vec, create_graph=True)


def test_what_cannot_be_stacked_is_evaluated_one_by_one() -> None:
    config = small_config("so3net")
    models = [build_model(config, random_statistics(SPECIES), torch.float64) for _ in range(2)]
    found, _ = tabulated_committee(Committee(models), config.cutoff, SPECIES)
    assert type(found) is FusedCommittee


@pytest.mark.parametrize("arch", ["nequip", "mace", "schnet", "so3net"])
def test_forces_are_the_same_whether_members_are_asked_for(arch: str, tmp_path) -> None:
    path, _ = write_committee(tmp_path, arch)
    atoms, potential = random_structure(14, seed=3), Potential(str(path))
    structure = E3Calculator(path)._structure(atoms)
    with_members, without = (
        potential.evaluate_structure(*structure, members=wanted) for wanted in (True, False)
    )
    assert "forces_std" in with_members
    for key in ("energies", "forces", "virial"):
        np.testing.assert_allclose(without[key], with_members[key], rtol=1e-10, atol=1e-12)
