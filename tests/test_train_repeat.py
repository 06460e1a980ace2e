"""The same recipe, seed and thread count give the same weights, to the last bit."""

from pathlib import Path

import ase.io
import pytest
import torch
import yaml

from e3md.train.checkpoint import load_run
from training_data import labelled_frames, write_run


def _train(folder: Path, threads: int) -> dict[str, torch.Tensor]:
    """Four steps on 64 atoms each with a network wide enough that threads share the work."""
    from e3md.train.run import train

    path = write_run(folder, max_epochs=1, threads=threads)
    frames = [atoms.repeat(2) for atoms in labelled_frames(8)]
    for atoms, small in zip(frames, labelled_frames(8), strict=True):
        calculator = small.calc
        calculator.results = {
            "energy": 8 * small.get_potential_energy(),
            "forces": torch.tensor(small.get_forces()).repeat(8, 1).numpy(),
        }
        calculator.atoms = atoms.copy()
        atoms.calc = calculator
    ase.io.write(folder / "train.xyz", frames, format="extxyz")
    settings = yaml.safe_load(path.read_text())
    settings["data"] = {"train": ["train.xyz"], "valid": ["test.xyz"]}
    settings["model"] = {"n_layers": 2, "l_max": 2}
    path.write_text(yaml.safe_dump(settings))
    return load_run(train(path))[0].state_dict()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_second_run_has_the_same_weights(tmp_path: Path, threads: int) -> None:
    before = torch.get_num_threads()
    try:
        one, two = (_train(tmp_path / name, threads) for name in ("one", "two"))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name
