"""The graph a model sees: edges and species, no positions and no cell."""

from typing import NamedTuple

import torch
from torch import Tensor


class AtomGraph(NamedTuple):
    """One or several structures as one graph.

    Nodes of several frames follow one another; `frame` tells them apart. Edges are sorted by
    receiver, as the ops require.
    """

    types: Tensor  # (n_atoms,) int64, index into the model's species
    edge_index: Tensor  # (2, n_edges) int64: receiver i (non-decreasing), neighbor j
    edge_vec: Tensor  # (n_edges, 3) Å: r_j - r_i including the periodic shift
    frame: Tensor  # (n_atoms,) int64, frame of each atom
    volume: Tensor  # (n_frames,) float64 Å³; NaN where the cell has no three vectors

    @property
    def n_atoms(self) -> int:
        return self.types.shape[0]

    @property
    def n_frames(self) -> int:
        return self.volume.shape[0]


class Edges(NamedTuple):
    """What interaction layers are told of the graph."""

    types: Tensor  # (n_nodes,) int64
    edge_index: Tensor  # (2, n_edges) int64: receiver i (non-decreasing), neighbor j
    edge_vec: Tensor  # (n_edges, 3) Å
    radial: Tensor  # (n_edges, n_basis) radial basis; (n_edges, 0) where layers have tables instead
    sh: Tensor  # (n_edges, (l_max+1)²) spherical harmonics; (n_edges, 0) likewise


def batch_graphs(graphs: list[AtomGraph]) -> AtomGraph:
    """Join graphs into one, renumbering atoms and frames.

    Raises:
        ValueError: if the list is empty.
    """
    if not graphs:
        raise ValueError("batch_graphs needs at least one graph")
    edge_index, frame = [], []
    n_atoms = n_frames = 0
    for graph in graphs:
        edge_index.append(graph.edge_index + n_atoms)
        frame.append(graph.frame + n_frames)
        n_atoms += graph.n_atoms
        n_frames += graph.n_frames
    return AtomGraph(
        types=torch.cat([g.types for g in graphs]),
        edge_index=torch.cat(edge_index, dim=1),
        edge_vec=torch.cat([g.edge_vec for g in graphs]),
        frame=torch.cat(frame),
        volume=torch.cat([g.volume for g in graphs]),
    )
