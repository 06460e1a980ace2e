#!/usr/bin/env bash
# torch 2.13.0: in TorchScript, `torch.tensor(x, dtype=torch.float64)` of a float or of a list of floats
# gives the number rounded to torch's default dtype, as a float64; eager torch gives the number. A unit or
# a grid that a scripted potential writes in its code in double is then right to seven digits only.
# Filling a tensor that is float64 already (`torch.zeros(1, dtype=torch.float64) + x`) keeps the number.
# Seen: 0.10000000149011612 and [0.10000000149011612] scripted, 0.1 and [0.1] eager; 0.1 by the sum.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.2.6
cd "$folder"
cat > written.py <<'PYTHON'
import torch


def number(x: float):
    return torch.tensor(x, dtype=torch.float64)


def numbers(x: float):
    return torch.tensor([x], dtype=torch.float64)


def added(x: float):
    return torch.zeros(1, dtype=torch.float64) + x


for make in (number, numbers, added):
    scripted, eager = torch.jit.script(make)(0.1), make(0.1)
    print(make.__name__, "scripted:", scripted.tolist(), "eager:", eager.tolist())
    assert scripted.dtype == eager.dtype == torch.float64
    assert float(eager) == 0.1
    assert (float(scripted) == 0.1) == (make is added)
PYTHON
venv/bin/python written.py
