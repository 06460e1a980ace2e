"""Pairs of atoms nearer than any in the data: how far the forms of a model differ there.

A model has three forms: the exact network, its tables in a model file, and what training evaluates.
Two atoms alone tell them apart at every distance, in the precision that a file is run in.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from e3md.model.architecture import Reach
from e3md.model.build import set_dtype

NEAREST = 0.02  # Å, below the first knot of all tables
N_DISTANCES = 60
MOST_PAIRS = 30  # of species
TOGETHER = 3  # of these where pairs have tables of their own, which are then few
TOLERANCES = {"float32": 1e-4, "float64": 1e-8}
LEARNED = 1e-5  # what training's form promises


@dataclass(frozen=True)
class ShortRange:
    """Where the force between two atoms is the exact network's.

    Errors are relative to the largest force of the pair at that distance or beyond, the largest of all
    pairs of species.
    """

    tolerance: dict[str, float]  # by dtype
    right_from: dict[str, float]  # Å, by dtype: the error is below the tolerance from here on
    distance: list[float]  # Å
    error: dict[str, list[float]]  # by dtype, at each distance


@dataclass(frozen=True)
class Learned:
    """Where training's form of the model is the network, errors as in ShortRange."""

    shortest_distance: float  # Å, in the data
    error: float  # from there to the cutoff
    right_from: float  # Å, to LEARNED
    error_at_half: float  # at half the shortest distance


class Dimers(NamedTuple):
    """Pairs of atoms at every distance, as one graph; the distances of a pair follow one another."""

    distance: Tensor  # (n_distances,) float64 Å, increasing
    types: Tensor  # (n_atoms,) int64
    edge_index: Tensor  # (2, n_atoms) int64
    edge_vec: Tensor  # (n_atoms, 3) float64 Å, exact in float32


def short_range(models: Sequence[nn.Module], cutoff: float, n_species: int) -> ShortRange:
    """The largest errors of the models, of the members of a committee, as files are run."""
    dimers = make_dimers(cutoff, n_species)
    errors: dict[str, Tensor] = {}
    for model in models:
        for dtype in TOLERANCES:

            def as_run(form: Any, dtype: str = dtype) -> torch.dtype:
                form.tabulate(dtype == "float32")
                run: torch.dtype = getattr(torch, dtype)
                set_dtype(form, run)
                return run

            found, exact = compare(model, dimers, as_run)
            error = relative_errors(found, exact, dimers.distance, 0.5 * cutoff)
            errors[dtype] = torch.maximum(error, errors.get(dtype, error))
    shown = range(0, N_DISTANCES, 6)
    return ShortRange(
        TOLERANCES,
        {dtype: right_from(errors[dtype], dimers.distance, TOLERANCES[dtype]) for dtype in errors},
        [round(float(dimers.distance[k]), 4) for k in shown],
        {dtype: [_digits(errors[dtype][k]) for k in shown] for dtype in errors},
    )


def learned(models: Sequence[nn.Module], reach: Reach, n_species: int) -> Learned:
    """Training's form of models, of the members of a committee, against the exact networks."""
    errors = torch.zeros((), dtype=torch.float64)
    dimers = make_dimers(reach.cutoff, n_species)

    def as_trained(form: Any) -> torch.dtype:
        form.learn(reach)
        return torch.float64

    for model in models:
        found, wanted = compare(model, dimers, as_trained)
        error = relative_errors(found, wanted, dimers.distance, reach.shortest)
        errors = torch.maximum(errors, error)
    beyond = dimers.distance >= reach.shortest
    half = (dimers.distance - 0.5 * reach.shortest).abs().argmin()
    return Learned(
        reach.shortest,
        _digits(errors[beyond].max()),
        right_from(errors, dimers.distance, LEARNED),
        _digits(errors[half]),
    )


def compare(
    model: Any, dimers: Dimers, change: Callable[[Any], torch.dtype]
) -> tuple[Tensor, Tensor]:
    """Forces as `dimer_forces` gives them, of another form of a model and of its exact networks.

    change: makes a copy of the model, in float64, that form of itself, and gives its dtype.
    """
    exact = copy.deepcopy(model).double()
    found: list[Tensor] = []
    wanted: list[Tensor] = []
    for part in parts(dimers, TOGETHER if model.edge_embedding.of_pairs else MOST_PAIRS):
        form = copy.deepcopy(exact)
        form.use(part.types)
        wanted.append(dimer_forces(exact, part, torch.float64))
        found.append(dimer_forces(form, part, change(form)))
    return torch.cat(found), torch.cat(wanted)


def parts(dimers: Dimers, n: int) -> list[Dimers]:
    """The same, n pairs of species at a time."""
    size = 2 * N_DISTANCES * n
    return [
        Dimers(
            dimers.distance,
            dimers.types[k : k + size],
            dimers.edge_index[:, k : k + size] - k,
            dimers.edge_vec[k : k + size],
        )
        for k in range(0, len(dimers.types), size)
    ]


def make_dimers(cutoff: float, n_species: int) -> Dimers:
    """All pairs of species, or of many species each with itself and some with the next."""
    distance = torch.logspace(math.log10(NEAREST), math.log10(cutoff), N_DISTANCES + 1).double()[
        :-1
    ]
    pairs = list(combinations_with_replacement(range(n_species), 2))
    pairs.sort(key=lambda pair: pair[1] - pair[0])
    pairs = pairs[:MOST_PAIRS]
    atoms = torch.arange(2 * N_DISTANCES * len(pairs)).view(-1, 2)
    types = torch.tensor(pairs)[:, None].expand(-1, N_DISTANCES, -1).flatten()
    direction = torch.tensor([[0.48, 0.6, 0.64], [-0.48, -0.6, -0.64]])  # of both edges
    edge_vec = (distance.float()[:, None, None] * direction).flatten(0, 1).repeat(len(pairs), 1)
    edge_index = torch.stack([atoms.flatten(), atoms.flip(1).flatten()])
    return Dimers(distance, types, edge_index, edge_vec.double())


def dimer_forces(model: Any, dimers: Dimers, dtype: torch.dtype) -> Tensor:
    """Of the first atom of each pair, (n_pairs, n_distances, 3) float64 eV/Å."""
    edge_vec = dimers.edge_vec.to(dtype).requires_grad_()
    energy = model(dimers.types, dimers.edge_index, edge_vec, len(dimers.types)).sum()
    g = torch.autograd.grad(energy, edge_vec)[0].double().view(-1, N_DISTANCES, 2, 3)
    return g[:, :, 0] - g[:, :, 1]


def relative_errors(found: Tensor, exact: Tensor, distance: Tensor, near: float) -> Tensor:
    """Largest error over the pairs, (n_distances,), of the largest force at or beyond a distance.

    Nearer the cutoff than `near`, where forces vanish, the largest force beyond `near` counts.

    found, exact: (n_pairs, n_distances, 3) eV/Å.
    """
    size = exact.norm(dim=2)
    largest = size.flip(1).cummax(1).values.flip(1)
    floor = torch.where(distance >= near, size, 0.0).amax(1, keepdim=True)
    return ((found - exact).norm(dim=2) / torch.maximum(largest, floor)).amax(0)


def right_from(errors: Tensor, distance: Tensor, tolerance: float) -> float:
    """The shortest distance, Å, from which on all errors are below the tolerance."""
    wrong = torch.nonzero(~(errors < tolerance)).flatten()
    first = int(wrong[-1]) + 1 if len(wrong) else 0
    return round(float(distance[min(first, len(distance) - 1)]), 4)


def _digits(error: Tensor) -> float:
    return float(f"{float(error):.1e}")
