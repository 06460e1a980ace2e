"""Screened nuclear repulsion at short range (Ziegler, Biersack, Littmark 1985)."""

from collections.abc import Sequence

import torch
from ase.data import atomic_numbers, covalent_radii
from ase.units import Bohr, Hartree
from torch import Tensor, nn

from e3md.model.alike import check_alike
from e3md.model.cutoffs import PolynomialEnvelope
from e3md.model.plan import Plan


def radii_of(species: tuple[str, ...]) -> Tensor:
    """Covalent radii (Cordero et al. 2008), (n_species,) float64 Å."""
    radii = [covalent_radii[atomic_numbers[symbol]] for symbol in species]
    return torch.tensor(radii, dtype=torch.float64)


class ZBL(nn.Module):
    """V(r) = Z_i Z_j e²/(4πε0 r) φ(r/a), a = 0.8854 a0/(Z_i^0.23 + Z_j^0.23), half to each atom.

    An envelope takes V to zero at the sum of the covalent radii, so bonded atoms feel little of it.
    """

    numbers: Tensor
    coulomb: Tensor
    screening: Tensor
    exponent: Tensor
    reach: Tensor
    amplitudes: Tensor
    decays: Tensor

    def __init__(self, species: tuple[str, ...], cutoff: float, envelope_power: int = 6) -> None:
        super().__init__()
        numbers = [atomic_numbers[symbol] for symbol in species]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.float64))
        radii = radii_of(species)
        reach = (radii[:, None] + radii[None, :]).clamp(max=cutoff)
        self.register_buffer("reach", reach)
        self.register_buffer(
            "amplitudes", torch.tensor([0.18175, 0.50986, 0.28022, 0.02817], dtype=torch.float64)
        )
        self.register_buffer(
            "decays", torch.tensor([3.19980, 0.94229, 0.40290, 0.20162], dtype=torch.float64)
        )
        for name, value in (
            ("coulomb", Hartree * Bohr),  # eV Å
            ("screening", 0.8854 * Bohr),  # Å
            ("exponent", 0.23),
        ):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))
        self.envelope = PolynomialEnvelope(1.0, envelope_power)

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        """Energy of each local atom, (n_local,) float64 eV."""
        r = torch.linalg.vector_norm(edge_vec, dim=1)
        t_i, t_j = types[edge_index[0]], types[edge_index[1]]
        z_i, z_j = self.numbers[t_i], self.numbers[t_j]
        length = self.screening / (z_i.pow(self.exponent) + z_j.pow(self.exponent))
        phi = torch.exp(-(r / length)[:, None] * self.decays) @ self.amplitudes
        pair = self.coulomb * z_i * z_j / r * phi * self.envelope(r / self.reach[t_i, t_j])
        energies = torch.zeros(n_local, dtype=torch.float64, device=r.device)
        return energies.index_add(0, edge_index[0], 0.5 * pair.double())

    def steps(self, plan: Plan) -> None:
        plan.repulsion(
            self.envelope.power, numbers=self.numbers, coulomb=self.coulomb,
            screening=self.screening, exponent=self.exponent, reach=self.reach,
            amplitudes=self.amplitudes, decays=self.decays,
        )  # fmt: skip

    @staticmethod
    def stacked(members: Sequence["ZBL"]) -> "StackedZBL":
        check_alike(members, whole=True)
        return StackedZBL(members[0])


class StackedZBL(nn.Module):
    """One repulsion added to every member; where edges are there once for each, their mean counts."""

    def __init__(self, one: ZBL) -> None:
        super().__init__()
        self.one = one

    def forward(self, types: Tensor, edge_index: Tensor, edge_vec: Tensor, n_local: int) -> Tensor:
        edges = edge_vec.mean(0) if edge_vec.dim() == 3 else edge_vec
        return self.one(types, edge_index, edges, n_local)[:, None]

    def steps(self, plan: Plan) -> None:
        self.one.steps(plan)
