"""A committee is the mean of its members, and its deviations are theirs."""

import json
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.neighborlist import neighbor_list

from committees import write_committee
from conftest import random_structure
from drawing import drawn
from e3md import E3Calculator
from e3md._core import Potential, read_metadata
from e3md.accuracy.evaluate import evaluate
from e3md.export import export_run
from e3md.files import write_text
from e3md.model_file import METADATA_FILE
from e3md.train.checkpoint import LAST, load_run
from e3md.train.config import ConfigError
from e3md.train.run import METRICS, train
from training_data import labelled_frames, write_run


@dataclass(frozen=True)
class Files:
    """Of one committee."""

    committee: Path
    members: list[Path]


@pytest.fixture(
    scope="module", params=[("nequip", False), ("mace", False), ("schnet", True)], ids=str
)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    arch, exact = request.param
    return Files(*write_committee(tmp_path_factory.mktemp(arch), arch, exact=exact))


def results(model: Path, atoms: Atoms, dtype: str | None = None) -> dict:
    calculator = E3Calculator(model, dtype=dtype)
    calculator.calculate(atoms, ["energy", "stresses"])
    return calculator.results


def test_everything_is_the_mean_of_the_members(files: Files) -> None:
    atoms = random_structure(14, seed=3)
    found = results(files.committee, atoms)
    alone = [results(path, atoms) for path in files.members]
    for key in ("energy", "free_energy", "energies", "forces", "stress", "stresses"):
        mean = np.mean([one[key] for one in alone], axis=0)
        np.testing.assert_allclose(found[key], mean, rtol=1e-9, atol=1e-10, err_msg=key)


@pytest.mark.parametrize("pbc", [True, False])
def test_deviations_are_those_of_the_single_files(files: Files, pbc: bool) -> None:
    atoms = random_structure(14, seed=4, pbc=pbc)
    calculator = E3Calculator(files.committee)
    energies = [E3Calculator(path).get_potential_energy(atoms) for path in files.members]
    forces = [E3Calculator(path).get_forces(atoms) for path in files.members]
    energy_std = calculator.get_property("energy_std", atoms)
    forces_std = calculator.get_property("forces_std", atoms)
    assert np.std(energies) > 1e-3
    assert energy_std == pytest.approx(np.std(energies), rel=1e-9)
    assert forces_std.shape == (14, 3)
    np.testing.assert_allclose(forces_std, np.std(forces, axis=0), rtol=1e-9, atol=1e-12)


def test_deviations_do_not_change_with_the_axes(files: Files) -> None:
    """The norm over x, y, z: what LAMMPS' compute gives."""
    atoms = random_structure(10, seed=5)
    turned = atoms.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    norms = [
        np.linalg.norm(results(files.committee, a)["forces_std"], axis=1) for a in (atoms, turned)
    ]
    np.testing.assert_allclose(*norms, rtol=1e-9)


def test_member_forces_are_the_derivatives_of_member_energies(files: Files) -> None:
    """d(variance of E)/dx = 2 ⟨(E - ⟨E⟩) dE/dx⟩, with the energies from deviations alone."""
    atoms, step = random_structure(8, seed=6), 1e-4
    calculator = E3Calculator(files.committee)
    variances = []
    for shift in (-1, 1):
        moved = atoms.copy()
        moved.positions[2, 1] += shift * step
        variances.append(calculator.get_property("energy_std", moved) ** 2)
    alone = [results(path, atoms) for path in files.members]
    energies = np.array([one["energy"] for one in alone])
    slopes = -np.array([one["forces"][2, 1] for one in alone])
    expected = 2 * np.mean((energies - energies.mean()) * slopes)
    assert (variances[1] - variances[0]) / (2 * step) == pytest.approx(expected, rel=1e-5)


def test_single_precision(files: Files) -> None:
    atoms = random_structure(14, seed=7)
    double, single = (results(files.committee, atoms, dtype) for dtype in ("float64", "float32"))
    np.testing.assert_allclose(single["forces_std"], double["forces_std"], atol=1e-4)
    np.testing.assert_allclose(single["forces"], double["forces"], atol=1e-4)


