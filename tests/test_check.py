"""`e3md check` passes sound models, and each of its checks fails on a model made wrong for it."""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.constraints import FixAtoms
from matplotlib.axes import Axes
from torch import Tensor, nn
from typer.testing import CliRunner

from conftest import random_statistics, random_structure, small_config
from e3md import bench, export
from e3md.check import Subject, cost, dynamics, read_subject, run
from e3md.check.cost import memory, speed
from e3md.check.derivatives import forces, stress
from e3md.check.dynamics import drift
from e3md.check.pairs import N_POINTS, PairCurve, pair_curve, shortest_in_data
from e3md.check.plot import MAX_PANELS, plot_pairs
from e3md.check.repulsion import hole, wall
from e3md.check.result import Bounds
from e3md.check.smoothness import cutoff
from e3md.check.symmetry import inversion, rotation
from e3md.check.tables import tables
from e3md.cli import app
from e3md.export import save_model
from e3md.memory import grown, kilobytes_per_atom
from e3md.model import build_model
from e3md.model.choose_knots import Tables
from e3md.model_file import TrainingRecord

SPECIES = ("Li", "P", "S")
CONFIG = small_config("nequip", n_layers=1, l_max=0, zbl=True)


class Sound(nn.Module):
    """A sound model, and what a subclass adds to the energy of every edge (n_edges)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.exchange_width = int(model.exchange_width)
        self.cutoff = float(CONFIG.cutoff)

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        energies = self.model(types, edge_index, edge_vec, n_local)
        r = torch.linalg.vector_norm(edge_vec, dim=1)
        term = self.term(r, 1 - r / self.cutoff, edge_vec, edge_index[0], n_local)
        return energies.index_add(0, edge_index[0], term.double())

    def term(
        self, r: Tensor, left: Tensor, edge_vec: Tensor, receiver: Tensor, n_local: int
    ) -> Tensor:
        """left: 1 at an atom, 0 at the cutoff."""
        return torch.zeros_like(r)


class Directions(Sound):
    def term(
        self, r: Tensor, left: Tensor, edge_vec: Tensor, receiver: Tensor, n_local: int
    ) -> Tensor:
        return 0.1 * left**3 * edge_vec[:, 0] ** 2


class Jump(Sound):
    def term(
        self, r: Tensor, left: Tensor, edge_vec: Tensor, receiver: Tensor, n_local: int
    ) -> Tensor:
        return 0.1 * torch.ones_like(r)


class Kick(Sound):
    def term(
        self, r: Tensor, left: Tensor, edge_vec: Tensor, receiver: Tensor, n_local: int
    ) -> Tensor:
        return 0.1 * left


class Hole(Sound):
    def term(
        self, r: Tensor, left: Tensor, edge_vec: Tensor, receiver: Tensor, n_local: int
    ) -> Tensor:
        return -3e4 * torch.exp(-(((r - 0.45) / 0.1) ** 2))


class Detached(Sound):
    def term(
        self, r: Tensor, left: Tensor, edge_vec: Tensor, receiver: Tensor, n_local: int
    ) -> Tensor:
        return 2.0 * left.detach() ** 3 * edge_vec[:, 0].detach() ** 2


def turned(vectors: Tensor) -> Tensor:
    """x, y, z as y, z, x."""
    return torch.cat((vectors[:, 1:], vectors[:, :1]), dim=1)


class Chiral(Sound):
    def term(
        self, r: Tensor, left: Tensor, edge_vec: Tensor, receiver: Tensor, n_local: int
    ) -> Tensor:
        """Triple products of an edge and two vectors that turn with the neighborhood."""
        zeros = edge_vec.new_zeros(n_local, 3)
        a = (left**3)[:, None] * edge_vec
        b = zeros.index_add(0, receiver, a * r[:, None])[receiver]
        c = zeros.index_add(0, receiver, a * r[:, None] ** 2)[receiver]
        one, two = turned(b) * turned(turned(c)), turned(turned(b)) * turned(c)
        return (a * (one - two)).sum(1)


FAULTS = {
    "none": Sound,
    "axes": Directions,
    "jump": Jump,
    "kick": Kick,
    "hole": Hole,
    "detached": Detached,
    "chiral": Chiral,
}


@pytest.fixture(scope="module")
def make_subject(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Subject]:
    """make_subject(fault): a model file with that fault, and twelve atoms."""
    folder = tmp_path_factory.mktemp("spoiled")

    def make(fault: str = "none", zbl: bool = True) -> Subject:
        path, atoms = folder / f"{fault}-{zbl}.pt", random_structure(12, seed=1)
        if path.exists():
            return Subject(path, atoms)
        config = CONFIG.model_copy(update={"zbl": zbl})
        statistics = random_statistics(SPECIES)
        with torch.random.fork_rng():
            torch.manual_seed(7)
            model = build_model(config, statistics, torch.float64)
        save_model(FAULTS[fault](model), config, statistics, TrainingRecord(), path, exact=True)
        return Subject(path, atoms)

    return make


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        (rotation, "axes"),
        (inversion, "chiral"),
        (cutoff, "jump"),
        (cutoff, "kick"),
        (hole, "hole"),
        (forces, "detached"),
        (stress, "detached"),
        (drift, "detached"),
    ],
)
def test_each_check_fails_on_its_fault(
    check: run.Check, fault: str, make_subject: Callable[..., Subject]
) -> None:
    sound, broken = check(make_subject()), check(make_subject(fault))
    assert sound.status == "pass", sound
    assert broken.status == "fail", broken
    assert sound.name == broken.name == check.__name__
    assert broken.message.startswith(sound.message[:10])
    assert len(broken.message) > len(sound.message), "no advice"


def test_handedness_is_no_matter_of_axes(make_subject: Callable[..., Subject]) -> None:
    assert rotation(make_subject("chiral")).status == "pass"


def test_drift_of_the_default_structure_only_warns(make_subject: Callable[..., Subject]) -> None:
    found = drift(replace(make_subject("detached"), given=False))
    assert found.status == "warn"
    assert "one of your own" in found.message


def test_a_model_built_without_parity_is_warned_of(
    make_subject: Callable[..., Subject], make_model: Callable[..., Path]
) -> None:
    atoms = make_subject().atoms
    model = make_model("nequip", parity="none", n_layers=3)
    assert rotation(Subject(model, atoms)).status == "pass"
    assert inversion(Subject(model, atoms)).status == "warn"


def test_without_zbl_there_is_no_wall(make_subject: Callable[..., Subject]) -> None:
    assert wall(make_subject()).status == "pass"
    bare = wall(make_subject(zbl=False))
    assert bare.status == "fail"
    assert "zbl: true" in bare.message
    assert "short distances in the data" in hole(make_subject("hole")).message


def dimer(energy: Callable[[np.ndarray], np.ndarray]) -> PairCurve:
    r = np.linspace(0.3, 5.0, 2000)
    return PairCurve(("Li", "S"), r, energy(r))


def test_holes_are_as_deep_as_they_are() -> None:
    """1/r is sound, also with a well where bonds are; a dip inside the core is a hole."""
    assert dimer(lambda r: 1 / r).hole == 0
    assert dimer(lambda r: 1 / r - 5 * np.exp(-((r - 2.2) ** 2))).hole == 0
    assert dimer(lambda r: -1 / r).hole == pytest.approx(1 / 0.3 - 1 / 1.276, rel=1e-2)
    bump = dimer(lambda r: 2 * np.exp(-(((r - 0.8) / 0.1) ** 2)))
    assert bump.hole == pytest.approx(2, abs=1e-3)
    assert dimer(lambda r: 1 / r).wall == pytest.approx(1 / 0.3 - 1 / 5)


def test_pair_curves_are_dimers(make_subject: Callable[..., Subject]) -> None:
    calculator = make_subject().double
    curve = pair_curve(calculator, ("P", "Li"))
    far = calculator.get_property("energy", Atoms("PLi", [[0, 0, 0], [9, 0, 0]]))
    for n in (0, N_POINTS // 2, N_POINTS - 1):
        near = calculator.get_property("energy", Atoms("PLi", [[0, 0, 0], [0, 0, curve.r[n]]]))
        assert curve.energy[n] == pytest.approx(near - far, abs=1e-9)


def test_coarse_tables_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_model: Callable[..., Path]
) -> None:
    atoms = random_structure(12, seed=1)
    fine = make_model("nequip")
    assert tables(Subject(fine, atoms)).status == "pass"

    def coarse(model, cutoff, species):
        model.n_knots = (12, 12)
        return Tables({"float64": 12}, {"float64": 0.0})

    monkeypatch.setattr(export, "choose_knots", coarse)
    config, statistics = small_config("nequip"), random_statistics(SPECIES)
    model = build_model(config, statistics, torch.float64)
    save_model(model, config, statistics, TrainingRecord(), tmp_path / "coarse.pt")
    found = tables(Subject(tmp_path / "coarse.pt", atoms))
    assert found.status == "fail"
    assert "--exact" in found.message


def test_a_model_without_tables_has_no_error_of_them(make_subject: Callable[..., Subject]) -> None:
    assert tables(make_subject()).value == 0


def test_speed_and_memory_warn(
    make_subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = make_subject()
    slow = [bench.Speed("ASE", 1, 1, 0.05), bench.Speed("LAMMPS", 1, 2, 0.04)]
    monkeypatch.setattr(bench, "measure", lambda *arguments: slow)
    found = speed(subject)
    assert found.status == "warn"
    assert found.value == pytest.approx(1e6 * 0.04 / 12)
    assert "LAMMPS, 2 rank(s)" in found.message
    monkeypatch.setattr(cost, "MEMORY", Bounds(1e-6, np.inf))
    assert memory(subject).status == "warn"


def _in_a_fresh_process(function: Callable[..., float], *arguments: object) -> float:
    """Whose peak memory is that of `function` alone."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def test_memory_grows_with_channels(make_model: Callable[..., Path]) -> None:
    """At least the float64 features of the last layer: 8 bytes a channel."""
    atoms = random_structure(12, seed=1)
    models = [make_model(channels=n) for n in (8, 128)]
    small, large = (_in_a_fresh_process(kilobytes_per_atom, path, atoms) for path in models)
    assert large - small > 120 * 8 / 1000


