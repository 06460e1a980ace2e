"""How many epochs a run has: as it was told, or as many as its hours hold."""

import math
import time
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from torch.utils.data import DataLoader

from e3md.train.config import TrainingConfig
from e3md.train.forecast import forecast, time_epoch
from e3md.train.module import PotentialTraining


class Budget(Callback):
    """Says before its first epoch how long a run will take, and keeps a run of so many hours to them.

    Epochs are counted by the time that they take, anew after each of them until the learning rate
    depends on their number: with `cosine` after a tenth, with `stable` once it falls.
    """

    def __init__(self, console: Console, settings: TrainingConfig) -> None:
        self.console = console
        self.hours = hours = settings.hours
        self.most = settings.max_epochs
        self.stop = math.inf if settings.max_time is None else 60 * settings.max_time  # s
        self.before: dict[str, Any] = {"hours": hours, "epochs": 0, "seconds": 0.0}
        self.begin = time.monotonic()

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        assert isinstance(pl_module, PotentialTraining)
        self.begin, self.finished = time.monotonic(), trainer.current_epoch
        batches, valid = trainer.train_dataloader, trainer.val_dataloaders
        assert isinstance(batches, DataLoader)
        assert isinstance(valid, DataLoader)
        if self.finished >= self.most:
            return
        seconds = time_epoch(pl_module, batches, valid)
        if self.hours:
            self._set(trainer, pl_module, self.before["epochs"])
            same = self.before["hours"] == self.hours
            if not (same and self.finished and pl_module.is_settled(trainer.global_step)):
                self._fit(trainer, pl_module, self.finished, seconds)
        epochs = (trainer.max_epochs or 0) - self.finished
        if epochs > 0:
            line = f"{forecast(epochs, seconds)}; threads: {torch.get_num_threads()}"
            self.console.print(line, soft_wrap=True, highlight=False)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        assert isinstance(pl_module, PotentialTraining)
        if self.hours and not pl_module.is_settled(trainer.global_step):
            done = trainer.current_epoch + 1
            spent = time.monotonic() - self.begin
            self._fit(trainer, pl_module, done, spent / (done - self.finished))
        self.epochs = trainer.max_epochs
        if trainer.strategy.broadcast(self.spent() >= self.stop):
            trainer.should_stop = True

    def spent(self) -> float:
        """Seconds of all parts of the run so far."""
        return float(self.before["seconds"]) + time.monotonic() - self.begin

    def left(self) -> float | None:
        """Seconds until a limit of time."""
        end = min(3600 * (self.hours or math.inf), self.stop)
        return None if math.isinf(end) else end - self.spent()

    def state_dict(self) -> dict[str, Any]:
        return {"hours": self.hours, "epochs": self.epochs, "seconds": self.spent()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict

    def _fit(
        self, trainer: lightning.Trainer, module: PotentialTraining, done: int, seconds: float
    ) -> None:
        """done: epochs. seconds: of one."""
        more = int((3600 * (self.hours or 0.0) - self.spent()) / max(seconds, 1e-9))
        epochs = min(max(done + more, done, 1), self.most)
        self._set(trainer, module, int(trainer.strategy.broadcast(epochs)))

    @staticmethod
    def _set(trainer: lightning.Trainer, module: PotentialTraining, epochs: int) -> None:
        trainer.fit_loop.max_epochs = epochs
        module.n_steps = epochs * int(trainer.num_training_batches)
