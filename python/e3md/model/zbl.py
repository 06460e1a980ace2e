"""Screened nuclear repulsion at short range (Ziegler, Biersack, Littmark 1985)."""

import torch
from ase.data import atomic_numbers, covalent_radii
from ase.units import Bohr, Hartree
from torch import Tensor, nn

from e3md.model.radial import PolynomialEnvelope


class ZBL(nn.Module):
    """V(r) = Z_i Z_j e²/(4πε0 r) φ(r/a), a = 0.8854 a0/(Z_i^0.23 + Z_j^0.23), half to each atom.

    An envelope takes V to zero at the sum of the covalent radii, so bonded atoms feel little of it.
    """

    numbers: Tensor
    reach: Tensor
    amplitudes: Tensor
    decays: Tensor

    def __init__(self, species: tuple[str, ...], cutoff: float) -> None:
        super().__init__()
        numbers = [atomic_numbers[symbol] for symbol in species]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.float64))
        radii = torch.tensor([covalent_radii[z] for z in numbers], dtype=torch.float64)
        reach = (radii[:, None] + radii[None, :]).clamp(max=cutoff)
        self.register_buffer("reach", reach)
        self.register_buffer(
            "amplitudes", torch.tensor([0.18175, 0.50986, 0.28022, 0.02817], dtype=torch.float64)
        )
        self.register_buffer(
            "decays", torch.tensor([3.19980, 0.94229, 0.40290, 0.20162], dtype=torch.float64)
        )
        self.coulomb = Hartree * Bohr  # eV Å
        self.screening = 0.8854 * Bohr  # Å
        self.envelope = PolynomialEnvelope(1.0, 6)

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        """Energy of each local atom, (n_local,) float64 eV."""
        r = torch.linalg.vector_norm(edge_vec, dim=1)
        t_i, t_j = types[edge_index[0]], types[edge_index[1]]
        z_i, z_j = self.numbers[t_i], self.numbers[t_j]
        length = self.screening / (z_i.pow(0.23) + z_j.pow(0.23))
        phi = torch.exp(-(r / length)[:, None] * self.decays) @ self.amplitudes
        pair = self.coulomb * z_i * z_j / r * phi * self.envelope(r / self.reach[t_i, t_j])
        energies = torch.zeros(n_local, dtype=torch.float64, device=r.device)
        return energies.index_add(0, edge_index[0], 0.5 * pair.double())
