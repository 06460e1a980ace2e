"""The curve of a run: one row per epoch, kept in the checkpoint and written to logs/metrics.csv."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from e3md.files import write_text
from e3md.train.module import PotentialTraining

METRICS = Path("logs") / "metrics.csv"  # in the folder of a run
COLUMNS = (
    "train_loss",
    "valid_loss",
    "valid_energy_mae",
    "valid_energy_rmse",
    "valid_forces_mae",
    "valid_forces_rmse",
)


class History(Callback):
    """Rows travel in the checkpoint, so that a resumed run has the curve of an uninterrupted one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        learning_rate = trainer.optimizers[0].param_groups[0]["lr"]
        assert isinstance(pl_module, PotentialTraining)
        row = {"epoch": trainer.current_epoch, "learning_rate": float(learning_rate)}
        row |= {key: float(trainer.callback_metrics[key]) for key in COLUMNS}
        self.rows.append(row | pl_module.training_errors())
        write_metrics(self.path, self.rows)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": list(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])


def write_metrics(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """The table of a curve; rows: one per epoch, at least one.

    The first of a run that an older version began have fewer columns than the last.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[-1].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
