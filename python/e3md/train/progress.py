"""What a user watches during a run: a line per epoch, and in a terminal a bar with the time left."""

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from e3md.quantities import ENERGY, FORCES
from e3md.train.budget import Budget
from e3md.train.speed import SpeedMeter, rates

LONGEST_BAR = 60  # columns


class TrainingProgress(Callback):
    """One line per epoch; in a terminal they scroll above one bar over the whole run."""

    def __init__(self, console: Console, meter: SpeedMeter, budget: Budget) -> None:
        self.console = console
        self.meter = meter
        self.budget = budget
        self.bar = Progress(
            *self._columns(),
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
            epoch=trainer.current_epoch + 1, epochs=epochs,
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
        epochs, steps = trainer.max_epochs or 1, int(trainer.num_training_batches)
        self.bar.update(self.task, total=epochs * steps, epochs=epochs)
        epoch = f"epoch {trainer.current_epoch + 1}/{epochs}"
        errors = [
            f"valid force MAE {1e3 * found['valid_forces_mae']:.1f} {FORCES.milli}",
            f"energy MAE {1e3 * found['valid_energy_mae']:.2f} {ENERGY.milli}",
            f"train loss {found['train_loss']:.3g}",
            rates(self.meter.epoch),
        ]
        if self.console.is_terminal:
            self.console.print(fitting(epoch, errors, self.console.width), soft_wrap=True)
            return
        left = self._time_left(self.bar.tasks[self.task])
        self.console.print(f"{epoch}  {', '.join(errors)}  ({left})", soft_wrap=True)

    def on_exception(self, *_: Any) -> None:
        self.bar.stop()

    def teardown(self, *_: Any, **__: Any) -> None:
        self.bar.stop()

    def _columns(self) -> list[ProgressColumn]:
        """Epoch and times keep their place in a narrow terminal; the bar takes what is left."""
        fixed = Column(no_wrap=True)
        epoch = "epoch {task.fields[epoch]}/{task.fields[epochs]}"
        return [
            TextColumn(epoch, table_column=fixed.copy()),
            BarColumn(bar_width=None, table_column=Column(max_width=LONGEST_BAR)),
            TimeElapsedColumn(table_column=fixed.copy()),
            _Words(self._time_left, table_column=fixed.copy()),
        ]

    def _time_left(self, task: Task) -> str:
        """Of all epochs, or until a limit of time if that comes first."""
        known = [s for s in (task.time_remaining, self.budget.left()) if s is not None]
        if not known:
            return "-:--:-- left"
        return f"{datetime.timedelta(seconds=round(max(0.0, min(known))))} left"


class _Words(ProgressColumn):
    """What a function says of the task."""

    max_refresh = 0.5  # s

    def __init__(self, say: Callable[[Task], str], table_column: Column) -> None:
        super().__init__(table_column)
        self.say = say

    def render(self, task: Task) -> Text:
        return Text(self.say(task))


def fitting(head: str, parts: Sequence[str], width: int) -> str:
    """The head and as many of the parts, in order, as one line of a terminal holds."""
    line = f"{head}  {parts[0]}"
    for part in parts[1:]:
        if len(line) + 2 + len(part) > width:
            break
        line += f", {part}"
    return line
