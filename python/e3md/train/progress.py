"""What a user watches during a run: epoch, time left, current errors."""

import datetime
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from e3md.train.speed import SpeedMeter, rates


class TrainingProgress(Callback):
    """One bar over the whole run in a terminal; one line per epoch in a log file."""

    def __init__(self, console: Console, meter: SpeedMeter) -> None:
        self.console = console
        self.meter = meter
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[errors]}"),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=300,  # s: long enough to include validations
        )

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        epochs, steps = trainer.max_epochs or 1, int(trainer.num_training_batches)
        self.task = self.bar.add_task(
            "train", total=epochs * steps, completed=trainer.global_step,
            epoch=trainer.current_epoch + 1, epochs=epochs, errors="",
        )  # fmt: skip
        self.bar.start()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        self.bar.update(self.task, advance=1, epoch=trainer.current_epoch + 1)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        found = {key: float(value) for key, value in trainer.callback_metrics.items()}
        errors = (
            f"loss {found['train_loss']:.3g}, valid: {1e3 * found['valid_forces_mae']:.1f} meV/Å, "
            f"{1e3 * found['valid_energy_mae']:.2f} meV/atom, {rates(self.meter.epoch)}"
        )
        self.bar.update(self.task, errors=errors)
        if not self.console.is_terminal:
            seconds = self.bar.tasks[self.task].time_remaining or 0
            left = datetime.timedelta(seconds=round(seconds))
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self.console.print(f"{epoch}  {errors}  ({left} left)", soft_wrap=True)

    def on_exception(self, *_: Any) -> None:
        self.bar.stop()

    def teardown(self, *_: Any, **__: Any) -> None:
        self.bar.stop()
