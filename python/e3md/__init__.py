"""e3md: equivariant potentials for molecular dynamics."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from e3md.calculator import E3Calculator

__all__ = ["E3Calculator"]

try:
    __version__ = version("e3md")
except PackageNotFoundError:  # run from the source tree
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    # Lazy: `lmp` and `e3md --help` import this package on every MPI rank and need no torch.
    if name == "E3Calculator":
        from e3md.calculator import E3Calculator

        return E3Calculator
    raise AttributeError(f"module 'e3md' has no attribute {name!r}")
