"""How fine the tables must be: measured on structures, against the exact radial networks."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from ase import Atoms
from torch import Tensor, nn

from e3md.graph import AtomGraph, batch_graphs
from e3md.model.committee import members_of
from e3md.model.embedding import EdgeEmbedding
from e3md.neighbors import atoms_to_graph
from e3md.structures import perturbed_structures

CANDIDATES = (96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
TOLERANCES = {"float32": 5e-7, "float64": 2e-11}  # of the largest force of a structure
EDGES = 4000  # of structures evaluated together
COMPRESSED = 0.7  # also structures whose shortest distances are these times a bond's
MOST_NEIGHBORS = 1500  # of an atom; structures that are denser than any matter have no graph
ROUNDING = 1e-9  # of the largest force: where more knots do not help, what deep networks leave
NO_FORCE = 1e-6  # eV/Å: of a structure with less, as where a gate has closed, errors are of this
REACHED = 0.9  # of the cutoff, by the closest atoms: beyond, forces are nothing but rounding
FEW = 3  # species whose pairs are all tried, even where each has a function of its own


@dataclass(frozen=True)
class Tables:
    """What the tables of a model cost in exactness."""

    knots: dict[str, int]  # by dtype
    force_error: dict[str, float]  # by dtype, of the largest force


class Structures(NamedTuple):
    """Structures of some species, and those in them that are in use."""

    types: Tensor  # (n,) int64
    graphs: list[AtomGraph]


class TableError(ValueError):
    """The radial networks of a model cannot be tabulated."""


def choose_knots(model: nn.Module, cutoff: float, species: Sequence[str]) -> Tables:
    """Set as few knots as keep the error of the forces below TOLERANCES, in a model or each member.

    Errors are measured in float64 on random structures of the model's species, also compressed ones.
    A committee has the knots and errors of its worst member.

    Raises:
        TableError: if no table of reasonable size is that good.
    """
    members: list[Any] = members_of(model)
    breaks = members[0].edge_embedding.breaks
    if len(breaks) > 1:
        where = ", ".join(f"{at:.4g}" for at in sorted(breaks))
        raise TableError(f"the cutoff function is not smooth at {where} Å, each in some pairs")
    structures = _structures(members[0].edge_embedding, species, cutoff)
    found = [_enough(member, structures) for member in members]
    tables = Tables(
        {dtype: max(t.knots[dtype] for t in found) for dtype in TOLERANCES},
        {dtype: max(t.force_error[dtype] for t in found) for dtype in TOLERANCES},
    )
    for member in members:
        member.n_knots = (tables.knots["float32"], tables.knots["float64"])
    return tables


class _Trial:
    """Errors of a model's tables on structures, with tables of their species alone."""

    def __init__(self, model: Any, structures: Structures) -> None:
        """model: in float64 and without tables yet; becomes one with tables."""
        self.model, self.structures = model, structures
        self.exact = [_edge_forces(model, graph) for graph in structures.graphs]
        self.errors: dict[int, float] = {}

    def error(self, n_knots: int) -> float:
        """The largest, of the largest force of a structure."""
        if n_knots not in self.errors:
            self.model.n_knots = (n_knots, n_knots)
            self.model.use(self.structures.types)
            self.model.tabulate(True)
            self.errors[n_knots] = max(
                _largest_error(_edge_forces(self.model, graph), forces, graph)
                for graph, forces in zip(self.structures.graphs, self.exact, strict=True)
            )
        return self.errors[n_knots]

    def enough(self, tolerance: float) -> int:
        """The fewest knots that meet a tolerance, or that leave nothing but rounding."""
        tried: list[int] = []
        for n_knots in CANDIDATES:
            if self.error(n_knots) < tolerance:
                return n_knots
            if tried and ROUNDING > self.error(n_knots) > 0.5 * self.error(tried[-1]):
                return min((*tried, n_knots), key=self.error)
            tried.append(n_knots)
        raise TableError(
            f"with {n_knots} knots the forces are still {self.error(n_knots):.0e} of the largest force "
            "off, as where a cutoff function is not smooth"
        )


