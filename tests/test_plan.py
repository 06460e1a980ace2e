"""The plan of steps gives what TorchScript gives, to rounding."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from conftest import random_statistics, random_structure, small_config
from e3md._core import NeighborList, Potential
from e3md.export import save_model
from e3md.model import SchNetConfig, build_model
from e3md.model.committee import Committee
from e3md.model.plan import plan_text
from e3md.model.schnet import SchNet
from e3md.model_file import TrainingRecord
from e3md.neighbors import species_types
from laws import CONFIGS, SPECIES, build
from test_stack import VARIANTS

WIDE = (
    small_config("mace", hidden_irreps="69x0e+20x1o"),
    small_config("nequip", channels=69, n_layers=2),
)
PLANNED = "a plan of"
N_DAMAGED = int(os.environ.get("E3MD_DAMAGED_PLANS", "30"))


def evaluate(path: Path, atoms: Atoms, dtype: str, plan: bool) -> dict:
    potential = Potential(str(path), "cpu", dtype, plan)
    assert potential.runs.startswith(PLANNED) == plan
    return evaluated(potential, atoms)


def evaluated(potential: Potential, atoms: Atoms) -> dict:
    types = species_types(atoms.numbers, potential.metadata.species)
    neighbors = NeighborList(potential.metadata.cutoff)
    members = potential.metadata.members > 1
    return potential.evaluate_structure(
        types, atoms.positions, atoms.cell.array, atoms.pbc, neighbors, True, members
    )


def assert_alike(path: Path, structures: Sequence[Atoms], dtype: str = "float64") -> None:
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for atoms in structures:
        found, expected = (evaluate(path, atoms, dtype, plan) for plan in (True, False))
        for name, value in expected.items():
            value = np.asarray(value)
            scale = max(1.0, float(np.abs(value).max(initial=0.0)))
            np.testing.assert_allclose(
                np.asarray(found[name]) / scale, value / scale, atol=tolerance, rtol=0
            )


def structures() -> list[Atoms]:
    dimer = Atoms("LiS", [[0, 0, 0], [1.1, 0.4, 0.2]])
    return [random_structure(12, seed=1), random_structure(150, seed=4), dimer, Atoms("P")]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration(name: str, dtype: str, tmp_path: Path) -> None:
    config, path = CONFIGS[name], tmp_path / "model.pt"
    save_model(build(config), config, random_statistics(SPECIES), TrainingRecord(), path)
    assert_alike(path, structures(), dtype)


@pytest.fixture(scope="module")
def wide_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With columns for the widest loops, single vectors and what is left; rows likewise."""
    folder = tmp_path_factory.mktemp("wide")
    for n, config in enumerate(WIDE):
        path = folder / f"{n}.pt"
        save_model(build(config), config, random_statistics(SPECIES), TrainingRecord(), path)
    return folder


def assert_models_alike(folder: Path) -> None:
    for path in folder.iterdir():
        for dtype in ("float64", "float32"):
            assert_alike(path, structures()[1:], dtype)


def test_wide_models(wide_models: Path) -> None:
    assert_models_alike(wide_models)


@pytest.mark.parametrize("level", ["baseline", "avx2"])
def test_wide_models_by_other_instructions(level: str, wide_models: Path) -> None:
    script = "import sys, test_plan as t; t.assert_models_alike(t.Path(sys.argv[1]))"
    env = {**os.environ, "E3MD_ISA": level, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(wide_models)]
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    if "does not have these instructions" in run.stderr:
        pytest.skip(f"this CPU lacks {level}")
    assert run.returncode == 0, run.stderr


def test_steps_and_their_times(tmp_path: Path) -> None:
    config, path = CONFIGS["mace-1o"], tmp_path / "model.pt"
    save_model(build(config), config, random_statistics(SPECIES), TrainingRecord(), path)
    atoms, neighbors = random_structure(150, seed=4), NeighborList(config.cutoff)
    types = species_types(atoms.numbers, SPECIES)
    structure = (types, atoms.positions, atoms.cell.array, atoms.pbc, neighbors)
    times = Potential(str(path)).step_times(*structure)
    assert [kind for kind, _, _ in times].count("convolution") == 2
    assert times[-1][0] == "energies"
    assert all(min(t) > 0 for kind, *t in times if kind in ("convolution", "product"))
    assert Potential(str(path), plan=False).step_times(*structure) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_committees(name: str, tmp_path: Path) -> None:
    arch, overrides = VARIANTS[name]
    torch.manual_seed(3)
    config, path = small_config(arch, **overrides), tmp_path / "committee.pt"
    models = [build_model(config, random_statistics(SPECIES), torch.float64) for _ in range(3)]
    save_model(Committee(models), config, random_statistics(SPECIES), TrainingRecord(), path)
    assert_alike(path, structures())


def test_exact_models_have_none(tmp_path: Path) -> None:
    config, path = CONFIGS["nequip-l1"], tmp_path / "model.pt"
    save_model(
        build(config), config, random_statistics(SPECIES), TrainingRecord(), path, exact=True
    )
    assert Potential(str(path)).runs == "TorchScript, as the model has no plan"


class Louder(SchNet):
    def outcome(self, h: torch.Tensor) -> torch.Tensor:
        return 2.0 * self.readout(h)


def test_a_model_that_does_more_than_its_steps_has_none(tmp_path: Path) -> None:
    config, path = CONFIGS["schnet"], tmp_path / "model.pt"
    assert isinstance(config, SchNetConfig)
    model = Louder(config, random_statistics(SPECIES))
    save_model(model, config, random_statistics(SPECIES), TrainingRecord(), path)
    assert Potential(str(path)).runs.startswith("TorchScript")


def damaged(text: str, seed: int) -> str:
    """One value of a plan replaced by another one, or gone."""
    rng = random.Random(seed)
    plan = json.loads(text)
    one = plan["choices"][0]["plans"][0]
    at = rng.choice(one["steps"] + one["registers"] + [one, plan["choices"][0]])
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = rng.choice(keys)
        if not isinstance(at[key], (dict, list)) or not at[key] or rng.random() < 0.2:
            break
        at = at[key]
    if rng.random() < 0.2:
        del at[key]
    else:
        others = [at[key]] * 4 + [None, -1, 0, 1, 2**40, 1e300, "linear", [], {}, True]
        new = rng.choice(others)
        at[key] = new + rng.choice([-1, 1, 7]) if new is at[key] and isinstance(new, int) else new
    return json.dumps(plan)


@pytest.mark.parametrize("name", ["nequip-l1", "mace-1o", "so3net"])
def test_damaged_plans_are_refused_or_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, path = CONFIGS[name], tmp_path / "model.pt"
    model, atoms, refused = build(config), random_structure(12, seed=1), 0
    model.n_knots = (32, 32)
    monkeypatch.setattr("e3md.export._tabulated", lambda *_: (None, ""))
    sound = plan_text([model], model, 1)
    for seed in range(N_DAMAGED):
        text = damaged(sound, seed)
        monkeypatch.setattr("e3md.export._plan", lambda _, text=text: text)
        save_model(model, config, random_statistics(SPECIES), TrainingRecord(), path)
        try:
            evaluated(Potential(str(path)), atoms)
        except ValueError:
            refused += 1
    assert refused > N_DAMAGED / 3
