"""Hyperparameters that architectures share: what a user writes under `model:` and e3md.json keeps."""

from typing import Annotated, Literal

from e3nn.o3 import Irreps
from pydantic import BaseModel, ConfigDict, Field

from e3md.data.problems import brief

# Bounds that no model in use comes near; a file that names more is a mistake, and would end in the
# memory of the machine and not in words.
WIDEST = 8192
_MOST_TERMS = 50
_LARGEST_DEGREE = 6
Width = Annotated[int, Field(ge=1, le=WIDEST)]
Widths = Annotated[tuple[Width, ...], Field(max_length=20)]
Layers = Annotated[int, Field(ge=1, le=64)]


class CommonConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cutoff: float = Field(
        5.0, gt=0, le=50, description="neighbors beyond this distance are not seen, Å"
    )
    zbl: bool = Field(False, description="add the Ziegler-Biersack-Littmark core repulsion")


class BesselConfig(CommonConfig):
    n_bessel: int = Field(8, ge=1, le=1000, description="radial basis functions")


def checked_irreps(text: str) -> str:
    """Irreps with scalars, of a size that a model can have.

    Raises:
        ValueError: saying what is wrong.
    """
    try:
        irreps = Irreps(text) if len(text) < 1000 else Irreps()
    except (ValueError, AttributeError) as error:  # e3nn raises both
        raise ValueError(f"not an irreps string such as 64x0e+64x1o: '{brief(text)}'") from error
    if irreps.count("0e") == 0:
        raise ValueError(f"'{brief(text)}' has no even scalars (0e), which the energy is read from")
    if len(irreps) > _MOST_TERMS or irreps.lmax > _LARGEST_DEGREE:
        raise ValueError(
            f"'{brief(text)}' has more than {_MOST_TERMS} terms, or degrees beyond {_LARGEST_DEGREE}"
        )
    if max(multiplicity for multiplicity, _ in irreps) > WIDEST:
        raise ValueError(f"'{brief(text)}' has more than {WIDEST} features of a kind")
    return text


Activation = Literal["shifted_softplus", "silu"]


class FilterConfig(CommonConfig):
    """What architectures with continuous-filter convolutions share."""

    n_layers: Layers = Field(3, description="interaction layers")
    channels: Width = Field(64, description="features per atom, of each degree")
    basis: Literal["gaussian", "bessel"] = Field("gaussian", description="radial basis functions")
    n_basis: int = Field(20, ge=2, le=1000, description="number of radial basis functions")
    cutoff_function: Literal["polynomial", "cosine", "mollifier"] = Field(
        "polynomial", description="what filters are multiplied with"
    )
    envelope_power: int = Field(6, ge=2, le=100, description="p of the polynomial cutoff function")
    readout_hidden: Widths = Field((32,), description="widths of the readout")
    readout_activation: Activation = Field("silu", description="between layers of the readout")

    def least_weights(self, n_species: int) -> float:
        """Of one linear map in each layer: what tells a mistake from a model."""
        return (self.n_layers - 1 or 1) * float(self.channels) ** 2


def squares(irreps: Irreps | str) -> float:
    """Weights of a linear map between equal features."""
    return sum(float(multiplicity) ** 2 for multiplicity, _ in Irreps(irreps))