def _enough(model: Any, structures: Sequence[Structures]) -> Tables:
    """Each on its own: more knots than enough bring nothing but rounding."""
    working = copy.deepcopy(model).double().requires_grad_(False)
    trials = [_Trial(working, some) for some in structures]
    knots = {
        dtype: max(trial.enough(tolerance) for trial in trials)
        for dtype, tolerance in TOLERANCES.items()
    }
    return Tables(
        knots, {dtype: max(trial.error(n) for trial in trials) for dtype, n in knots.items()}
    )


def _structures(
    embedding: EdgeEmbedding, species: Sequence[str], cutoff: float
) -> list[Structures]:
    """Structures that have edges, of all species together or of some at a time."""
    found: list[Structures] = []
    groups = _groups(embedding)
    for group in groups:
        chosen = [species[k] for k in group]
        structures = [
            _scaled(atoms, scale)
            for atoms in perturbed_structures(chosen)
            for scale in (1.0, COMPRESSED)
        ]
        # dense ones of the smallest atoms would take the time of all others
        most = EDGES / 8 if len(groups) > 1 else MOST_NEIGHBORS
        graphs = [
            atoms_to_graph(atoms, species, cutoff, torch.float64)
            for atoms in structures
            if _mean_neighbors(atoms, cutoff) < most
        ]
        batches = _batches(_within(graphs, REACHED * cutoff) or _within(graphs, cutoff))
        if batches:
            found.append(Structures(torch.cat([b.types for b in batches]).unique(), batches))
    if not found:
        raise TableError(f"no two atoms come within {cutoff:g} Å")
    return found


def _groups(embedding: EdgeEmbedding) -> list[list[int]]:
    """Species that structures are made of: all; or, where each of many pairs has a function of its
    own, those of the first and last function, in the order of radii or cutoffs, and between."""
    n = embedding.n_species
    if not embedding.of_pairs or n <= FEW:
        return [list(range(n))]
    function = embedding.radial.functions().view(n, n)
    first, last = (divmod(int(k), n) for k in (function.argmin(), function.argmax()))
    below, middle = function.diagonal().argsort()[n // 2 - 1 : n // 2 + 1].tolist()
    groups = [{*first}, {*last}, {below, middle}, {first[0], middle, last[0]}]
    return [sorted(group) for group in groups]


def _batches(graphs: Sequence[AtomGraph]) -> list[AtomGraph]:
    """Several in a graph while they are small."""
    batches: list[list[AtomGraph]] = []
    n_edges = EDGES
    for graph in graphs:
        n_edges += len(graph.edge_vec)
        if n_edges > EDGES:
            batches.append([])
            n_edges = len(graph.edge_vec)
        batches[-1].append(graph)
    return [batch_graphs(batch) for batch in batches]


def _within(graphs: Sequence[AtomGraph], distance: float) -> list[AtomGraph]:
    """Those whose closest atoms are that near, Å."""
    return [g for g in graphs if (torch.linalg.vector_norm(g.edge_vec, dim=1) < distance).any()]


def _mean_neighbors(atoms: Atoms, cutoff: float) -> float:
    """In the cutoff, estimated; of a molecule at most."""
    if not atoms.pbc.any():
        return len(atoms) - 1
    return len(atoms) / atoms.cell.volume * 4 / 3 * math.pi * cutoff**3


def _scaled(atoms: Atoms, scale: float) -> Atoms:
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell.array * scale)
    scaled.positions *= scale
    return scaled


def _edge_forces(model: nn.Module, graph: AtomGraph) -> Tensor:
    """dE/d edge_vec, (n_edges, 3) eV/Å."""
    edge_vec = graph.edge_vec.clone().requires_grad_()
    energy = model(graph.types, graph.edge_index, edge_vec, graph.n_atoms).sum()
    return torch.autograd.grad(energy, edge_vec)[0]


def _largest_error(found: Tensor, exact: Tensor, graph: AtomGraph) -> float:
    """Of the largest force of its structure, over all structures."""
    frame = graph.frame[graph.edge_index[0]]

    def largest(x: Tensor) -> Tensor:
        sizes = torch.zeros(graph.n_frames, dtype=x.dtype)
        return sizes.scatter_reduce(0, frame, x.abs().amax(1), "amax")

    return float((largest(found - exact) / largest(exact).clamp(min=NO_FORCE)).max())
