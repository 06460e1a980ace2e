"""ASE calculator over the C++ Potential."""

import logging
import os
import warnings
from collections.abc import Sequence
from copy import copy, deepcopy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.data import atomic_numbers, chemical_symbols
from ase.outputs import Properties, all_outputs
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

import e3md.ops  # noqa: F401  loads libe3md before _core asks for it
from e3md._core import Metadata, NeighborList, Potential, Training
from e3md.loaded import load_potential
from e3md.neighbors import cell_volume
from e3md.paths import expand
from e3md.threads import suited_to

# A forked process (a multiprocessing.Pool, on Linux) inherits OpenMP's threads as memory only and
# would wait for them forever; with one thread it never asks for them.
os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

_log = logging.getLogger("e3md")
_NEED_VOLUME = {"stress", "stresses"}
_OF_COMMITTEES: tuple[Literal["energy_std"], Literal["forces_std"]] = ("energy_std", "forces_std")
# Shared or made anew in copies; the last is a method that ASE binds to the calculator it belongs to.
_NOT_CARRIED = {"_potential", "_neighbor_list", "get_spin_polarized"}


class NotFinished(UserWarning):
    """A model file of a training that has not ended."""


class StressNotTrained(UserWarning):
    """A stress was asked of a model that learned energies and forces alone."""


