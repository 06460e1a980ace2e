"""e3md: equivariant potentials for molecular dynamics."""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from e3md.calculator import E3Calculator

__all__ = ["E3Calculator"]

# torch's OpenMP reads this while it is loaded. By its default a thread that waits for another keeps
# its core busy for milliseconds, hundreds of times in an evaluation: where other programs want the
# cores too, two threads are then far slower than one.
if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "0")

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
