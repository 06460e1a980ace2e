"""Several processes train as one process with their joint batch would."""

import os
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator

from e3md.train.checkpoint import load_run
from e3md.train.report import read_metrics
from e3md.train.run import METRICS, train
from training_data import write_run


def _frames_of_unlike_size(n_frames: int) -> list[Atoms]:
    """Of 4 to 12 atoms, every third without stress."""
    rng = np.random.default_rng(0)
    frames = []
    for k in range(n_frames):
        atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat((1 + k % 3, 1, 1))
        atoms.numbers[rng.integers(0, len(atoms), 2)] = 36
        atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.05, rc=5.0, smooth=True)
        names = ("energy", "forces") if k % 3 == 0 else ("energy", "forces", "stress")
        labels = {name: atoms.calc.get_property(name, atoms) for name in names}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


def _write(folder: Path, **training: object) -> Path:
    """A run of three steps of four frames and one of one, per epoch."""
    config = write_run(folder, dtype="float64", threads=1, max_epochs=3, **training)
    ase.io.write(folder / "train.xyz", _frames_of_unlike_size(13), format="extxyz")
    ase.io.write(folder / "valid.xyz", _frames_of_unlike_size(4), format="extxyz")
    settings = yaml.safe_load(config.read_text())
    settings["data"] = {"train": ["train.xyz"], "valid": ["valid.xyz"]}
    config.write_text(yaml.safe_dump(settings))
    return config


def _command(config: Path, *options: str) -> subprocess.CompletedProcess:
    """`e3md train` in a process of its own: Lightning starts the others from its command line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "e3md", "train", str(config), *options]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


SIZES = pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"batch_size": 4}, {"batch_size": 2}),
        ({"batch_edges": 800}, {"batch_edges": 400}),
    ],
    ids=["frames", "edges"],
)


@SIZES
def test_two_processes_train_as_one_with_twice_the_batch(tmp_path, one: dict, two: dict) -> None:
    alone = train(_write(tmp_path / "one", **one))
    done = _command(_write(tmp_path / "two", devices=2, **two))
    assert done.returncode == 0, done.stderr
    shared = tmp_path / "two" / "run"
    curves = [read_metrics(run / METRICS) for run in (alone, shared)]
    for key in ("train_loss", "valid_loss", "valid_forces_mae", "valid_energy_mae"):
        assert len(curves[0][key]) == 3
        np.testing.assert_allclose(curves[1][key], curves[0][key], rtol=1e-9, err_msg=key)
    weights = [load_run(run)[0].state_dict() for run in (alone, shared)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-7, atol=1e-9, msg=name)
    assert done.stdout.count("epoch 3/3") == 1, "every process printed"
    assert "2 process(es) of 1 thread(s)" in (shared / "report" / "report.md").read_text()


def test_a_shared_run_resumes_and_a_diverging_one_ends(tmp_path: Path) -> None:
    config = _write(tmp_path, devices=2)
    assert _command(config).returncode == 0
    config.write_text(config.read_text().replace("max_epochs: 3", "max_epochs: 5"))
    resumed = _command(config, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 5/5" in resumed.stdout
    assert "epoch 3/5" not in resumed.stdout
    wild = _write(
        tmp_path / "wild", devices=2, learning_rate=1e30, warmup_steps=0, gradient_clip=1e30
    )
    done = _command(wild)
    assert done.returncode != 0
    assert "lower training.learning_rate" in done.stderr
