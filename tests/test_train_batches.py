"""Batches hold every frame once, keep their limit, and depend on seed, epoch and share alone."""

import numpy as np
import pytest
import torch

from conftest import random_statistics, random_structure, small_config
from e3md.data.batches import (
    BatchSize,
    Share,
    TrainingBatches,
    training_loader,
    validation_batches,
    validation_loader,
)
from e3md.data.dataset import Sample, collate
from e3md.derivatives import predict
from e3md.model import build_model
from e3md.neighbors import atoms_to_graph
from e3md.train.config import LossConfig
from e3md.train.loss import loss

SPECIES = ("Li", "P", "S")
EVEN, PACKED = BatchSize(3), BatchSize(3, edges=2000)


def _edges(n_frames: int = 101) -> list[int]:
    """Between 20 and 1500 edges per frame."""
    rng = np.random.default_rng(0)
    return np.exp(rng.uniform(np.log(20), np.log(1500), n_frames)).astype(int).tolist()


def _epoch(batches: TrainingBatches, epoch: int) -> list[list[int]]:
    batches.set_epoch(epoch)
    return list(batches)


@pytest.mark.parametrize("size", [EVEN, PACKED])
@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_frame_once_in_as_many_steps_on_every_process(size, processes) -> None:
    edges = _edges()
    for epoch in (0, 7):
        shares = [
            _epoch(TrainingBatches(edges, size, 3, Share(rank, processes)), epoch)
            for rank in range(processes)
        ]
        assert len({len(steps) for steps in shares}) == 1
        seen = [index for steps in shares for batch in steps for index in batch]
        assert sorted(seen) == list(range(len(edges)))


@pytest.mark.parametrize("size", [EVEN, PACKED])
def test_order_depends_on_seed_and_epoch_alone(size) -> None:
    one, two = (TrainingBatches(_edges(), size, seed=3) for _ in range(2))
    first = _epoch(one, 0)
    later = _epoch(one, 1)
    assert later != first
    assert _epoch(two, 1) == later
    assert _epoch(one, 0) == first
    assert _epoch(TrainingBatches(_edges(), size, seed=4), 0) != first


@pytest.mark.parametrize("processes", [1, 3])
def test_packed_batches_are_full_but_never_above_the_limit(processes) -> None:
    edges = np.array(_edges(1000))
    batches = [
        TrainingBatches(edges, PACKED, 1, Share(rank, processes)) for rank in range(processes)
    ]
    sums = np.array([[edges[b].sum() for b in _epoch(some, 2)] for some in batches])
    assert sums.max() <= 2000
    assert sums.mean() > 0.9 * 2000
    assert sums.std() < 0.05 * 2000


def test_a_frame_above_the_limit_is_alone() -> None:
    batches = _epoch(TrainingBatches([100, 5000, 100, 300], BatchSize(9, edges=500), 1), 0)
    assert sorted(sorted(b) for b in batches) == [[0, 2, 3], [1]]


def test_packed_batches_mix_anew_in_every_epoch() -> None:
    """Neighbors in a batch change: not the same few batches in another order."""
    batches = TrainingBatches(_edges(300), PACKED, 1)
    together = [{frozenset(batch) for batch in _epoch(batches, e)} for e in (0, 1)]
    assert len(together[0] & together[1]) < 0.1 * len(together[0])


@pytest.mark.parametrize("size", [EVEN, PACKED])
def test_two_processes_share_the_steps_of_one_with_twice_the_batch(size) -> None:
    double = BatchSize(2 * size.frames, size.edges and 2 * size.edges)
    whole = _epoch(TrainingBatches(_edges(), double, 3), 4)
    halves = [_epoch(TrainingBatches(_edges(), size, 3, Share(rank, 2)), 4) for rank in (0, 1)]
    assert len(whole) == len(halves[0])
    for step, one, two in zip(whole, *halves, strict=True):
        assert sorted(one + two) == sorted(step)


def test_validation_sees_every_frame_once_up_to_the_limit() -> None:
    edges = _edges()
    shares = [validation_batches(edges, 3000, Share(rank, 3)) for rank in range(3)]
    assert sorted(k for share in shares for batch in share for k in batch) == list(range(101))
    assert all(sum(edges[k] for k in b) <= 3000 for share in shares for b in share)
    assert validation_batches([10], 3000, Share(1, 2)) == [[]]


def _samples(sizes: list[int]) -> list[Sample]:
    samples = []
    for seed, n in enumerate(sizes):
        graph = atoms_to_graph(random_structure(n, seed), SPECIES, 4.0, torch.float64)
        rng = torch.Generator().manual_seed(seed)
        labels = (torch.randn(shape, generator=rng).double() for shape in ((1,), (n, 3)))
        stress = torch.randn((1, 3, 3), generator=rng).double() * 0.01
        stress = stress if seed % 2 else stress * float("nan")
        weights = 0.5 + torch.rand((1, 3), generator=rng).double()
        samples.append(Sample(graph, *labels, stress, weights))
    return samples


@pytest.mark.parametrize("arch", ["nequip", "mace", "schnet", "so3net"])
def test_a_process_without_a_frame_adds_nothing(arch: str) -> None:
    """Three frames, batches of two, two processes: none is left for the second in the last step."""
    loader = training_loader(_samples([4, 4, 4, 4, 5]), BatchSize(2), 1, Share(1, 2))
    empty = list(loader)[-1]
    assert len(empty.energy) == 0
    model = build_model(small_config(arch, zbl=True), random_statistics(SPECIES), torch.float64)
    counts = torch.tensor([1.0, 15.0, 9.0], dtype=torch.float64)
    value = loss(predict(model, empty.graph, True), empty, LossConfig(), 1.0, counts)
    value.backward()
    assert value.item() == 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert not parameter.grad.any(), name


@pytest.mark.parametrize("function", ["mse", "huber"])
def test_the_mean_over_shares_is_the_loss_of_the_whole_batch(function: str) -> None:
    """Frames of unlike size, some without stress, unlike numbers of frames per share."""
    samples = _samples([3, 9, 4, 12, 5])
    model = build_model(small_config("nequip"), random_statistics(SPECIES), torch.float64)
    weights, scale = LossConfig(function=function), 0.7

    def value(chosen: list[Sample], counts: torch.Tensor | None) -> float:
        batch = collate(chosen)
        return loss(predict(model, batch.graph), batch, weights, scale, counts).item()

    whole = value(samples, None)
    mean_counts = torch.tensor([5, 3 * 33, 9 * 2]).double() / 2
    shares = [value(samples[:2], mean_counts), value(samples[2:], mean_counts)]
    assert np.mean(shares) == pytest.approx(whole, rel=1e-12)
    assert np.mean([value(samples[:2], None), value(samples[2:], None)]) != pytest.approx(whole)


def test_validation_batches_are_larger_than_training_batches() -> None:
    samples = _samples([5] * 24)
    training = training_loader(samples, BatchSize(2), 1, Share())
    valid = validation_loader(samples, training, Share())
    assert len(training) == 12
    assert len(valid) <= 4
