"""How often the stated interval of a diffusion coefficient holds it, on walks of known D.

    python benchmarks/diffusion/interval_coverage.py [--runs 200]

Prints for each kind of walk in how many of the runs a coefficient is stated, in which part of
these the 95 % interval holds the true one, how wide it is, and the reasons of the others.
"""

import argparse
from collections import Counter
from dataclasses import dataclass

import numpy as np
from walks import KINDS, Kind, trajectory

from e3md.analysis import diffusion_coefficient
from e3md.analysis.diffusion import CM2_PER_S


@dataclass(frozen=True)
class Coverage:
    """What was stated about runs of one kind."""

    n_runs: int
    n_stated: int
    n_held: int  # stated, and the interval holds the true value
    width: float  # mean half-width over D of those stated, NaN if none
    reasons: Counter[str]  # of the others


def measure(kind: Kind, n_runs: int, seed: int = 0) -> Coverage:
    """Analyze n_runs walks."""
    rngs = np.random.default_rng(seed).spawn(n_runs)
    found = [
        diffusion_coefficient(trajectory(kind.draw(rng)), "Li", remove_drift=kind.remove_drift)
        for rng in rngs
    ]
    stated = [(f.coefficient, f.half_width) for f in found if f.coefficient and f.half_width]
    true = np.inf if kind.d is None else kind.d * CM2_PER_S
    return Coverage(
        n_runs,
        len(stated),
        sum(abs(value - true) < half for value, half in stated),
        float(np.mean([half / value for value, half in stated])) if stated else np.nan,
        Counter(f.reason.split(" (")[0] for f in found if f.reason),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    print("| walk | D stated | interval holds D | half-width / D | otherwise |")
    print("| --- | ---: | ---: | ---: | --- |")
    for name, kind in KINDS.items():
        c = measure(kind, runs)
        held = f"{100 * c.n_held / c.n_stated:.1f} %" if c.n_stated and kind.d else "–"
        width = f"{100 * c.width:.0f} %" if c.n_stated else "–"
        others = ", ".join(f"{reason} {count}" for reason, count in c.reasons.items())
        title = name if kind.d else f"{name} (has none)"
        stated = f"{100 * c.n_stated / runs:.1f} %"
        print(f"| {title} | {stated} | {held} | {width} | {others} |", flush=True)


if __name__ == "__main__":
    main()
