"""MSD and diffusion: exact laws of motion, and error bars that mean what they say."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "diffusion"))

import walks
from interval_coverage import measure
from walks import KINDS

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


def test_diffusion_units_and_window():
    found = diffusion_coefficient(in_vacuum(random_walk(0, n_atoms=400), 0.1), "Li", (0.5, 2.0))
    assert found.coefficient == pytest.approx(0.5e-4, rel=0.03)  # 1 Å²/ps = 1e-4 cm²/s
    assert found.window == pytest.approx((0.5, 2.0))
    assert found.exponent == pytest.approx(1, abs=0.05)
    assert found.reason is None
    assert len(found.blocks) == found.n_blocks == 5
    assert found.n_hops is None  # no cell, no spacing


def test_the_text_has_the_digits_that_are_known():
    found = diffusion_coefficient(in_vacuum(random_walk(0, n_atoms=400), 0.1), "Li")
    value = replace(found, coefficient=1.2345e-5, half_width=2.61e-6)
    assert value.text == "(1.23 ± 0.26)e-05 cm²/s"
    assert replace(value, half_width=9.3e-6).text == "(1.23 ± 0.93)e-05 cm²/s"
    assert replace(value, half_width=3e-8).text == "(1.2345 ± 0.0030)e-05 cm²/s"
    assert replace(value, coefficient=None, reason="nothing moves").text == "nothing moves"


def test_rattling_atoms_have_no_coefficient():
    rng = np.random.default_rng(0)
    cage = rng.normal(0.0, 0.2, (500, 50, 3))
    found = diffusion_coefficient(in_vacuum(cage, 0.1), "Li")
    assert found.coefficient is found.half_width is None
    assert found.reason == "not diffusive (τ^0.00)"


def test_ballistic_atoms_have_no_coefficient():
    velocity = np.random.default_rng(0).normal(size=(1, 50, 3))
    path = np.arange(500)[:, None, None] * velocity
    found = diffusion_coefficient(in_vacuum(path, 0.1), "Li")
    assert found.coefficient is None
    assert found.reason == "not diffusive (τ^2.00)"


def test_an_exponent_that_is_not_known_is_not_stated_as_one():
    # three walkers: the exponent of the one seed is off, of others it is near one, by chance
    reasons = {
        diffusion_coefficient(in_vacuum(random_walk(s, n_atoms=3), 0.1), "Li").reason
        for s in range(20)
    }
    said = [reason for reason in reasons if reason]
    assert said
    assert all(re.match(r"too short \((τ|the interval)", reason) for reason in said)


def test_a_cage_wider_than_the_window_is_seen_beyond_it():
    wide = walks.caged(np.random.default_rng(0), 1000, 200, 30.0, 0.6)
    found = diffusion_coefficient(walks.trajectory(wide), "Li")
    assert found.exponent == pytest.approx(1, abs=0.15)  # in the window nothing shows it
    assert re.fullmatch(r"not diffusive \(τ\^0\.\d\d after the window\)", found.reason)


def test_few_hops_are_too_few():
    def hops(rate):
        path = walks.hopping(np.random.default_rng(0), 1000, 30, rate, 0.0)
        return diffusion_coefficient(walks.trajectory(path), "Li", remove_drift=False)

    assert hops(0.2).n_hops == pytest.approx(0.2 * 30 * 100, rel=0.2)
    assert hops(0.2).coefficient == pytest.approx(0.2 * 2.7**2 / 6 * 1e-4, rel=0.2)
    assert hops(0.001).coefficient is None


def test_what_stands_still_does_not_move():
    still = np.broadcast_to(np.random.default_rng(0).normal(size=(1, 5, 3)), (100, 5, 3))
    assert diffusion_coefficient(in_vacuum(still), "Li").reason == "nothing moves"


def test_a_run_of_few_frames_is_too_short():
    found = diffusion_coefficient(in_vacuum(random_walk(0, n_frames=20)), "Li")
    assert found.reason == "too short (20 frames)"
    assert found.coefficient is found.window is found.exponent is None


def test_more_blocks_make_the_same_coefficient():
    walk = in_vacuum(random_walk(1, n_atoms=100), 0.1)
    few, many = (diffusion_coefficient(walk, "Li", (0.2, 2.0), n) for n in (5, 15))
    assert few.coefficient == many.coefficient
    assert len(many.blocks) == 15


# they have a coefficient that these runs are too short for
TOO_SHORT = {
    "Langevin, 1 of 40 ps",
    "hops, 1 per atom",
    "hops, 0.1 per atom",
    "hops, 1 per atom, vibrating",
}


@pytest.mark.parametrize("name", [n for n, kind in KINDS.items() if kind.d and n not in TOO_SHORT])
def test_the_interval_holds_the_coefficient(name):
    """As often as it says: 95 % of the stated ones, or more (it is the larger of two)."""
    found = measure(KINDS[name], 40)
    assert found.n_stated >= 5
    # fewer would come once in a thousand times of an interval that holds 95 %
    assert found.n_held >= binom.ppf(1e-3, found.n_stated, 0.95)
    assert found.width < 0.8


@pytest.mark.parametrize("name", ["Brownian, 30 atoms", "short, 50 frames", "hops, 10 per atom"])
def test_what_diffuses_has_a_coefficient(name):
    assert measure(KINDS[name], 20).n_stated == 20


@pytest.mark.parametrize("name", [n for n, kind in KINDS.items() if not kind.d or n in TOO_SHORT])
def test_what_does_not_diffuse_within_the_run_has_no_coefficient(name):
    assert measure(KINDS[name], 40).n_stated == 0


def test_window_must_fit_the_blocks():
    walk = in_vacuum(random_walk(0, n_frames=100), 0.1)  # blocks of 20 frames, 1.9 ps
    with pytest.raises(ValueError, match=r"block is only 1\.9 ps"):
        diffusion_coefficient(walk, "Li", (0.1, 3.0))
    with pytest.raises(ValueError, match="fewer than three lags"):
        diffusion_coefficient(walk, "Li", (0.5, 0.6))
    assert diffusion_coefficient(walk, "Li").window == pytest.approx((0.2, 0.9))
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
    assert abs(found.coefficient - d * 1e-4) < 1.5 * found.half_width
    assert found.half_width < 0.15 * d * 1e-4
    far = Trajectory(species, fractional @ cells, cells, PERIODIC, time)
    again = diffusion_coefficient(far, "Li", remove_drift=False)
    assert again.coefficient == pytest.approx(found.coefficient, rel=1e-9)
    plain = msd_per_atom(fractional @ cells).mean(axis=1)
    assert plain[20] > 2 * 6 * d * 2.0  # the trap that displacements() avoids
