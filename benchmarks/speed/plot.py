"""Time per atom of e3md and its peers, as bars."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """One group of bars for each row: peer, e3md in ASE, e3md in LAMMPS; logarithmic."""
    figure, axes = plt.subplots(figsize=(3 + 0.9 * len(rows), 4.2), layout="constrained")
    at = np.arange(len(rows))
    for k, (key, label) in enumerate(
        (("peer", "peer"), ("ase", "e3md, ASE"), ("lammps", "e3md, LAMMPS"))
    ):
        values = [row.get(key, np.nan) for row in rows]
        bars = axes.bar(at + 0.27 * (k - 1), values, 0.25, label=label)
        axes.bar_label(bars, [f"{v:.0f}" if v == v else "" for v in values], fontsize=7)
    names = [f"{r['model']}\n{r['system']}, {r['dtype']}\n{r['threads']} thread(s)" for r in rows]
    axes.set_xticks(at, names, fontsize=7)
    axes.set_yscale("log")
    axes.set_ylabel("µs per atom and step")
    axes.legend()
    figure.savefig(path, dpi=150)
