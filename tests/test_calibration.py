"""Calibration tells a deviation that is the error's size from one that is not."""

import json

import numpy as np
import pytest

from e3md.accuracy.calibration import calibrate, calibration_table, collect_deviations
from e3md.accuracy.errors import Compared


def drawn(factor: float, n: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Deviations, and errors drawn from normal distributions `factor` times as wide."""
    rng = np.random.default_rng(1)
    deviation = rng.lognormal(-3.0, 0.7, n)
    return deviation, np.abs(rng.normal(0.0, factor * deviation))


@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_the_ratio_is_found_in_every_bin(factor: float) -> None:
    found = calibrate(*drawn(factor))
    assert found.ratio == pytest.approx(factor, rel=0.05)
    assert len(found.bins) == 12
    assert [b.deviation for b in found.bins] == sorted(b.deviation for b in found.bins)
    for one in found.bins:
        assert one.error / one.deviation == pytest.approx(factor, rel=0.1)


def test_a_deviation_that_knows_nothing_has_no_rank_correlation() -> None:
    deviation, error = drawn(1.0)
    shuffled = np.random.default_rng(2).permutation(error)
    assert calibrate(deviation, error).rank_correlation > 0.4
    assert calibrate(deviation, shuffled).rank_correlation == pytest.approx(0, abs=0.03)
    assert calibrate(deviation, deviation**3).rank_correlation == pytest.approx(1)


def test_no_entry_is_lost() -> None:
    deviation, error = drawn(1.0, n=250)
    bins = calibrate(deviation, error).bins
    assert sum(b.n for b in bins) == 250
    assert min(b.n for b in bins) >= 20
    total = sum(b.n * b.error**2 for b in bins)
    assert total == pytest.approx(np.sum(error**2))


def test_what_is_not_defined_is_null() -> None:
    found = calibrate(np.zeros(5), np.ones(5))
    assert json.loads(found.model_dump_json())["ratio"] is None
    assert found.rank_correlation is None
    with pytest.raises(ValueError, match="no deviations"):
        calibrate(np.zeros(0), np.zeros(0))


def test_forces_count_by_atom_and_energies_by_frame() -> None:
    """Two atoms, forces off by a 3-4-5 triangle on the second; energy off by 0.4 eV in all."""
    predicted, reference = np.array([[0, 0, 1.0], [3, 4, 0]]), np.array([[0, 0, 1.0], [0, 0, 0]])
    frame = Compared(
        ["Li", "S"], (1.4, 1.0), (predicted, reference), None,
        deviation=(0.2, np.array([[0, 0, 0.0], [0.6, 0.8, 0]])),
    )  # fmt: skip
    found = collect_deviations([frame])
    assert found.forces.ratio == pytest.approx(5.0)
    assert found.energy_per_atom.ratio == pytest.approx(2.0)
    assert found.energy_per_atom.bins[0].deviation == pytest.approx(0.1)
    table = calibration_table(found)
    assert "| 2 | 707.11 | 3535.53 |" in table
    assert "Forces: RMS error / RMS deviation 5.00, rank correlation 1.00" in table
