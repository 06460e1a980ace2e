"""Fixtures shared by all tests: data sets, model files with random weights, structures."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from drawing import drawn, leave_out
from e3md._core import references_forced
from e3md.data.statistics import Statistics
from e3md.export import save_model
from e3md.model import (
    MACEConfig,
    ModelConfig,
    NequIPConfig,
    SchNetConfig,
    SO3NetConfig,
    build_model,
)
from e3md.model_file import TrainingRecord

ROOT = Path(__file__).resolve().parents[1]

# pip's MPI waits by polling. Here are more ranks than cores: who waits sleeps, and lets others work.
for _name, _value in {
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "1",
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT": "10",
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
}.items():
    os.environ.setdefault(_name, _value)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


leave_out()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of reference data sets (E3MD_DATA); tests that need it skip without it."""
    folder = Path(os.environ.get("E3MD_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}: set E3MD_DATA to its folder")
    return folder


@pytest.fixture
def pictures() -> Iterator[None]:
    """They are drawn in the test; otherwise they are empty files."""
    with drawn():
        yield


of_kernels = pytest.mark.skipif(
    references_forced(), reason="what kernels do; E3MD_REFERENCE=1 has references run"
)


def small_config(arch: str, **overrides: object) -> ModelConfig:
    """A small configuration of an architecture, fast enough for tests."""
    if arch == "nequip":
        return NequIPConfig(**{"channels": 8, "radial_hidden": (16,), "cutoff": 4.0, **overrides})
    if arch in ("schnet", "so3net"):
        kind = SchNetConfig if arch == "schnet" else SO3NetConfig
        small = {"channels": 8, "n_basis": 10, "readout_hidden": (6,), "cutoff": 4.0}
        return kind(**{**small, **overrides})
    small = {"hidden_irreps": "8x0e+8x1o", "l_max": 2, "radial_hidden": (16,), "cutoff": 4.0}
    return MACEConfig(**{**small, **overrides})


def random_statistics(species: tuple[str, ...]) -> Statistics:
    """Statistics of no data: unlike numbers, so that a swap or an omission shows."""
    e0s = tuple(-1.5 - 0.7 * n for n in range(len(species)))
    return Statistics(species, e0s, scale=0.8, shift=-0.3, avg_num_neighbors=12.0)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """make_model(arch, dtype, species, **hyperparameters): a model file with random weights."""
    cache: dict[tuple, Path] = {}
    folder = tmp_path_factory.mktemp("models")

    def make(
        arch: str = "nequip",
        dtype: str = "float64",
        species: tuple[str, ...] = ("Li", "P", "S"),
        **overrides: object,
    ) -> Path:
        key = (arch, dtype, species, repr(sorted(overrides.items())))
        if key not in cache:
            config, statistics = small_config(arch, **overrides), random_statistics(species)
            with torch.random.fork_rng():
                torch.manual_seed(7)
                model = build_model(config, statistics, getattr(torch, dtype))
            cache[key] = folder / f"{arch}_{dtype}_{len(cache)}.pt"
            save_model(model, config, statistics, TrainingRecord(), cache[key])
        return cache[key]

    return make


def random_structure(
    n_atoms: int, seed: int, species: tuple[str, ...] = ("Li", "P", "S"), pbc: bool = True
) -> Atoms:
    """Atoms at ordinary density in a skewed cell, none closer than 1.6 Å."""
    rng = np.random.default_rng(seed)
    length = (n_atoms * 18.0) ** (1 / 3)
    cell = length * (np.eye(3) + 0.25 * np.tril(rng.uniform(-1, 1, (3, 3)), -1))
    atoms = Atoms(cell=cell, pbc=pbc)
    while len(atoms) < n_atoms:
        trial = Atoms(rng.choice(species), cell=cell, pbc=pbc, scaled_positions=rng.random((1, 3)))
        joined = atoms + trial
        if len(atoms) == 0 or joined.get_distances(-1, range(len(atoms)), mic=pbc).min() > 1.6:
            atoms = joined
    return atoms
