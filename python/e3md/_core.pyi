"""C++ core of e3md (cpp/bindings/module.cpp). Invalid input raises ValueError."""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Doubles = NDArray[np.float64]
_Integers = NDArray[np.int64]

class NeighborList:
    """Full neighbor list with a skin, kept between calls and rebuilt only when it must be."""

    def __init__(self, cutoff: float, skin: float = 0.0) -> None: ...
    def edges(
        self, positions: ArrayLike, cell: ArrayLike, pbc: ArrayLike
    ) -> tuple[_Integers, _Integers, NDArray[np.int32], _Doubles]: ...
    @property
    def cutoff(self) -> float: ...
    @property
    def skin(self) -> float: ...
    @property
    def n_rebuilds(self) -> int: ...

class Training:
    """What a model file says of its training, in words."""

    @property
    def quality(self) -> str: ...
    @property
    def learned(self) -> str: ...
    @property
    def unfinished(self) -> bool: ...
    @property
    def periodic(self) -> bool: ...
    @property
    def stress_untrained(self) -> bool: ...
    def unfinished_warning(self, path: str) -> str: ...
    def stress_warning(self, path: str) -> str: ...

class Metadata:
    """What e3md.json inside a model file says."""

    @property
    def format_version(self) -> int: ...
    @property
    def e3md_version(self) -> str: ...
    @property
    def torch_version(self) -> str: ...
    @property
    def architecture(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def species(self) -> list[str]: ...
    @property
    def cutoff(self) -> float: ...
    @property
    def n_layers(self) -> int: ...
    @property
    def exchange_width(self) -> int: ...
    @property
    def members(self) -> int: ...
    @property
    def training(self) -> Training: ...
    @property
    def json(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def remark(self) -> str: ...
    def type_of(self, symbol: str) -> int: ...

def read_metadata(path: str) -> Metadata: ...
def check_archive(path: str) -> None:
    """Raises ValueError, naming the record, unless a file of torch.save is as it was written."""

def check_model_file(path: str) -> None:
    """Raises ValueError unless a model file passes all that is checked before its code runs."""

def parse_metadata(json: str, path: str) -> Metadata: ...

class Evaluation(TypedDict, total=False):
    energy: float  # eV
    energies: _Doubles  # (n,) eV
    forces: _Doubles  # (n, 3) eV/Å
    virial: _Doubles  # (3, 3) eV; stress = -virial / volume
    atomic_virials: _Doubles  # (n, 3, 3) eV, only if asked for
    energy_std: float  # eV, standard deviation over the members, if these are asked for
    forces_std: _Doubles  # (n, 3) eV/Å, likewise, by component

class Potential:
    """A model file, ready to evaluate structures."""

    def __init__(
        self, path: str, device: str = "cpu", dtype: str | None = None, plan: bool = True
    ) -> None: ...
    @property
    def metadata(self) -> Metadata: ...
    @property
    def dtype(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def runs(self) -> str:
        """What evaluates, in words."""
    def use(self, types: list[int]) -> None:
        """Prepare for atoms of these species; evaluations do so for the ones they meet."""
    def evaluate_structure(
        self,
        types: ArrayLike,
        positions: ArrayLike,
        cell: ArrayLike,
        pbc: ArrayLike,
        neighbor_list: NeighborList,
        atomic_virials: bool = False,
        members: bool = False,
    ) -> Evaluation: ...
    def step_times(
        self,
        types: ArrayLike,
        positions: ArrayLike,
        cell: ArrayLike,
        pbc: ArrayLike,
        neighbor_list: NeighborList,
    ) -> list[tuple[str, float, float]]:
        """Of each step of the plan: kind, seconds forwards and backwards, by one thread."""
    def hessian(
        self,
        types: ArrayLike,
        positions: ArrayLike,
        cell: ArrayLike,
        pbc: ArrayLike,
        neighbor_list: NeighborList,
    ) -> _Doubles: ...
    def descriptors(
        self,
        types: ArrayLike,
        positions: ArrayLike,
        cell: ArrayLike,
        pbc: ArrayLike,
        neighbor_list: NeighborList,
    ) -> _Doubles: ...

def ops_without_kernel(kind: str) -> list[str]:
    """Names of the ops that have no kernel for "cpu" or "cuda"."""

def force_references(on: bool) -> None:
    """Have every op run its reference, in torch operations, instead of its kernel: slow."""

def references_forced() -> bool:
    """Whether they are, by `force_references` or E3MD_REFERENCE=1 in the environment."""

def ops_in_use() -> str:
    """What evaluates models on the CPU, as in "kernels (avx512)"."""

def missing_cuda() -> str:
    """What keeps models from running on CUDA here, as the end of a sentence; empty: nothing."""

def prefers_cuda() -> bool:
    """Whether CUDA is there with every kernel, so that it may be chosen unasked."""

def lammps_units(style: str) -> tuple[float, float]:
    """(eV per energy unit, Å per length unit) of a LAMMPS unit style."""
