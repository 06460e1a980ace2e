"""Which frames make up each step, in one process or shared between several."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from e3md.data.dataset import Sample, collate
from e3md.graph import AtomGraph

SIZE_CLASS = 1.05  # frames whose edges differ by less may take each other's place
VALID_SIZE = 4  # edges of a validation batch over those of a step: it needs no second derivative


@dataclass(frozen=True)
class BatchSize:
    """The largest batch of a process."""

    frames: int
    edges: int | None = None  # in place of frames


@dataclass(frozen=True)
class Share:
    """The part of one process in every step."""

    rank: int = 0
    processes: int = 1


class TrainingBatches(Sampler[list[int]]):
    """The frames of each step of a process: a function of seed, epoch and share alone, so that a
    resumed run goes on as it would have.

    The steps of two processes are those of one process with twice the batch.
    """

    def __init__(
        self, edges: Sequence[int], size: BatchSize, seed: int, share: Share = Share()
    ) -> None:
        self.seed = seed
        self.share = share
        self.epoch = 0
        self.n_frames = len(edges)
        self.classes: NDArray[np.int64] | None = None
        if size.edges is None:
            self.slots = _even_steps(self.n_frames, size.frames, share.processes)
        else:
            self.classes = _size_classes(edges)
            largest = np.zeros(self.classes.max() + 1, dtype=np.int64)
            np.maximum.at(largest, self.classes, edges)
            falling = np.sort(largest[self.classes])[::-1]
            self.slots = _packed_steps(falling, size.edges, share.processes)

    @property
    def sampler(self) -> "TrainingBatches":
        """Where Lightning looks for set_epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.slots)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.n_frames, generator=generator).numpy()
        steps: Sequence[int] = range(len(self.slots))
        if self.classes is not None:
            order = order[np.argsort(-self.classes[order], kind="stable")]
            steps = torch.randperm(len(self.slots), generator=generator).tolist()
        for step in steps:
            yield order[self.slots[step][self.share.rank]].tolist()


Slots = list[NDArray[np.int64]]  # of a step: per process, places in the epoch's order of frames


def _even_steps(n_frames: int, batch_size: int, processes: int) -> list[Slots]:
    size = batch_size * processes
    steps = [np.arange(k, min(k + size, n_frames)) for k in range(0, n_frames, size)]
    return [[step[rank::processes] for rank in range(processes)] for step in steps]


def _size_classes(edges: Sequence[int]) -> NDArray[np.int64]:
    """A whole number for each frame, rising with its edges."""
    logarithm = np.log(np.maximum(edges, 1)) / np.log(SIZE_CLASS)
    return logarithm.astype(np.int64)


def _packed_steps(sizes: NDArray[np.int64], limit: int, processes: int) -> list[Slots]:
    """As few steps of nearly equal size as keep every process at or under the limit.

    A frame above the limit has a step of its process to itself.

    sizes: (n_frames,) edges, falling.
    """
    n_steps = int(np.ceil(max(1, np.minimum(sizes, limit).sum()) / (limit * processes)))
    while True:
        steps = [
            [step[share] for share in _spread(sizes[step], processes)]
            for step in _spread(sizes, n_steps)
        ]
        if all(len(s) < 2 or sizes[s].sum() <= limit for shares in steps for s in shares):
            return steps
        n_steps = max(n_steps + 1, n_steps * 51 // 50)


def _spread(sizes: NDArray[np.int64], n_groups: int) -> Slots:
    """Indices in groups of nearly equal sum: largest first, each to the lightest group."""
    groups: list[list[int]] = [[] for _ in range(n_groups)]
    loads = [(0, k) for k in range(n_groups)]
    for index, size in enumerate(sizes.tolist()):
        load, k = loads[0]
        groups[k].append(index)
        heapq.heapreplace(loads, (load + size, k))
    return [np.array(group, dtype=np.int64) for group in groups]


def validation_batches(edges: Sequence[int], limit: float, share: Share) -> list[list[int]]:
    """Every frame once over all processes, in order, up to `limit` edges per batch."""
    batches: list[list[int]] = [[]]
    load = 0
    for index in range(share.rank, len(edges), share.processes):
        if batches[-1] and load + edges[index] > limit:
            batches.append([])
            load = 0
        batches[-1].append(index)
        load += edges[index]
    return batches


def training_loader(samples: list[Sample], size: BatchSize, seed: int, share: Share) -> DataLoader:
    """Batches made in this process: the graphs are in memory, workers would only copy them."""
    return _loader(samples, TrainingBatches(n_edges(samples), size, seed, share))


def validation_loader(samples: list[Sample], training: DataLoader, share: Share) -> DataLoader:
    """Batches of VALID_SIZE times the mean edges that a process has in a training step."""
    step = sum(n_edges(training.dataset)) / (len(training) * share.processes)  # type: ignore[arg-type]
    return _loader(samples, validation_batches(n_edges(samples), VALID_SIZE * step, share))


def _loader(samples: list[Sample], batches: Sampler[list[int]] | list[list[int]]) -> DataLoader:
    return DataLoader(
        samples,  # type: ignore[arg-type]  # a list is a map-style data set
        batch_sampler=batches,
        collate_fn=partial(_collate_or_empty, like=samples[0]),
    )


def n_edges(samples: Sequence[Sample]) -> list[int]:
    """Edges of each frame."""
    return [s.graph.edge_index.shape[1] for s in samples]


def _collate_or_empty(samples: Sequence[Sample], like: Sample) -> Sample:
    """A process left without a frame still takes part in the step, with a batch of none."""
    if samples:
        return collate(samples)
    graph = like.graph
    return Sample(
        graph=AtomGraph(
            graph.types[:0], graph.edge_index[:, :0], graph.edge_vec[:0],
            graph.frame[:0], graph.volume[:0],
        ),
        energy=like.energy[:0],
        forces=like.forces[:0],
        stress=like.stress[:0],
        weights=like.weights[:0],
    )  # fmt: skip
