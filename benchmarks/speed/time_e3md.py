"""time_e3md.py MODEL STRUCTURE DTYPE THREADS STEPS: e3md through ASE."""

import sys
from pathlib import Path

from e3md import E3Calculator
from e3md._core import ops_in_use

sys.path.append(str(Path(__file__).parents[1] / "peers"))
from timing import time_calculator

model, structure, dtype, threads, steps = sys.argv[1:]
time_calculator(
    lambda: E3Calculator(model, dtype=dtype), structure, int(threads), int(steps), ops_in_use
)
