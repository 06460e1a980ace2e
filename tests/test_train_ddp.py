"""Several processes train as one process with their joint batch would."""

import os
import socket
import subprocess
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
from program import Program
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


def _command(
    config: Path, *options: str, nodes: list[dict[str, str]] | None = None
) -> subprocess.CompletedProcess:
    """`e3md train`, once per node, in processes of its own; returns what the first one says.

    Lightning starts the other processes of a node from the command line.
    """
    started = [
        Program("train", str(config), *options, folder=config.parent, env={**os.environ, **node})
        for node in nodes or [{}]
    ]
    try:
        said = [process.communicate(timeout=600) for process in started]
    finally:
        for process in started:
            process.kill()
    assert not any(out for out, _ in said[1:]), "another node printed"
    status = max(process.returncode or 0 for process in started)
    return subprocess.CompletedProcess(["e3md", "train"], status, *said[0])


def _two_nodes() -> list[dict[str, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    master = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{**master, "NODE_RANK": str(rank)} for rank in range(2)]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"batch_size": 4}, {"batch_size": 2, "devices": 2}),
        ({"batch_edges": 800}, {"batch_edges": 400, "num_nodes": 2}),
    ],
    ids=["devices", "nodes"],
)
def test_two_processes_train_as_one_with_twice_the_batch(tmp_path, one: dict, two: dict) -> None:
    alone = train(_write(tmp_path / "one", **one))
    nodes = _two_nodes() if "num_nodes" in two else None
    done = _command(_write(tmp_path / "two", **two), nodes=nodes)
    assert done.returncode == 0, done.stderr
    shared = tmp_path / "two" / "run"
    curves = [read_metrics(run / METRICS) for run in (alone, shared)]
    assert len(curves[0]) == 12
    for key in set(curves[0]) - {"learning_rate"}:
        assert len(curves[0][key]) == 3
        np.testing.assert_allclose(curves[1][key], curves[0][key], rtol=1e-9, err_msg=key)
    weights = [load_run(run)[0].state_dict() for run in (alone, shared)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-7, atol=1e-9, msg=name)
    assert done.stdout.count("epoch 3/3") == 1, "every process printed"
    assert "2 process(es) of 1 thread(s)" in (shared / "report" / "report.md").read_text()


def test_a_run_begun_alone_is_resumed_by_two(tmp_path: Path) -> None:
    alone = {"batch_size": 4, "schedule": "plateau"}
    whole = train(_write(tmp_path / "whole", **alone))
    config = _write(tmp_path / "resumed", **alone)
    config.write_text(config.read_text().replace("max_epochs: 3", "max_epochs: 2"))
    resumed = train(config)
    done = _command(
        _write(tmp_path / "resumed", **{**alone, "batch_size": 2}, devices=2), "--resume"
    )
    assert done.returncode == 0, done.stderr
    assert "epoch 2/3" not in done.stdout
    curves = [read_metrics(run / METRICS)["valid_loss"] for run in (whole, resumed)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-9)


def test_a_diverging_run_ends_on_every_process(tmp_path: Path) -> None:
    wild = {"learning_rate": 1e30, "warmup_steps": 0, "gradient_clip": 1e30}
    done = _command(_write(tmp_path, devices=2, **wild))
    assert done.returncode != 0
    assert "lower training.learning_rate" in done.stderr