class E3Calculator(Calculator):
    """Energies, forces and stresses of a model file written by `e3md export`.

    Energy eV, forces eV/Å, stress eV/Å³ in ASE's sign (positive is tensile) and Voigt order.
    `stresses` are -W_i/V, with the virial of an edge given to the atom at its far end; they sum to
    the stress. V is the volume of the cell, whichever directions are periodic: the stress of slabs
    and of molecules in a box is dE/dε / V as well. Without three cell vectors there is none.

    The file of a committee gives means over its members, and with every evaluation also
    `energy_std` (eV, of the whole structure) and `forces_std` ((n_atoms, 3) eV/Å, by component): the
    standard deviation over the members, sqrt(⟨(v - ⟨v⟩)²⟩).

    Copies (copy.copy, copy.deepcopy, pickle) keep the results. All calculators of a process on one
    file share the potential, in memory once. One calculator belongs to one thread at a time, as
    its results and its neighbor list change; copies may run in threads of their own at once.

    How good the model is goes to the log "e3md" (level INFO). A file of an unfinished training is
    warned of (NotFinished), and once a calculator a stress that was never trained (StressNotTrained).

    Args:
        model: model file.
        device: "cpu", "cuda" or "cuda:N".
        dtype: "float32" or "float64", arithmetic of the network; default: the file's.
        skin: Å; neighbors are searched anew only after an atom has moved half of it.
        default_dtype: the name that dtype has in other packages; give one of them.

    Raises:
        ValueError: for a model file, device, or structure that cannot be used, and for two
            different dtypes; the text says why.
    """

    implemented_properties = [  # noqa: RUF012  as ASE declares it
        "energy", "free_energy", "energies", "forces", "stress", "stresses",
    ]  # fmt: skip

    def __init__(
        self,
        model: str | Path,
        device: str = "cpu",
        dtype: str | None = None,
        skin: float = 0.5,
        default_dtype: str | None = None,
    ) -> None:
        super().__init__()
        path, dtype = str(expand(model).resolve()), _one_dtype(dtype, default_dtype)
        potential = load_potential(path, device, dtype)
        _announce(potential.metadata)
        self._set_up(potential, (path, device, dtype, skin))

    def _set_up(self, potential: Potential, arguments: tuple[Any, ...]) -> None:
        self._potential = potential
        self._arguments = arguments
        if self.members > 1:
            self.implemented_properties = [*self.implemented_properties, *_OF_COMMITTEES]
        self._neighbor_list = NeighborList(potential.metadata.cutoff, arguments[-1])
        self._numbers: NDArray[np.integer] = np.zeros(0, dtype=int)
        self._types: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._stress_told = False  # that it was never trained

    def _carried(self) -> dict[str, Any]:
        """What a copy takes along: all but what it shares or has to have of its own."""
        own = {"results": dict(self.results), "parameters": copy(self.parameters)}
        return {key: v for key, v in self.__dict__.items() if key not in _NOT_CARRIED} | own

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._arguments), self._carried()

    def __copy__(self) -> "E3Calculator":
        twin = _twin(type(self), self._potential, self._arguments)
        twin.__dict__.update(self._carried())
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> "E3Calculator":
        twin = _twin(type(self), self._potential, self._arguments)
        memo[id(self)] = twin  # what is carried may lead back here
        twin.__dict__.update(deepcopy(self._carried(), memo))
        return twin

    @property
    def cutoff(self) -> float:
        """Cutoff of the model, Å."""
        return self._potential.metadata.cutoff

    @property
    def species(self) -> list[str]:
        """Chemical symbols the model was trained on."""
        return self._potential.metadata.species

    @property
    def allowed_atomic_numbers(self) -> set[int]:
        """Atomic numbers of `species`."""
        return {atomic_numbers[symbol] for symbol in self.species}

    @property
    def members(self) -> int:
        """Models whose mean the file gives; more than 1: a committee."""
        return self._potential.metadata.members

    @property
    def training(self) -> Training:
        """What the file says of its training, in words."""
        return self._potential.metadata.training

    @property
    def runs(self) -> str:
        """What evaluates the model, in words: its plan of steps, or TorchScript and why."""
        return self._potential.runs

    @property
    def dtype(self) -> str:
        """Arithmetic of the network, "float32" or "float64"."""
        return self._potential.dtype

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation; called by ASE before it gives any result.

        As in ASE, whose own comparison takes longer than many a step of few atoms: it is left what
        is neither at rest nor a step of molecular dynamics.
        """
        before = self.atoms
        if not isinstance(before, Atoms) or self.ignored_changes or not _only_moved(before, atoms):
            return super().check_state(atoms, tol)
        at_rest = (np.abs(before.positions - atoms.positions) <= tol).all()
        return [] if at_rest else ["positions"]

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """A result; called by ASE. Warns once where a stress is asked for that was never trained.

        Writers of trajectories ask for all there is without allow_calculation: nobody uses that yet.
        """
        if name in _NEED_VOLUME and allow_calculation and not self._stress_told:
            self._stress_told = True
            metadata = self._potential.metadata
            line = metadata.training.stress_warning(metadata.path)
            if line:
                warnings.warn(line, StressNotTrained, stacklevel=3)
        return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fill `results`; called by ASE."""
        super().calculate(atoms, properties, system_changes)
        assert isinstance(self.atoms, Atoms)
        wanted = _NEED_VOLUME.intersection(properties or ())
        with suited_to(len(self.atoms)):
            found = self._potential.evaluate_structure(
                *self._structure(self.atoms),
                atomic_virials="stresses" in wanted,
                members=self.members > 1,
            )
        self.results = {"energy": found["energy"], "free_energy": found["energy"]}
        self.results |= {"energies": found["energies"], "forces": found["forces"]}
        if self.members > 1:
            self.results |= {key: found[key] for key in _OF_COMMITTEES}
        volume = cell_volume(self.atoms.cell.array)
        if np.isfinite(volume):
            self.results["stress"] = full_3x3_to_voigt_6_stress(-found["virial"] / volume)
            if "stresses" in wanted:
                stresses = -found["atomic_virials"] / volume
                self.results["stresses"] = full_3x3_to_voigt_6_stress(stresses)
        elif wanted:
            raise PropertyNotImplementedError(_no_volume(sorted(wanted), self.atoms))

    def get_atomic_volumes(self) -> NDArray[np.float64]:
        """The volume each atom's `stresses` were divided by: that of the cell, (n_atoms,) Å³.

        Atoms.get_stresses(include_ideal_gas=True) asks for it. Without it ASE divides the kinetic
        part by V/n_atoms, and adds n_atoms times too much to shares that sum to the stress.

        Raises:
            PropertyNotImplementedError: before a calculation, or for a cell without a volume.
        """
        if not isinstance(self.atoms, Atoms):
            raise PropertyNotImplementedError("atomic volumes: nothing has been calculated yet")
        volume = cell_volume(self.atoms.cell.array)
        if not np.isfinite(volume):
            raise PropertyNotImplementedError(_no_volume(["atomic volumes"], self.atoms))
        return np.full(len(self.atoms), volume)

    def export_properties(self) -> Properties:
        """The results that ASE has a name for; called by Atoms.get_properties."""
        return Properties({key: self.results[key] for key in self.results if key in all_outputs})

    def get_hessian(self, atoms: Atoms) -> NDArray[np.float64]:
        """Second derivatives of the energy, (3 n_atoms, 3 n_atoms) eV/Å², analytic."""
        with suited_to(len(atoms)):
            return self._potential.hessian(*self._structure(atoms))

    def get_descriptors(self, atoms: Atoms) -> NDArray[np.float64]:
        """Invariant features of each atom's environment, (n_atoms, n_features)."""
        with suited_to(len(atoms)):
            return self._potential.descriptors(*self._structure(atoms))

    def _structure(self, atoms: Atoms) -> tuple[NDArray, NDArray, NDArray, NDArray, NeighborList]:
        """Arguments of the Potential's methods."""
        if not np.array_equal(atoms.numbers, self._numbers):
            metadata = self._potential.metadata
            type_of = {
                number: metadata.type_of(chemical_symbols[number])
                for number in np.unique(atoms.numbers)
            }
            self._types = np.array([type_of[n] for n in atoms.numbers], dtype=np.int64)
            self._numbers = atoms.numbers.copy()
        return self._types, atoms.positions, atoms.cell.array, atoms.pbc, self._neighbor_list


