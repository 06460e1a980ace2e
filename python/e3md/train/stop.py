"""How a signal ends a training: between two steps, on all processes at once, and in words."""

import os
import shlex
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from e3md.files import DamagedFileError
from e3md.interrupts import WARNING, asked, hold, stop, stop_if_asked, take_back
from e3md.train.checkpoint import BEST, LAST, RECORD, load_checkpoint
from e3md.train.committee import member_configs
from e3md.train.config import Config
from e3md.train.parallel import is_parallel

LAUNCHERS = {"TORCHELASTIC_RUN_ID", "SLURM_PROCID"}  # what torchrun and srun set


class StopBySignal(Callback):
    """While a model is trained signals wait for the end of the step, so that checkpoints are whole.

    What came after the last epoch is lost: there is no checkpoint within an epoch.
    """

    def __init__(self) -> None:
        self.held = ExitStack()

    def on_train_start(self, *_: Any) -> None:
        take_back()  # Lightning has its own for SIGTERM, which ends with status 0
        self.held.enter_context(hold())

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        if trainer.world_size == 1:
            stop_if_asked()
            return
        signum = asked()
        mine = [signum == WARNING, signum not in (None, WARNING)]
        flags = torch.tensor(mine, dtype=torch.float32, device=trainer.strategy.root_device)
        warned, ended = trainer.strategy.reduce(flags, reduce_op="sum").tolist()
        stop_if_asked()
        if warned or ended:
            stop(signal.SIGTERM if ended else WARNING)

    def on_validation_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        if trainer.world_size == 1:
            stop_if_asked()

    def on_train_end(self, *_: Any) -> None:
        self.held.close()

    def on_exception(self, _: Any, __: Any, exception: BaseException) -> None:
        self.held.__exit__(type(exception), exception, exception.__traceback__)


def how_to_go_on(signum: signal.Signals, config: Config, path: Path) -> str:
    """What is said of a run that a signal ended: how far it got, how to go on, how to export.

    path: of the configuration, as it was given.
    """
    command = f"e3md train {shlex.quote(str(path))}"
    members = member_configs(config)
    epochs = [_epochs(member.run_dir) for member in members]
    begun = [n for n, finished in enumerate(epochs, 1) if finished]
    if not begun:
        return (
            f"stopped by {signum.name} before the end of epoch 1: nothing is saved yet, start again "
            f"with `{command}`"
        )
    which = f" of member {begun[-1]}" if len(members) > 1 else ""
    reached = f"after epoch {epochs[begun[-1] - 1]} of {config.training.length()}{which}"
    way = f"`{command} --resume`"
    if is_parallel(config.training) and LAUNCHERS & os.environ.keys():
        way = "the same command and --resume"
    lines = [f"stopped by {signum.name} {reached}: continue with {way}"]
    exportable = [m.run_dir for m in members if _all_there(m.run_dir)]
    if exportable:
        folder = shlex.quote(shown(exportable[-1]))
        lines.append(f"to use the best weights so far: `e3md export {folder} -o model.pt`")
    return "\n".join(lines)


def _epochs(folder: Path) -> int:
    """Epochs of the newest checkpoint that can be read."""
    for name in (LAST, BEST):
        try:
            return int(load_checkpoint(folder / name)["epoch"]) + 1
        except (DamagedFileError, OSError):
            continue
    return 0


def _all_there(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (BEST, RECORD))


def shown(folder: Path) -> str:
    """A path, relative to where the user is, if it lies below."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
