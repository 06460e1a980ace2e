"""Energy and forces are smooth as an atom crosses the cutoff."""

import numpy as np
import pytest

from e3md.check.smoothness import walker
from e3md.derivatives import predict
from e3md.model import ModelConfig
from laws import CONFIGS, build, to_graph


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


def _walk(config: ModelConfig, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energy and force on a sulfur atom that walks away from a triangle of others."""
    model = build(config)
    energies, forces = [], []
    for distance in distances:
        prediction = predict(model, to_graph(walker(["Li", "P", "S", "S"], distance), config))
        energies.append(prediction.energy.item())
        forces.append(prediction.forces[3].numpy())
    return np.array(energies), np.array(forces)


def test_nothing_jumps_at_the_cutoff(config: ModelConfig) -> None:
    width = 1e-6
    distances = config.cutoff + np.array([-2, -1, 0, 1, 2]) * width
    energies, forces = _walk(config, distances)
    np.testing.assert_allclose(np.diff(energies), 0, atol=1e-9)
    np.testing.assert_allclose(np.diff(forces, axis=0), 0, atol=1e-9)


def test_the_force_at_the_cutoff_fades_continuously(config: ModelConfig) -> None:
    """Force differences shrink in proportion to the step: no kink hides between samples."""
    forces = _walk(config, np.linspace(config.cutoff - 0.1, config.cutoff + 0.1, 161))[1]
    largest = [np.abs(np.diff(f, axis=0)).max() for f in (forces[::4], forces)]
    assert 0 < largest[1] < 0.4 * largest[0]


def test_the_walker_is_felt_inside_and_gone_outside(config: ModelConfig) -> None:
    energies, forces = _walk(config, np.array([2.5, config.cutoff + 2.2, config.cutoff + 3.0]))
    assert abs(energies[0] - energies[2]) > 1e-6
    assert energies[1] == energies[2]
    assert not forces[1:].any()