def test_grown_is_the_same_crystal(make_subject: Callable[..., Subject]) -> None:
    subject = make_subject()
    large = grown(subject.atoms, 50)
    assert len(large) == 96
    energies = [subject.double.get_property("energy", a) / len(a) for a in (subject.atoms, large)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-12)


@pytest.mark.parametrize(
    ("bounds", "value", "status"),
    [
        (Bounds(1, 2), 0.5, "pass"),
        (Bounds(1, 2), 1.5, "warn"),
        (Bounds(1, 2), 2.0, "fail"),
        (Bounds(5, 1), 6.0, "pass"),
        (Bounds(5, 1), 3.0, "warn"),
        (Bounds(5, 1), 0.5, "fail"),
        (Bounds(1, np.inf), 1e30, "warn"),
        (Bounds(1, 2), float("nan"), "fail"),
        (Bounds(5, 1), float("nan"), "fail"),
    ],
)
def test_bounds(bounds: Bounds, value: float, status: str) -> None:
    assert bounds.judge(value) == status


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"shortest_distances": {"Li-S": 2.0, "S-S": 2.7}, "shortest_distance": 1.8}, 2.0),
        ({"shortest_distances": {"S-Li": 2.0}}, 2.0),
        ({"shortest_distances": {"S-S": 2.7}, "shortest_distance": 2.7}, None),  # never together
        ({"shortest_distance": 1.8}, 1.8),
        ({"shortest_distance": None}, None),
        ({}, None),
    ],
)
def test_the_shortest_distance_of_the_data_is_marked(
    training: dict[str, object],
    expected: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = ("Li", "S")
    shortest = shortest_in_data(TrainingRecord.model_validate(training), pair)
    assert shortest == expected
    marks: list[float] = []
    monkeypatch.setattr(Axes, "axvline", lambda self, x, **style: marks.append(x))
    r = np.linspace(0.3, 5, 50)
    plot_pairs(
        [PairCurve(pair, r, 1 / r)], tmp_path / "p.png", {"Li-S": shortest} if shortest else {}
    )
    assert marks == ([expected] if expected else [])


@pytest.mark.usefixtures("pictures")
def test_many_pairs_fit_a_picture(tmp_path: Path) -> None:
    r = np.linspace(0.3, 5, 50)
    curves = [PairCurve(("Li", "S"), r, k / r) for k in range(MAX_PANELS + 5)]
    for name, shown in (("many.png", curves), ("without_suffix", curves[:1])):
        plot_pairs(shown, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "STEPS", 4)
    monkeypatch.setattr(dynamics, "LENGTH", 0.1)


@pytest.mark.usefixtures("pictures")
@pytest.mark.usefixtures("quick")
def test_command_reports_draws_and_exits(
    make_subject: Callable[..., Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fault, code in (("none", 0), ("hole", 1)):
        if code:  # how fast it is, is no matter here
            monkeypatch.setattr(bench, "measure", lambda *_: [bench.Speed("ASE", 1, 1, 0.05)])
        subject = make_subject(fault)
        ase.io.write(tmp_path / "atoms.extxyz", subject.atoms)
        picture, found = tmp_path / fault / "pairs.png", tmp_path / fault / "found.json"
        command = ["check", str(subject.model), str(tmp_path / "atoms.extxyz")]
        result = CliRunner().invoke(app, [*command, "-o", str(picture), "--json", str(found)])
        assert result.exit_code == code, result.output
        assert picture.stat().st_size > 0
        rows = {row["name"]: row for row in json.loads(found.read_text())}
        assert list(rows) == [check.__name__ for check in run.CHECKS]
        assert [n for n, row in rows.items() if row["status"] == "fail"] == ["hole"] * code
        for name, row in rows.items():
            assert f"{row['status']}  {name}" in result.output


@pytest.mark.parametrize("vacuum", [0.0, 500.0])
@pytest.mark.parametrize("fault", ["none", "detached"])
def test_stress_of_slabs_is_checked_whatever_the_vacuum(
    fault: str,
    vacuum: float,
    make_subject: Callable[..., Subject],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slab = random_structure(12, seed=1)
    slab.pbc = (True, True, False)
    slab.cell[2, 2] += vacuum
    monkeypatch.setattr(run, "CHECKS", (stress,))
    (found,) = run.run_checks(Subject(make_subject(fault).model, slab))
    assert found.status == ("pass" if fault == "none" else "fail")


def test_constraints_of_a_structure_are_not_of_the_model(
    make_subject: Callable[..., Subject], tmp_path: Path
) -> None:
    """Fixed atoms mask forces, and fixed symmetry the stress: neither belongs to the checks."""
    subject = make_subject()
    fixed = subject.atoms.copy()
    fixed.set_constraint(FixAtoms(range(1, len(fixed))))
    fixed.write(tmp_path / "fixed.extxyz")
    for held in (
        Subject(subject.model, fixed),
        read_subject(subject.model, tmp_path / "fixed.extxyz"),
    ):
        assert not held.atoms.constraints
        assert not held.rattled.constraints
        assert forces(held).status == rotation(held).status == drift(held).status == "pass"


@pytest.mark.usefixtures("quick")
def test_a_molecule_has_no_stress_and_a_check_that_breaks_fails(
    make_subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forces(subject: Subject):
        raise ValueError("an energy that is not finite")

    monkeypatch.setattr(run, "CHECKS", (stress, forces, rotation))
    molecule = random_structure(6, seed=2, pbc=False)
    molecule.cell = None
    results = list(run.run_checks(Subject(make_subject().model, molecule)))
    assert [(r.name, r.status) for r in results] == [("forces", "fail"), ("rotation", "pass")]
    assert json.loads(run.to_json(results))[0]["value"] is None


def test_structures_that_cannot_be_checked(
    make_subject: Callable[..., Subject], tmp_path: Path
) -> None:
    model = make_subject().model
    path = tmp_path / "atoms.xyz"
    ase.io.write(path, Atoms("Ar2", [[0, 0, 0], [3, 0, 0]]))
    with pytest.raises(ValueError, match="Ar"):
        read_subject(model, path)
    ase.io.write(path, Atoms("Li"))
    with pytest.raises(ValueError, match="at least two"):
        read_subject(model, path)
