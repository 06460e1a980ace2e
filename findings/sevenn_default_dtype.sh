#!/usr/bin/env bash
# sevenn 0.13.0 (torch 2.13.0) does not read its own checkpoints where torch's default dtype is float64,
# as other programs in the same process set it:
#   1. With float64 as default, SevenNetCalculator of the wheel's SevenNet-0 (11 July 2024) and l3i5 raises
#      "Float did not match Double": to sort the weights of files older than 0.11 it compares coupling
#      coefficients of the file (float32) with ones that e3nn makes in the default dtype.
#   2. With float32 as default they load; model.double() then leaves the coupling coefficients rounded to
#      float32 (1.5e-8 off).
# Seen: RuntimeError, Float did not match Double, twice; then a largest rounding of 1.5e-08.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 sevenn==0.13.0
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
from pathlib import Path

import sevenn
import torch
from e3nn.o3 import wigner_3j
from sevenn.calculator import SevenNetCalculator

folder = Path(sevenn.__file__).parent / "pretrained_potentials"
files = [
    folder / "SevenNet_0__11Jul2024" / "checkpoint_sevennet_0.pth",
    folder / "SevenNet_l3i5" / "checkpoint_l3i5.pth",
]
torch.set_default_dtype(torch.float64)
for file in files:
    try:
        SevenNetCalculator(str(file), device="cpu")
    except RuntimeError as error:
        print(file.name, type(error).__name__, error)
        assert "Float did not match Double" in str(error)
    else:
        raise SystemExit(f"{file.name} now loads with float64 as default")

torch.set_default_dtype(torch.float32)
model = SevenNetCalculator(str(files[1]), device="cpu").model.double()
rounding = max(
    float((wigner_3j(*map(int, name.split("_")[-3:]), dtype=torch.float64) - stored).abs().max())
    for name, stored in model.named_buffers()
    if "._w3j_" in name
)
print(f"largest rounding {rounding:.1e}")
assert 1e-9 < rounding < 1e-7
PYTHON