def test_hessian_and_descriptors(files: Files) -> None:
    atoms = random_structure(6, seed=8)
    calculator = E3Calculator(files.committee)
    alone = [E3Calculator(path) for path in files.members]
    mean = np.mean([one.get_hessian(atoms) for one in alone], axis=0)
    np.testing.assert_allclose(calculator.get_hessian(atoms), mean, rtol=1e-8, atol=1e-9)
    beside = np.concatenate([one.get_descriptors(atoms) for one in alone], axis=1)
    np.testing.assert_allclose(calculator.get_descriptors(atoms), beside, rtol=1e-12, atol=1e-13)


def test_only_committees_have_deviations(files: Files) -> None:
    single, several = E3Calculator(files.members[0]), E3Calculator(files.committee)
    assert (single.members, several.members) == (1, 3)
    assert "forces_std" not in single.implemented_properties
    assert {"energy_std", "forces_std"} <= set(several.implemented_properties)
    with pytest.raises(NotImplementedError):
        single.get_property("energy_std", random_structure(4, seed=1))


def test_a_trajectory_keeps_the_usual_results(files: Files, tmp_path: Path) -> None:
    atoms = random_structure(5, seed=2)
    atoms.calc = E3Calculator(files.committee)
    forces = atoms.get_forces()
    for name in ("a.traj", "a.xyz"):
        ase.io.write(tmp_path / name, atoms)
        np.testing.assert_allclose(ase.io.read(tmp_path / name).get_forces(), forces, atol=1e-7)


def test_one_atom_and_no_atoms(files: Files) -> None:
    """An isolated atom has no force whoever is asked."""
    found = results(files.committee, Atoms("P", [[0.0, 0.0, 0.0]], cell=[20] * 3, pbc=True))
    np.testing.assert_array_equal(found["forces_std"], np.zeros((1, 3)))
    assert results(files.committee, Atoms(cell=[9] * 3, pbc=True))["forces_std"].shape == (0, 3)


def test_a_file_that_promises_other_members_is_refused(files: Files, tmp_path: Path) -> None:
    assert read_metadata(str(files.committee)).members == 3
    extra = {METADATA_FILE: ""}
    module = torch.jit.load(str(files.committee), _extra_files=extra)
    metadata = json.loads(extra[METADATA_FILE]) | {"members": 5}
    torch.jit.save(module, tmp_path / "bad.pt", _extra_files={METADATA_FILE: json.dumps(metadata)})
    with pytest.raises(ValueError, match=r"bad\.pt'.*e3md\.json has members = 5"):
        Potential(str(tmp_path / "bad.pt"))


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with drawn():
        return train(write_run(tmp_path_factory.mktemp("committee"), members=3, seed=5))


def test_members_have_seeds_of_their_own_and_one_split(run_dir: Path, tmp_path: Path) -> None:
    """The first member is the model that `members: 1` gives."""
    seeds = [load_run(run_dir / f"member_{k}")[3].seed for k in (1, 2, 3)]
    assert seeds == [5, 6, 7]
    assert len(list((run_dir / "cache").iterdir())) == 3  # train, valid, test: once for all members
    alone = load_run(train(write_run(tmp_path, seed=5)))[0]
    committee = load_run(run_dir)[0]
    for (name, weight), other in zip(
        alone.state_dict().items(), committee.members[0].state_dict().values(), strict=True
    ):
        assert torch.equal(weight, other), name


def test_the_shortest_distance_of_the_data_is_recorded(run_dir: Path) -> None:
    frames = [*labelled_frames(8), *labelled_frames(3, seed=1)]
    shortest = min(neighbor_list("d", atoms, 4.0).min() for atoms in frames)
    assert load_run(run_dir)[3].shortest_distance == pytest.approx(shortest, rel=1e-6)


def test_one_file_holds_all_members(run_dir: Path, tmp_path: Path) -> None:
    export_run(run_dir, tmp_path / "committee.pt")
    metadata = json.loads(read_metadata(str(tmp_path / "committee.pt")).json)
    assert (metadata["members"], metadata["training"]["seed"]) == (3, 5)
    reported = json.loads((run_dir / "report" / "errors.json").read_text())["test"]
    assert metadata["training"]["test_errors"]["forces_mae"] == reported["forces"]["mae"]
    plots = tmp_path / "plots"
    errors = evaluate(tmp_path / "committee.pt", run_dir.parent / "test.xyz", plots_dir=plots)
    assert errors.forces.rmse == pytest.approx(reported["forces"]["rmse"], rel=1e-3)
    assert (plots / "calibration.png").is_file()


