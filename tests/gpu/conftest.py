"""Kernels for GPUs, tested without one."""

import pytest
from emulated import COMPILER


@pytest.fixture(autouse=True)
def _compiler() -> None:
    if COMPILER is None:
        pytest.skip("no C++ compiler")
