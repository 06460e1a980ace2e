"""Whether training can run on a GPU here."""

import e3md.ops  # noqa: F401  loads libe3md before _core asks for it
from e3md._core import missing_cuda

__all__ = ["missing_cuda"]
