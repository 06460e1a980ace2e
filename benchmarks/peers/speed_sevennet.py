"""Runs with sevenn: `build MODEL.pth CHECKPOINT SYMBOLS` or `time MODEL STRUCTURE DTYPE THREADS STEPS`.

CHECKPOINT: a folder of sevenn's pretrained_potentials, of 89 elements whatever SYMBOLS are.
"""

import shutil
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import sevenn  # noqa: E402
from sevenn.calculator import SevenNetCalculator  # noqa: E402
from timing import time_calculator  # noqa: E402


def build(path, checkpoint, _symbols):
    (source,) = (Path(sevenn.__file__).parent / "pretrained_potentials" / checkpoint).glob("*.pth")
    shutil.copy(source, path)


if sys.argv[1] == "build":
    build(*sys.argv[2:])
else:
    model, structure, dtype, threads, steps = sys.argv[2:]
    if dtype != "float32":
        raise SystemExit("sevenn's calculator computes in float32")
    time_calculator(
        lambda: SevenNetCalculator(model, device="cpu"), structure, int(threads), int(steps)
    )
