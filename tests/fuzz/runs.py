"""Checkpoints and graph caches of a run, damaged: each is refused by name or reads as it was."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from e3md.files import load_archive
from e3md.train.checkpoint import BEST, LAST, load_run
from e3md.train.run import train
from fuzz.runner import Case
from training_data import write_run

KINDS = ("bits", "byte run", "cut", "zeros", "swapped blocks")


def cases(folder: Path) -> Callable[[int], Case]:
    """Damage to best.ckpt, which is loaded as for export, to last.ckpt and to a cache."""
    run = train(write_run(folder, max_epochs=1, threads=1))
    files = [run / BEST, run / LAST, *sorted((run / "cache").iterdir())[:1]]
    sound = [path.read_bytes() for path in files]
    uses = [lambda path: load_run(path.parent)[0].state_dict(), load_archive, load_archive]
    results = [use(path) for use, path in zip(uses, files, strict=True)]
    for path in files:
        path.unlink()

    def case(seed: int) -> Case:
        rng = np.random.default_rng(seed)
        which, kind = int(rng.integers(len(files))), str(rng.choice(KINDS))
        files[which].write_bytes(damage(sound[which], kind, rng))
        return Case(
            seed, kind, files[which],
            lambda: same(uses[which](files[which]), results[which]), files[which].name,
        )  # fmt: skip

    return case


def damage(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """The data with one fault of a kind."""
    damaged, at = bytearray(data), int(rng.integers(len(data)))
    length = int(rng.integers(1, 4096))
    if kind == "bits":
        for place in rng.integers(0, 8 * len(data), rng.integers(1, 4)):
            damaged[place // 8] ^= 1 << int(place % 8)
    elif kind == "byte run":
        damaged[at : at + length] = rng.bytes(len(damaged[at : at + length]))
    elif kind == "cut":
        del damaged[at:]
    elif kind == "zeros":  # as a file system may leave after a power cut
        damaged[at:] = bytes(len(damaged) - at)
    else:
        other = int(rng.integers(len(data)))
        length = min(length, len(data) - max(at, other))
        one, two = (bytes(damaged[k : k + length]) for k in (at, other))
        damaged[at : at + length], damaged[other : other + length] = two, one
    return bytes(damaged)


def same(one: object, other: object) -> bool:
    """Of nested containers, tensors by bits: NaN stands for no label."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(
            one.contiguous().reshape(-1).view(torch.uint8),
            other.contiguous().reshape(-1).view(torch.uint8),
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
