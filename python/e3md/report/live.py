"""The page of a run that goes on: written anew every few minutes, never at the cost of the training."""

import copy
import time
from collections.abc import Callable
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.markup import escape

from e3md.report.run import PAGE, RunPage, evaluate_part, write_run_page
from e3md.train.checkpoint import RunRecord
from e3md.train.config import Config
from e3md.train.module import PotentialTraining
from e3md.train.prepare import TrainingData

FIRST, INTERVAL = 60.0, 180.0  # s, until the first page and between two
SHARE = 0.02  # of the time of the training, at most
FRAMES, SECONDS = 100, 2.0  # of a set that are compared, at most


class LivePage(Callback):
    """Of the first process; its own failures are one line, and the training goes on."""

    def __init__(
        self, config: Config, data: TrainingData, record: RunRecord, console: Console
    ) -> None:
        self.config = config  # of the whole run, also where one member of it is trained
        self.data = data
        self.record = record
        self.console = console
        self.due = time.monotonic() + FIRST

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if not trainer.is_global_zero or time.monotonic() < self.due:
            return
        start = time.monotonic()
        written = guarded(lambda: self._write(trainer, pl_module), self.console)
        now = time.monotonic()
        # after a failure, that of the finished run is the next try: one line is enough
        self.due = now + max(INTERVAL, (now - start) / SHARE) if written else float("inf")

    def _write(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        assert isinstance(pl_module, PotentialTraining)
        average = copy.deepcopy(pl_module.average).cpu()
        sets = [
            evaluate_part(
                name, average, samples, self.data.frames[name], self.record.statistics.species,
                FRAMES, SECONDS,
            )
            for name, samples in self.data.samples.items()
            if name != "test"
        ]  # fmt: skip
        epoch = trainer.current_epoch + 1
        state = f"training: epoch {epoch} of {trainer.max_epochs}"
        if self.config.training.members > 1:
            first = self.config.training.seed
            member = self.record.training.seed - first + 1
            state += f", member {member} of {self.config.training.members}"
        weights = f"Errors are those of the averaged weights after epoch {epoch}."
        frames = {name: self.data.frames[name] for name in self.data.samples}
        page = RunPage(self.config, self.record, state, frames, sets, weights, live=True)
        write_run_page(page, self.config.run_dir / PAGE)


def guarded(write: Callable[[], None], console: Console) -> bool:
    """A page that cannot be written must not end what it tells of; returns whether it was."""
    try:
        write()
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        console.print(
            f"[yellow]warning:[/] the page of the run could not be written: {escape(reason)}",
            soft_wrap=True,
        )
        return False
    return True