def _only_moved(before: Atoms, after: Atoms) -> bool:
    """Whether all that ASE compares is the same but for positions, of as many atoms."""
    if not (
        np.array_equal(before.numbers, after.numbers)
        and np.array_equal(before.cell.array, after.cell.array)
        and np.array_equal(before.pbc, after.pbc)
    ):
        return False
    arrays = before.arrays, after.arrays
    return not any(key in own for own in arrays for key in ("initial_charges", "initial_magmoms"))


def _twin(
    kind: type[E3Calculator], potential: Potential, arguments: tuple[Any, ...]
) -> E3Calculator:
    """A calculator on a potential that is there already, with a neighbor list of its own."""
    twin = kind.__new__(kind)
    Calculator.__init__(twin)
    twin._set_up(potential, arguments)
    return twin


def _reopen(kind: type[E3Calculator], arguments: tuple[Any, ...]) -> E3Calculator:
    """For pickle: the file is loaded if this process does not have it in use."""
    path, device, dtype, _ = arguments
    return _twin(kind, load_potential(path, device, dtype), arguments)


def _one_dtype(dtype: str | None, default_dtype: str | None) -> str | None:
    """The arithmetic asked for under either name."""
    if dtype is None or default_dtype is None or dtype == default_dtype:
        return default_dtype if dtype is None else dtype
    raise ValueError(
        f"dtype={dtype!r} and default_dtype={default_dtype!r} are two names of one thing, the "
        "arithmetic of the network: give one of them"
    )


def _announce(metadata: Metadata) -> None:
    """How good the model is, to the log; a warning where it should not be relied on as it is."""
    known = metadata.training
    _log.info("%s: %s. Learned: %s", metadata.path, known.quality, known.learned)
    unfinished = known.unfinished_warning(metadata.path)
    if metadata.remark:
        warnings.warn(metadata.remark, stacklevel=3)
    if unfinished:
        warnings.warn(unfinished, NotFinished, stacklevel=3)


def _no_volume(wanted: Sequence[str], atoms: Atoms) -> str:
    """Why there is no volume to divide by, and what to set."""
    missing = tuple(np.flatnonzero(~atoms.cell.mask()).tolist())
    if not missing:
        return (
            f"{' and '.join(wanted)}: the cell has no volume, its three vectors lie in one plane. "
            "Set a third direction in atoms.cell"
        )
    return (
        f"{' and '.join(wanted)}: the cell has {3 - len(missing)} of three vectors, hence no volume "
        "to divide by. Set the missing ones in atoms.cell, or add vacuum by "
        f"atoms.center(vacuum=10.0, axis={missing}): neither pbc nor the energy changes"
    )
