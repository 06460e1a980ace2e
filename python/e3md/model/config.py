"""Hyperparameters of each architecture: what a user writes under `model:` and what e3md.json keeps."""

from typing import Annotated, Literal

from e3nn.o3 import Irreps
from pydantic import BaseModel, ConfigDict, Field, field_validator

from e3md.data.problems import brief

# Bounds that no model in use comes near; a file that names more is a mistake, and would end in the
# memory of the machine and not in words.
WIDEST = 8192
_MOST_TERMS = 50
_LARGEST_DEGREE = 6
Width = Annotated[int, Field(ge=1, le=WIDEST)]
Widths = Annotated[tuple[Width, ...], Field(max_length=20)]
Layers = Annotated[int, Field(ge=1, le=64)]


class _Common(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cutoff: float = Field(
        5.0, gt=0, le=50, description="neighbors beyond this distance are not seen, Å"
    )
    zbl: bool = Field(False, description="add the Ziegler-Biersack-Littmark core repulsion")


class _Bessel(_Common):
    n_bessel: int = Field(8, ge=1, le=1000, description="radial basis functions")


def _checked_irreps(text: str) -> str:
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


class NequIPConfig(_Bessel):
    """NequIP (Batzner et al., Nat. Commun. 13, 2453)."""

    arch: Literal["nequip"] = "nequip"
    n_layers: Layers = Field(3, description="interaction layers")
    l_max: int = Field(1, ge=0, le=4, description="largest degree of features and harmonics")
    parity: Literal["natural", "both", "none"] = Field(
        "natural",
        description="features of parity (-1)^l, of both, or none: rotations without inversion",
    )
    solid_harmonics: bool = Field(False, description="r^l Y_l in place of Y_l on edges")
    channels: Width = Field(32, description="features per irrep")
    hidden_irreps: str | None = Field(
        None, description="features between layers; default: channels of every degree and parity"
    )
    embedding_channels: Width | None = Field(
        None, description="features of a species; default: as many as even scalars"
    )
    self_connection: Literal["species", "shared", "none"] = Field(
        "species", description="linear map around the convolution: one per species, one, or none"
    )
    first_self_connection: bool = Field(True, description="also in the first layer")
    layer_norm: bool = Field(False, description="normalize features before the gate")
    envelope_power: int = Field(6, ge=2, le=100, description="p of the polynomial cutoff envelope")
    xplor_on: float | None = Field(
        None, gt=0, description="XPLOR smoothing from here to the cutoff, not the envelope, Å"
    )
    radial_hidden: Widths = Field((64, 64), description="widths of the radial network")
    readout_hidden: Widths = Field((), description="widths of the readout")
    pair_cutoffs: dict[str, float] = Field(
        {}, description="shorter cutoffs of pairs such as Li-O, receiver first, Å"
    )

    @field_validator("hidden_irreps")
    @classmethod
    def _has_scalars(cls, text: str | None) -> str | None:
        return None if text is None else _checked_irreps(text)


Interaction = Literal["residual", "agnostic", "density_residual", "density"]
Activation = Literal["shifted_softplus", "silu"]


class MACEConfig(_Bessel):
    """MACE (Batatia et al., arXiv:2206.07697)."""

    arch: Literal["mace"] = "mace"
    n_layers: Layers = Field(2, description="interaction layers")
    l_max: int = Field(3, ge=0, le=4, description="largest degree of the spherical harmonics")
    correlation: int = Field(3, ge=1, le=3, description="body order minus one of each product")
    hidden_irreps: str = Field("64x0e+64x1o", description="features passed between layers")
    first_interaction: Interaction = Field(
        "residual", description="the first layer's interaction: see docs/theory.md"
    )
    interaction: Interaction = Field("residual", description="the other layers' interaction")
    distance_transform: Literal["none", "agnesi"] = Field(
        "none", description="distances as the Bessel basis sees them"
    )
    envelope_power: int = Field(5, ge=2, le=100, description="p of the polynomial cutoff envelope")
    radial_hidden: Widths = Field((64, 64, 64), description="widths of the radial network")
    readout_hidden: Width = Field(16, description="width of the last layer's readout")

    @field_validator("hidden_irreps")
    @classmethod
    def _has_scalars(cls, text: str) -> str:
        return _checked_irreps(text)


class FilterConfig(_Common):
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


class SchNetConfig(FilterConfig):
    """SchNet (Schütt et al., arXiv:1706.08566)."""

    arch: Literal["schnet"] = "schnet"
    filter_channels: Width | None = Field(
        None, description="features of the convolution; default: channels"
    )
    activation: Activation = Field("shifted_softplus", description="in filters and layers")


class SO3NetConfig(FilterConfig):
    """SO3net (Schütt et al., J. Chem. Phys. 158, 144801)."""

    arch: Literal["so3net"] = "so3net"
    l_max: int = Field(2, ge=0, le=4, description="largest degree of features and harmonics")
    gated_readout: bool = Field(False, description="multiply the readout with a sigmoid network")


ModelConfig = Annotated[
    NequIPConfig | MACEConfig | SchNetConfig | SO3NetConfig, Field(discriminator="arch")
]
