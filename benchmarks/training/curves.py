"""The first losses of a peer and of e3md from the same weights, with the same optimizer."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import torch
from cases import Case, Setup, command, environment
from ours import pull_back

from e3md.convert.extract import neutral_file
from e3md.convert.neutral import Neutral

INITIAL = "initial.safetensors"


class Curves(NamedTuple):
    """Loss of every step, before it is taken."""

    peer: list[float]
    e3md: list[float]

    @property
    def difference(self) -> float:
        """The largest relative one."""
        return max(abs(a - b) / abs(a) for a, b in zip(self.peer, self.e3md, strict=True))


def train_both(case: Case, setup_path: Path, environments: Path, exact: bool = False) -> Curves:
    """20 steps of each. The initial weights are left in INITIAL, in neutral form.

    Raises:
        RuntimeError: with what the peer said, if it fails.
    """
    setup, folder = Setup.read(setup_path), setup_path.parent
    batches = setup.batches(torch.float64, setup.steps)
    arguments = command(
        case, environments, "curve", str(setup_path.resolve()), str(folder.resolve())
    )
    with (folder / "peer.log").open("w") as log, subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        env=environment(),
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        losses: list[float] = []
        line = ""
        for line in process.stdout:
            if line != "weights\n":
                continue
            neutral = _read(folder / "weights.safetensors")
            if not losses:
                shutil.copy(folder / "weights.safetensors", folder / INITIAL)
            value, gradients = pull_back(neutral, setup, batches[len(losses)], exact)
            losses.append(value)
            arrays = {name: g.numpy() for name, g in gradients.items()}
            neutral_file.write(folder / "gradients.safetensors", {}, arrays)
            process.stdin.write("\n")
            process.stdin.flush()
    if process.returncode:
        raise RuntimeError((folder / "peer.log").read_text()[-2000:])
    return Curves(json.loads(line), losses)


def _read(path: Path) -> Neutral:
    """Weights that the peer trains ask for their gradient."""
    header, _ = neutral_file.read(path)
    neutral = Neutral.read(path)
    for name in header["trained"]:
        neutral.weights[name].requires_grad_()
    return neutral
