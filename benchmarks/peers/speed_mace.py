"""Runs with mace-torch: `build MODEL.model IRREPS SYMBOLS` or `time MODEL STRUCTURE DTYPE THREADS STEPS`."""

import sys
import warnings

warnings.simplefilter("ignore")

from mace.calculators import MACECalculator  # noqa: E402
from mace_model import build  # noqa: E402
from timing import time_calculator  # noqa: E402

if sys.argv[1] == "build":
    build(*sys.argv[2:], r_max=5.0)
else:
    model, structure, dtype, threads, steps = sys.argv[2:]
    time_calculator(
        lambda: MACECalculator(model_paths=model, device="cpu", default_dtype=dtype),
        structure, int(threads), int(steps),
    )  # fmt: skip
