"""What models predict and are judged by, each once: names and units.

CONTRIBUTING.md lists what a new one needs.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """One row."""

    name: str  # of labels, predictions, weights in the loss and metrics of a run
    error: str  # of its error, in reports and model files
    words: str  # of its error, in tables
    unit: str  # of its error; reports give thousandths

    @property
    def milli(self) -> str:
        """Unit in reports."""
        return f"m{self.unit}"

    def title(self, statistic: str) -> str:
        """As in "force RMSE, meV/Å"."""
        return f"{self.words} {statistic}, {self.milli}"


ENERGY = Quantity("energy", "energy_per_atom", "energy", "eV/atom")
FORCES = Quantity("forces", "forces", "force", "eV/Å")
STRESS = Quantity("stress", "stress", "stress", "eV/Å³")
QUANTITIES = (ENERGY, FORCES, STRESS)
