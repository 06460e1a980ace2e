"""Losses of the first steps, e3md's on its peer's."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """One panel for each model and system."""
    shown = {f"{row['model']}, {row['system']}": row for row in rows}
    figure, axes = plt.subplots(
        1, len(shown), figsize=(2.4 * len(shown), 2.4), layout="constrained", squeeze=False
    )
    for panel, (title, row) in zip(axes[0], shown.items(), strict=True):
        panel.plot(row["peer_losses"], "o", mfc="none", ms=5, label="peer")
        panel.plot(row["losses"], lw=1, label="e3md")
        panel.set_title(title, fontsize=7)
        panel.set_xlabel("step")
    axes[0, 0].set_ylabel("loss")
    axes[0, 0].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)