def test_the_mean_is_better_than_the_average_member(run_dir: Path, tmp_path: Path) -> None:
    """Jensen: the mean square error of the mean is at most the mean of those of the members."""
    squares = []
    for name in ("member_1", "member_2", "member_3", "."):
        export_run(run_dir / name, tmp_path / "one.pt")
        errors = evaluate(tmp_path / "one.pt", run_dir.parent / "test.xyz")
        squares.append(errors.forces.rmse**2)
    assert squares[-1] < np.mean(squares[:-1])


def test_the_report_calibrates(run_dir: Path) -> None:
    report = run_dir / "report"
    text = (report / "report.md").read_text()
    found = json.loads((report / "calibration.json").read_text())
    assert set(found) == {"valid", "test"}
    bins = found["test"]["forces"]["bins"]
    assert sum(b["n"] for b in bins) == 3 * 8
    assert "## Calibration" in text
    assert "(test/calibration.png)" in text
    assert "seeds 5 to 7" in text
    assert (report / "test" / "calibration.png").read_bytes().startswith(b"\x89PNG")
    curves = sorted(p.name for p in report.glob("learning_curves_*.png"))
    assert curves == [f"learning_curves_{k}.png" for k in (1, 2, 3)]


def test_a_resumed_committee_skips_the_members_it_has(tmp_path: Path) -> None:
    """Killed after its second member began: the first stays, the second goes on, the third starts."""
    whole = train(write_run(tmp_path / "whole", members=3))
    config = write_run(tmp_path / "stopped", members=3)
    run = tmp_path / "stopped" / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("e3md.train.history.write_text", _stop_at(run / "member_2" / METRICS, 3))
        with pytest.raises(InterruptedError):
            train(config)
    first = (run / "member_1" / LAST).stat().st_mtime_ns
    assert (run / "member_2" / LAST).is_file()
    assert not (run / "member_3" / LAST).exists()
    with pytest.raises(FileNotFoundError, match=r"committee in .* is not finished"):
        load_run(run)
    train(config, resume=True)
    assert (run / "member_1" / LAST).stat().st_mtime_ns == first
    for a, b in zip(*(load_run(r)[0].state_dict().values() for r in (whole, run)), strict=True):
        assert torch.equal(a, b)


def _stop_at(path: Path, rows: int):
    def write(target: Path, text: str) -> None:
        write_text(target, text)
        if target == path and len(text.splitlines()) > rows:
            raise InterruptedError

    return write


def test_a_committee_can_grow(tmp_path: Path) -> None:
    config = write_run(tmp_path, members=2, max_epochs=1)
    first = (train(config) / "member_1" / LAST).stat().st_mtime_ns
    config.write_text(config.read_text().replace("members: 2", "members: 3"))
    run = train(config, resume=True)
    assert (run / "member_1" / LAST).stat().st_mtime_ns == first
    assert len(load_run(run)[0].members) == 3


def test_runs_of_other_kinds_are_not_mixed(tmp_path: Path) -> None:
    config = write_run(tmp_path, max_epochs=1)
    train(config)
    config.write_text(config.read_text().replace("max_epochs: 1", "max_epochs: 1\n  members: 2"))
    with pytest.raises(ConfigError, match="holds a run already"):
        train(config)
    with pytest.raises(ConfigError, match=r"training\.members: 2, but .* holds a single model"):
        train(config, resume=True)


def test_fine_tuning_starts_from_one_model(files: Files, tmp_path: Path) -> None:
    path = write_run(tmp_path)
    settings = yaml.safe_load(path.read_text())
    del settings["model"]
    path.write_text(yaml.safe_dump({**settings, "init_from": str(files.committee)}))
    with pytest.raises(ConfigError, match=r"committee of 3: start from the file of one model"):
        train(path)
