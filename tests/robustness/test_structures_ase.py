"""Structures a calculator must refuse, with the atom's name, and odd ones it must get right."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from torch import Tensor

from conftest import random_structure
from e3md import E3Calculator
from e3md.model_file import BOUND, METADATA_FILE

MakeModel = Callable[..., Path]


class Breaking(torch.nn.Module):
    """Pair energies that are NaN under 1.5 Å, and whose slope is not finite at 2 Å."""

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        r = torch.linalg.vector_norm(edge_vec.double(), dim=1)
        pair = (r - 1.5) ** 0.5 + ((r - 2.0) ** 2) ** 0.25
        energies = torch.zeros(n_local, dtype=torch.float64)
        return energies.index_add(0, edge_index[0], pair)


@pytest.fixture(params=["nequip", "mace"])
def calculator(request: pytest.FixtureRequest, make_model: MakeModel) -> E3Calculator:
    return E3Calculator(make_model(request.param))


@pytest.fixture
def breaking(make_model: MakeModel, tmp_path: Path) -> E3Calculator:
    files = {METADATA_FILE: ""}
    torch.jit.load(str(make_model()), _extra_files=files)
    metadata = {**json.loads(files[METADATA_FILE]), "cutoff": 5.0}
    path = tmp_path / "breaking.pt"
    module = Breaking()
    module.bound = json.dumps({key: metadata[key] for key in BOUND})
    text = json.dumps(metadata)
    torch.jit.save(torch.jit.script(module), str(path), _extra_files={METADATA_FILE: text})
    return E3Calculator(path)


def test_unknown_element(calculator: E3Calculator) -> None:
    with pytest.raises(ValueError, match=r"not trained on the element Cl: it knows only Li P S"):
        calculator.get_property("energy", Atoms("LiCl", [[0, 0, 0], [2, 0, 0]]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_position_not_finite(bad: float, calculator: E3Calculator) -> None:
    atoms = random_structure(8, seed=1)
    calculator.get_property("energy", atoms)
    good = atoms.copy()
    atoms.positions[5, 2] = bad
    with pytest.raises(ValueError, match="atom 5 has a position that is not finite"):
        calculator.get_property("energy", atoms)
    assert np.isfinite(calculator.get_property("energy", good))  # and the calculator lives on


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        (np.diag([5.0, 5.0, np.nan]), True),
        (np.diag([5.0, np.inf, 5.0]), True),
        (np.diag([5.0, 5.0, 0.0]), True),
        (np.ones((3, 3)), True),
        (np.array([[5.0, 0, 0], [10.0, 0, 0], [0, 0, 0]]), [True, True, False]),
    ],
)
def test_bad_cell(cell: np.ndarray, pbc: object, calculator: E3Calculator) -> None:
    with pytest.raises(ValueError, match=r"the cell .*(finite|volume|zero).*check the cell"):
        calculator.get_property("energy", Atoms("Li", cell=cell, pbc=pbc))


@pytest.mark.parametrize("pbc", [False, True])
@pytest.mark.parametrize("far", [1e300, -1e308, 2e9])
def test_position_beyond_any_cell(far: float, pbc: bool, calculator: E3Calculator) -> None:
    atoms = random_structure(8, seed=1, pbc=pbc)
    atoms.positions[5, 2] = far
    with pytest.raises(ValueError, match="atom 5 lies more than 1e9 Å from the origin: check"):
        calculator.get_property("forces", atoms)


@pytest.mark.parametrize("long", [1e300, 2e9])
def test_cell_beyond_any_other(long: float, calculator: E3Calculator) -> None:
    with pytest.raises(ValueError, match="more than 1e9 Å: check the cell"):
        calculator.get_property("stress", Atoms("Li", cell=[5.0, long, 5.0], pbc=True))


@pytest.mark.parametrize("distance", [0.0, 9e-4])
def test_coincident_atoms(distance: float, calculator: E3Calculator) -> None:
    atoms = Atoms("Li3", [[0, 0, 0], [2, 0, 0], [2 + distance, 0, 0]])
    with pytest.raises(ValueError, match=r"atoms 1 and 2 coincide: they are 0\.000"):
        calculator.get_property("forces", atoms)


def test_coincident_with_an_image(calculator: E3Calculator) -> None:
    atoms = Atoms("Li2", [[0, 0, 0], [4, 0, 0]], cell=[4, 5, 6], pbc=[True, False, False])
    with pytest.raises(ValueError, match="atoms 0 and 1 coincide"):
        calculator.get_property("forces", atoms)


def test_energy_not_finite(breaking: E3Calculator) -> None:
    atoms = Atoms("Li3", [[9, 0, 0], [0, 0, 0], [1.2, 0, 0]])
    with pytest.raises(ValueError, match=r"an energy .* atom 1, .* atom 2, is at 1\.2000"):
        breaking.get_property("energy", atoms)


def test_force_not_finite(breaking: E3Calculator) -> None:
    atoms = Atoms("Li3", [[9, 0, 0], [0, 0, 0], [2.0, 0, 0]])
    assert np.isfinite(breaking.get_property("energy", Atoms("Li2", [[0, 0, 0], [2.1, 0, 0]])))
    with pytest.raises(ValueError, match=r"a force .* atom 1, .* atom 2, is at 2\.0000"):
        breaking.get_property("energy", atoms)


def test_calculator_survives_a_failure(breaking: E3Calculator) -> None:
    good, bad = Atoms("Li2", [[0, 0, 0], [3, 0, 0]]), Atoms("Li2", [[0, 0, 0], [1, 0, 0]])
    energy = breaking.get_property("energy", good)
    for _ in range(2):  # nor may a second request return what the first left behind
        with pytest.raises(ValueError, match="an energy that is not finite"):
            breaking.get_property("energy", bad)
    assert breaking.get_property("energy", good) == energy


@pytest.mark.parametrize("pbc", [[False] * 3, [True, False, False], [True, True, False]])
def test_bad_structures_give_no_stress_either(pbc: list[bool], calculator: E3Calculator) -> None:
    """A position, a cell or a pair that cannot be is named before the volume is asked for."""
    good = random_structure(6, seed=9)
    good.pbc, good.calc = pbc, calculator
    moved, cell, pair = (good.copy() for _ in range(3))
    moved.positions[3, 1] = np.nan
    cell.cell[2, 2] = np.inf
    pair.positions[2] = pair.positions[1]
    for bad, message in ((moved, "atom 3 has"), (cell, "not finite"), (pair, "1 and 2 coincide")):
        bad.calc = calculator
        with pytest.raises(ValueError, match=message):
            bad.get_stress()
        assert np.isfinite(good.get_stress()).all()


@pytest.mark.parametrize("pbc", [False, True, [True, True, False]])
def test_few_atoms_with_a_cell_have_a_stress(pbc: object, calculator: E3Calculator) -> None:
    """None, one without neighbors, and two in vacuum, where dE/dε is r·dE/dr on the axis."""
    for atoms in (Atoms(cell=[3, 3, 3], pbc=pbc), Atoms("Li", cell=[30, 31, 32], pbc=pbc)):
        atoms.calc = calculator
        assert not atoms.get_stress().any()
        assert not atoms.get_stresses().any()
    pair = Atoms("LiS", [[0, 0, 0], [0, 2.1, 0]], cell=[30, 31, 32], pbc=pbc)
    pair.calc = calculator
    expected = np.zeros(6)
    expected[1] = -2.1 * pair.get_forces()[1, 1] / (30 * 31 * 32)
    np.testing.assert_allclose(pair.get_stress(), expected, atol=1e-15)


def test_no_atoms(calculator: E3Calculator) -> None:
    atoms = Atoms()
    atoms.calc = calculator
    assert atoms.get_potential_energy() == 0.0
    assert atoms.get_forces().shape == (0, 3)
    assert calculator.get_hessian(atoms).shape == (0, 0)
    cell = Atoms(cell=[3, 3, 3], pbc=True)
    cell.calc = calculator
    np.testing.assert_array_equal(cell.get_stress(), np.zeros(6))


def test_isolated_atoms(calculator: E3Calculator) -> None:
    """Atoms out of reach of one another: the energies add up, and no force is left."""
    lone = [calculator.get_property("energy", Atoms(symbol)) for symbol in ("Li", "P", "S")]
    far = Atoms("LiPS", [[0, 0, 0], [30, 0, 0], [0, 1e5, 0]])
    np.testing.assert_allclose(calculator.get_property("energies", far), lone, rtol=1e-14)
    assert not calculator.get_property("forces", far).any()


def test_disconnected_pieces(calculator: E3Calculator) -> None:
    piece = random_structure(6, seed=2, pbc=False)
    both = piece.copy()
    both.extend(Atoms("Li", [[200, 0, 0]]))
    both.extend(Atoms(piece.symbols, piece.positions + np.array([0, 500, 0])))
    one = calculator.get_property("energy", piece)
    lone = calculator.get_property("energy", Atoms("Li"))
    assert calculator.get_property("energy", both) == pytest.approx(2 * one + lone, rel=1e-13)


def test_cell_far_smaller_than_the_cutoff(make_model: MakeModel) -> None:
    """A 1 Å cell with a 6 Å cutoff is the supercell of it, atom for atom."""
    calculator = E3Calculator(make_model("nequip", cutoff=6.0, n_layers=2))
    atoms = Atoms("Li", cell=[[1.0, 0, 0], [0.2, 1.1, 0], [0, 0.3, 1.2]], pbc=True)
    big = atoms * (2, 1, 3)
    energy = calculator.get_property("energy", atoms)
    stress = calculator.get_property("stress", atoms)
    np.testing.assert_allclose(calculator.get_property("energies", big), energy, rtol=1e-11)
    np.testing.assert_allclose(calculator.get_property("stress", big), stress, rtol=1e-9, atol=1e-9)


def test_partial_periodicity_is_not_full(calculator: E3Calculator) -> None:
    """A slab feels its images in the plane only: as a thick vacuum shows."""
    slab = random_structure(8, seed=3)
    slab.pbc = [True, True, False]
    padded = slab.copy()
    padded.cell[2] *= 50
    padded.pbc = True
    full = slab.copy()
    full.pbc = True
    energy = calculator.get_property("energy", slab)
    assert calculator.get_property("energy", padded) == pytest.approx(energy, rel=1e-13)
    assert abs(calculator.get_property("energy", full) - energy) > 1e-4


def test_atoms_outside_the_cell(calculator: E3Calculator) -> None:
    atoms = random_structure(10, seed=4)
    forces = calculator.get_property("forces", atoms)
    moved = atoms.copy()
    moved.positions += np.random.default_rng(0).integers(-9, 10, (10, 3)) @ atoms.cell.array
    np.testing.assert_allclose(calculator.get_property("forces", moved), forces, atol=1e-11)


def test_pair_exactly_at_the_cutoff(calculator: E3Calculator) -> None:
    cutoff = calculator.cutoff
    atoms = Atoms("Li2", [[0, 0, 0], [cutoff, 0, 0]])
    energy = 2 * calculator.get_property("energy", Atoms("Li"))
    for distance in (cutoff, np.nextafter(cutoff, 0), np.nextafter(cutoff, 9)):
        atoms.positions[1, 0] = distance
        assert calculator.get_property("energy", atoms) == pytest.approx(energy, rel=1e-12)
        assert np.abs(calculator.get_property("forces", atoms)).max() < 1e-10
