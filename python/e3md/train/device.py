"""Whether training can run on a GPU here, and whether it should."""

import e3md.ops  # noqa: F401  loads libe3md before _core asks for it
from e3md._core import missing_cuda, prefers_cuda

__all__ = ["missing_cuda", "prefers_cuda"]
