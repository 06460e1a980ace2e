"""Energy to forces, virial and stress: the training side of cpp/src/potential.cpp.

With g_ij = dE/d(r_j - r_i):  F_i = Σ_j g_ij - Σ_j g_ji,  stress = Σ_ij r_ij ⊗ g_ij / V
(ASE's sign: positive is tensile).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from e3md.graph import AtomGraph


class Prediction(NamedTuple):
    """What a model predicts for the frames of a graph."""

    energy: Tensor  # (n_frames,) float64, eV
    energies: Tensor  # (n_atoms,) float64, eV
    forces: Tensor  # (n_atoms, 3) float64, eV/Å
    stress: Tensor  # (n_frames, 3, 3) float64, eV/Å³; NaN where the cell has no volume


def predict(model: nn.Module, graph: AtomGraph, create_graph: bool = False) -> Prediction:
    """Evaluate a model and differentiate its energy with respect to the edge vectors.

    Args:
        model: a module with the forward of docs/reference (types, edge_index, edge_vec, n_local).
        graph: frames to evaluate, edge_vec in the model's dtype.
        create_graph: keep the graph of the derivative, as a loss on forces needs.
    """
    edge_vec = graph.edge_vec.detach().requires_grad_()
    energies = model(graph.types, graph.edge_index, edge_vec, graph.n_atoms)
    (g,) = torch.autograd.grad(energies.sum(), edge_vec, create_graph=create_graph)
    g = g.double()
    receiver, neighbor = graph.edge_index[0], graph.edge_index[1]
    forces = torch.zeros(graph.n_atoms, 3, dtype=torch.float64, device=g.device)
    forces = forces.index_add(0, receiver, g).index_add(0, neighbor, -g)
    edge_virial = graph.edge_vec.double()[:, :, None] * g[:, None, :]
    zeros = torch.zeros(graph.n_frames, 3, 3, dtype=torch.float64, device=g.device)
    strain_gradient = zeros.index_add(0, graph.frame[receiver], edge_virial)
    energy = zeros[:, 0, 0].index_add(0, graph.frame, energies)
    if not create_graph:
        energies, energy = energies.detach(), energy.detach()
    # Divided by a number everywhere: the gradient of x / NaN is NaN even where it is not used.
    known = graph.volume.isfinite()[:, None, None]
    volume = torch.where(known, graph.volume[:, None, None], 1.0)
    stress = torch.where(known, strain_gradient / volume, float("nan"))
    return Prediction(energy, energies, forces, stress)
