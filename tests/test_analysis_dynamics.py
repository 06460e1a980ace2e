"""MSD and diffusion: exact laws of motion, and error bars that mean what they say."""

import numpy as np
import pytest

from e3md.analysis import Trajectory, diffusion_coefficient, mean_square_displacement
from e3md.analysis.msd import msd_per_atom
from e3md.analysis.periodic import unwrap

OPEN = (False, False, False)
PERIODIC = (True, True, True)


def in_vacuum(positions, interval=1.0, species=None) -> Trajectory:
    n_frames, n_atoms, _ = positions.shape
    species = species or ("Li",) * n_atoms
    time = np.arange(n_frames) * interval
    return Trajectory(species, positions, np.zeros((n_frames, 3, 3)), OPEN, time)


def random_walk(seed, d=0.5, interval=0.1, n_frames=600, n_atoms=20):
    """(n_frames, n_atoms, 3) Å with diffusion coefficient d in Å²/ps."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, np.sqrt(2 * d * interval), (n_frames, n_atoms, 3)).cumsum(axis=0)


def test_fft_equals_the_double_loop():
    path = random_walk(0, n_frames=37, n_atoms=5) + 1e3  # far from the origin: no cancellation
    expected = np.zeros((37, 5))
    for lag in range(1, 37):
        for origin in range(37 - lag):
            expected[lag] += ((path[origin + lag] - path[origin]) ** 2).sum(axis=1) / (37 - lag)
    assert np.allclose(msd_per_atom(path), expected, rtol=1e-10, atol=1e-10)


def test_blocks_of_atoms_do_not_mix(monkeypatch):
    path = random_walk(1, n_frames=3000, n_atoms=500)  # more than one memory block
    alone = msd_per_atom(path[:, 480:481])
    assert np.allclose(msd_per_atom(path)[:, 480], alone[:, 0], rtol=1e-9, atol=1e-8)


def test_ballistic_motion_is_exact():
    velocity = np.array([[1.0, 2.0, -0.5], [-1.0, 0.3, 0.2]])  # Å/ps
    time = np.arange(50) * 0.02
    msd = mean_square_displacement(
        in_vacuum(velocity * time[:, None, None], 0.02, ("Li", "S")), remove_drift=False
    )
    assert np.allclose(msd.lag, time)
    assert np.allclose(msd.by_species["Li"], 5.25 * time**2, atol=1e-12)
    assert np.allclose(msd.by_species["S"], (velocity[1] ** 2).sum() * time**2, atol=1e-12)


def test_common_drift_is_removed():
    walk = random_walk(2, n_atoms=6)
    species = ("Li", "Li", "P", "P", "S", "S")
    drift = np.linspace(0, 100, len(walk))[:, None, None] * np.array([1.0, -2.0, 0.5])
    still = mean_square_displacement(in_vacuum(walk, species=species))
    moving = mean_square_displacement(in_vacuum(walk + drift, species=species))
    for name in still.by_species:
        assert np.allclose(still.by_species[name], moving.by_species[name], atol=1e-7)


def test_center_of_mass_is_weighted_by_mass():
    # momentum-free motion of unlike masses must be left alone
    time = np.linspace(0, 1, 20)[:, None, None]
    velocity = np.array([[[30.97376, 0, 0]], [[-6.94, 0, 0]]]).transpose(1, 0, 2)
    path = in_vacuum(time * velocity, species=("Li", "P"))
    msd = mean_square_displacement(path)
    assert msd.by_species["Li"][-1] == pytest.approx(30.97376**2, rel=1e-3)


@pytest.mark.parametrize("n_blocks", [5, 10])
def test_random_walk_within_its_error_bar(n_blocks):
    # one sigma of a Student distribution with n_blocks - 1 degrees of freedom covers 63-67 %,
    # two sigma 88-92 %; with 150 walks the spread of these figures is 4 % and 3 %
    d = 0.5
    deviations = []
    for seed in range(150):
        found = diffusion_coefficient(
            in_vacuum(random_walk(seed, d), 0.1), "Li", n_blocks=n_blocks, remove_drift=False
        )
        deviations.append((found.coefficient - d * 1e-4) / found.error)
    inside = np.abs(np.array(deviations))
    assert 0.55 < (inside < 1).mean() < 0.82
    assert 0.82 < (inside < 2).mean() < 0.98
    assert abs(np.median(deviations)) < 0.4  # no bias


def test_diffusion_units_and_window():
    found = diffusion_coefficient(in_vacuum(random_walk(0, n_atoms=400), 0.1), "Li", (0.5, 2.0))
    assert found.coefficient == pytest.approx(0.5e-4, rel=0.03)  # 1 Å²/ps = 1e-4 cm²/s
    assert found.window == pytest.approx((0.5, 2.0))
    assert found.slope == pytest.approx(1, abs=0.05)
    assert found.warning is None
    assert len(found.blocks) == 5


def test_rattling_atoms_are_not_diffusive():
    rng = np.random.default_rng(0)
    cage = rng.normal(0.0, 0.2, (500, 50, 3))
    found = diffusion_coefficient(in_vacuum(cage, 0.1), "Li")
    assert "not diffusive" in found.warning
    assert "subdiffusive" in found.warning


def test_ballistic_atoms_are_not_diffusive():
    velocity = np.random.default_rng(0).normal(size=(1, 50, 3))
    path = np.arange(500)[:, None, None] * velocity
    found = diffusion_coefficient(in_vacuum(path, 0.1), "Li")
    assert "superdiffusive" in found.warning


def test_window_must_fit_the_blocks():
    walk = in_vacuum(random_walk(0, n_frames=100), 0.1)  # blocks of 20 frames, 1.9 ps
    with pytest.raises(ValueError, match=r"block is only 1\.9 ps"):
        diffusion_coefficient(walk, "Li", (0.1, 3.0))
    with pytest.raises(ValueError, match="fewer than three lags"):
        diffusion_coefficient(walk, "Li", (0.5, 0.6))
    with pytest.raises(ValueError, match="no S atoms"):
        diffusion_coefficient(walk, "S")


def test_uneven_frames_are_refused():
    walk = in_vacuum(random_walk(0, n_frames=10))
    time = walk.time.copy()
    time[6:] += 0.5
    uneven = Trajectory(walk.species, walk.positions, walk.cells, walk.pbc, time)
    with pytest.raises(ValueError, match="frame 6"):
        mean_square_displacement(uneven)


SKEWED = np.array([[8.0, 0, 0], [3.0, 7.0, 0], [-2.0, 2.5, 9.0]])


def test_unwrap_through_boundaries():
    walk = random_walk(3, n_frames=400, n_atoms=10)
    cells = np.broadcast_to(SKEWED, (400, 3, 3)).copy()
    inverse = np.linalg.inv(SKEWED)
    wrapped = (walk @ inverse % 1.0) @ SKEWED
    assert np.abs(walk - wrapped).max() > 15  # several cells crossed
    restored = unwrap(wrapped, cells, PERIODIC)
    assert np.allclose(restored - restored[0], walk - walk[0], atol=1e-9)


def test_only_periodic_directions_are_unwrapped():
    positions = np.zeros((3, 1, 3))
    positions[:, 0, 2] = [0.0, 9.0, 18.0]  # a far jump along the free direction is real
    positions[:, 0, 0] = [0.5, 7.5, 6.5]  # -1 and -2 Å in a cell of 8
    cells = np.broadcast_to(np.diag([8.0, 8.0, 10.0]), (3, 3, 3)).copy()
    path = unwrap(positions, cells, (True, True, False))
    assert np.allclose(path[:, 0, 2], [0, 9, 18])
    assert np.allclose(path[:, 0, 0], [0.5, -0.5, -1.5])


def breathing_cells(n_frames, amplitude, seed):
    """Cells of a barostat: volume fluctuates about SKEWED with a correlation time of 20 frames."""
    rng = np.random.default_rng(seed)
    scale = np.ones(n_frames)
    for frame in range(1, n_frames):
        kick = rng.normal(0, amplitude * np.sqrt(2 / 20))
        scale[frame] = scale[frame - 1] - (scale[frame - 1] - 1) / 20 + kick
    return SKEWED * scale[:, None, None]


def test_breathing_cell_alone_moves_no_atom():
    # atoms at fixed fractional coordinates, many cells away from home
    cells = breathing_cells(200, 0.02, seed=0)
    fractional = np.random.default_rng(0).uniform(-20, 20, (1, 30, 3))
    still = Trajectory(("Li",) * 30, fractional @ cells, cells, PERIODIC, np.arange(200.0))
    assert mean_square_displacement(still, remove_drift=False).total.max() < 1e-20


def test_diffusion_at_constant_pressure():
    # walkers that feel the true step in every frame, in a breathing cell, given wrapped: D is
    # found again, while plain differences of unwrapped positions are far off
    n_frames, n_atoms, d = 2000, 60, 0.5
    cells = breathing_cells(n_frames, 0.01, seed=1)
    steps = np.diff(random_walk(4, d, n_frames=n_frames, n_atoms=n_atoms), axis=0)
    start = np.random.default_rng(5).uniform(-30, 30, (1, n_atoms, 3))
    fractional = np.concatenate([start, steps @ np.linalg.inv(0.5 * (cells[1:] + cells[:-1]))])
    fractional = fractional.cumsum(axis=0)
    wrapped = (fractional % 1.0) @ cells
    species, time = ("Li",) * n_atoms, np.arange(n_frames) * 0.1
    run = Trajectory(species, unwrap(wrapped, cells, PERIODIC), cells, PERIODIC, time)
    found = diffusion_coefficient(run, "Li", remove_drift=False)
    assert abs(found.coefficient - d * 1e-4) < 4 * found.error
    assert found.error < 0.05 * d * 1e-4
    far = Trajectory(species, fractional @ cells, cells, PERIODIC, time)
    again = diffusion_coefficient(far, "Li", remove_drift=False)
    assert again.coefficient == pytest.approx(found.coefficient, rel=1e-9)
    plain = msd_per_atom(fractional @ cells).mean(axis=1)
    assert plain[20] > 2 * 6 * d * 2.0  # the trap that displacements() avoids
