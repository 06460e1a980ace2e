"""A model file from a stranger: nothing of its code runs unless all of it is what models need."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ase import Atoms
from torch import Tensor, nn

from committees import write_committee_alone
from e3md import E3Calculator
from e3md._core import check_model_file
from e3md.lammps.runner import LammpsCase, run_lammps
from e3md.model_file import BOUND, METADATA_FILE

MakeModel = Callable[..., Path]


class Energies(nn.Module):
    """An atom's energy is a number: what the hostile modules below add something to."""

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        return torch.zeros(n_local, dtype=torch.float64)


class Operator(Energies):
    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        return torch.zeros(n_local, dtype=torch.float64).cumsum(0)


class Prints(Energies):
    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        print("harmless")
        return torch.zeros(n_local, dtype=torch.float64)


class Loops(Energies):
    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        energies = torch.zeros(n_local, dtype=torch.float64)
        for _ in range(3):
            energies = energies + energies
        return energies


class LoopsOverList(Energies):
    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        energies = torch.zeros(n_local, dtype=torch.float64)
        rows = [energies, energies]
        for row in rows:
            energies = energies + row
        return energies


class WhileSmall(Energies):
    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        energies = torch.zeros(n_local, dtype=torch.float64)
        while energies.dim() < 1:
            energies = energies + energies
        return energies


class RunsOnLoading(Energies):
    @torch.jit.export
    def __getstate__(self) -> tuple[bool, int]:
        return self.training, 3

    @torch.jit.export
    def __setstate__(self, state: tuple[bool, int]) -> None:
        print("harmless")
        self.training = state[0]


class InAnotherMethod(Energies):
    @torch.jit.export
    def tabulate(self, single: bool) -> None:
        print("harmless")


class Text(Energies):
    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        return torch.zeros(n_local + 0 * len("ab" + str(n_local)), dtype=torch.float64)


def _twice(x: Tensor) -> Tensor:
    return torch.stack([x, x]).select(0, 0)


class CallsUnknown(Energies):
    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        return _twice(torch.zeros(n_local, dtype=torch.float64)).tril(0)


class Chooses(Energies):
    """What XPLOR smoothing was made of in files of 0.1.0."""

    def __init__(self) -> None:
        super().__init__()
        self.on = 1.0

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        energies = torch.zeros(n_local, dtype=torch.float64) / self.on**2
        return torch.where(energies < self.on, torch.ones_like(energies), energies)


HOSTILE = {
    "operator": (Operator, "aten::cumsum"),
    "print": (Prints, "print"),
    "loop": (Loops, "loop"),
    "loop over a list of the code": (LoopsOverList, "loop"),
    "while": (WhileSmall, "loop"),
    "run on loading": (RunsOnLoading, "__setstate__"),
    "another method": (InAnotherMethod, "print"),
    "text": (Text, '"ab"'),
    "function": (CallsUnknown, "aten::tril"),
}


def metadata_of(path: Path) -> str:
    files = {METADATA_FILE: ""}
    torch.jit.load(str(path), _extra_files=files)
    return files[METADATA_FILE]


def disguised(module: nn.Module, good: Path, path: Path) -> Path:
    """A module with the e3md.json of a good model."""
    text = metadata_of(good)
    bound = {key: json.loads(text)[key] for key in BOUND}
    module.bound = json.dumps(bound)
    torch.jit.save(torch.jit.script(module), str(path), _extra_files={METADATA_FILE: text})
    return path


@pytest.mark.parametrize(("kind", "named"), HOSTILE.values(), ids=HOSTILE.keys())
def test_code_that_no_model_needs_is_refused_before_it_runs(
    kind: type[nn.Module], named: str, make_model: MakeModel, tmp_path: Path, capfd
) -> None:
    path = disguised(kind(), make_model(), tmp_path / "stranger.pt")
    capfd.readouterr()
    with pytest.raises(ValueError, match=r"stranger\.pt") as error:
        E3Calculator(path)
    assert named in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_lammps_refuses_it_in_the_same_words(make_model: MakeModel, tmp_path: Path) -> None:
    path = disguised(Prints(), make_model(), tmp_path / "stranger.pt")
    atoms = Atoms("LiPS", positions=[[0, 0, 0], [2, 0, 0], [0, 2, 0]], cell=[12, 12, 12], pbc=True)
    with pytest.raises(ValueError, match="print"):
        E3Calculator(path)
    with pytest.raises(Exception, match=r"stranger\.pt' does not load: .*print") as error:
        run_lammps([LammpsCase(atoms, path, ("Li", "P", "S"))], 1, tmp_path)
    assert "harmless" not in str(error.value)


@pytest.mark.parametrize(("arch", "exact"), [("nequip", True), ("mace", True), ("so3net", False)])
def test_committees_pass(arch: str, exact: bool, tmp_path: Path) -> None:
    """Single models of every option do in test_script.py."""
    check_model_file(str(write_committee_alone(tmp_path, arch, 2, exact)))


def test_what_earlier_versions_wrote_passes(make_model: MakeModel, tmp_path: Path) -> None:
    """Architectures do in test_older_files.py."""
    check_model_file(str(disguised(Chooses(), make_model(), tmp_path / "older.pt")))
