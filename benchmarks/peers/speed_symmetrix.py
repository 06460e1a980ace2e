"""Runs with symmetrix-xl: `build MODEL.model IRREPS SYMBOLS` or `time MODEL STRUCTURE DTYPE THREADS STEPS`.

The model is one of mace-torch, of cutoff 6 Å; symmetrix-xl reads it as JSON, written beside it. It
compiles kernels for a model and dtype at first use and keeps them, here beside the model.
"""

import os
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

COMPILE_TIMEOUT = 3 * 3600.0  # s; it allows g++ 600, and a slower or busy machine takes longer
KERNELS = "symmetrix-kernels"


def build(path, irreps, symbols):
    import json

    import mace_model
    from symmetrix.extract_mace_data import extract_mace_data

    mace_model.build(path, irreps, symbols, r_max=6.0)
    Path(f"{path}.json").write_text(json.dumps(extract_mace_data(path)))


def calculator(model, dtype):
    """With the kernels of its own direct execution, the fastest that it has."""
    os.environ["SYMMETRIX_JIT_CACHE"] = str(Path(model).parent / KERNELS)
    from symmetrix import Symmetrix, jit

    # Nothing that a user can set reaches this timeout.
    jit.prepare_jit_artifact.__kwdefaults__["compile_timeout"] = COMPILE_TIMEOUT
    return Symmetrix(f"{model}.json", dtype=dtype, execution_profile="speed")


def instructions():
    """Those of its backend, and the flags its kernels are compiled with."""
    from symmetrix import selected_backend
    from symmetrix.jit import probe_compiler_identity, resolve_host_jit_policy

    command, _ = probe_compiler_identity()
    flags = " ".join(resolve_host_jit_policy(command).flags)
    return f"backend {selected_backend()['architecture']}, kernels {flags}"


if sys.argv[1] == "build":
    build(*sys.argv[2:])
else:
    from timing import time_calculator

    model, structure, dtype, threads, steps = sys.argv[2:]
    time_calculator(
        lambda: calculator(model, dtype), structure, int(threads), int(steps), instructions
    )
