"""Throughput of a run: configurations and edges per second, hours spent."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from pydantic import BaseModel, ConfigDict


class Work(NamedTuple):
    """What training steps went through, without validation."""

    seconds: float = 0.0
    configurations: float = 0.0
    edges: float = 0.0


class Speed(BaseModel):
    """Of a whole run, over all resumptions."""

    model_config = ConfigDict(frozen=True)
    hours: float  # with validation
    configurations_per_second: float  # of the training steps
    edges_per_second: float
    threads: int  # per process
    processes: int

    def __str__(self) -> str:
        work = Work(1.0, self.configurations_per_second, self.edges_per_second)
        parts = (self.processes, "process(es)"), (self.threads, "thread(s)")
        where = " of ".join(f"{number} {what}" for number, what in parts)
        return f"Training took {self.hours:.2g} hours on {where}: {rates(work)}."


def rates(work: Work) -> str:
    """Throughput in words."""
    seconds = max(work.seconds, 1e-9)
    return (
        f"{work.configurations / seconds:,.1f} configurations/s, "
        f"{work.edges / seconds:,.0f} edges/s"
    )


def joint_speed(speeds: Sequence[Speed]) -> Speed:
    """Of models trained one after another: hours added up, rates averaged over them."""
    hours = sum(speed.hours for speed in speeds)
    shares = [speed.hours / max(hours, 1e-9) for speed in speeds]

    def mean(rates: Iterable[float]) -> float:
        return sum(share * rate for share, rate in zip(shares, rates, strict=True))

    return speeds[-1].model_copy(
        update={
            "hours": hours,
            "configurations_per_second": mean(s.configurations_per_second for s in speeds),
            "edges_per_second": mean(s.edges_per_second for s in speeds),
        }
    )


class SpeedMeter(Callback):
    """Counts in every epoch; the sums travel in the checkpoint."""

    def __init__(self) -> None:
        self.epoch, self.total = Work(), Work()
        self.hours = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.start = time.monotonic()
        self.counted = [0, 0]

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.counted[0] += batch.graph.n_frames
        self.counted[1] += batch.graph.edge_index.shape[1]

    def on_validation_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        seconds = time.monotonic() - self.start
        counted = torch.tensor(self.counted, dtype=torch.float64, device=pl_module.device)
        configurations, edges = trainer.strategy.reduce(counted, reduce_op="sum").tolist()
        self.epoch = Work(seconds, configurations, edges)
        self.total = Work(*(a + b for a, b in zip(self.total, self.epoch, strict=True)))

    def on_train_epoch_end(self, *_: Any) -> None:
        self.hours += (time.monotonic() - self.start) / 3600

    def speed(self, processes: int) -> Speed:
        """Of the epochs so far."""
        seconds = max(self.total.seconds, 1e-9)
        return Speed(
            hours=self.hours,
            configurations_per_second=self.total.configurations / seconds,
            edges_per_second=self.total.edges / seconds,
            threads=torch.get_num_threads(),
            processes=processes,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"hours": self.hours, "total": list(self.total)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.hours, self.total = state_dict["hours"], Work(*state_dict["total"])
