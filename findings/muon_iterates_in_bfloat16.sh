#!/usr/bin/env bash
# torch.optim.Muon (torch 2.13.0) and pytorch_optimizer's Muon (4.1.0) orthogonalize in bfloat16, whatever
# the dtype of the weights. On a CPU without bfloat16 instructions torch emulates these products:
# a step over 24 matrices of 64 x 64 and one of 64 x 640 then takes many times that of the same
# iteration in float32. ONEDNN_MAX_CPU_ISA=AVX2 shows it on any x86-64 CPU with AVX2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q torch==2.13.0
"$folder/env/bin/pip" install -q pytorch_optimizer==4.1.0

ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 "$folder/env/bin/python" - <<'PYTHON'
import time

import torch
from pytorch_optimizer import Muon
from pytorch_optimizer.optimizer.utils.matrix import zero_power_via_newton_schulz_5

torch.manual_seed(0)
torch.set_num_threads(1)
SHAPES = [(64, 64)] * 24 + [(64, 640)]


def weights():
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    for p in parameters:
        p.grad = torch.randn_like(p)
    return parameters


def milliseconds(function):
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - begin))
    return min(times)


own = weights()
stacked = [torch.stack([p.grad for p in own[:-1]]), own[-1].grad]
found = {
    "torch": milliseconds(torch.optim.Muon(weights()).step),
    "pytorch_optimizer": milliseconds(Muon([{"params": weights(), "use_muon": True}]).step),
    "float32": milliseconds(
        lambda: [zero_power_via_newton_schulz_5(x, dtype=torch.float32) for x in stacked]
    ),
}
print({name: f"{value:.1f} ms" for name, value in found.items()})
# seen on an AMD EPYC: torch 52 ms, pytorch_optimizer 51 ms, float32 2.7 ms
assert found["torch"] > 3 * found["float32"]
assert found["pytorch_optimizer"] > 3 * found["float32"]

# the rounding of bfloat16 in steps of float32 weights
p = torch.nn.Parameter(torch.randn(64, 64))
before = p.detach().clone()
p.grad = torch.randn_like(p)
torch.optim.Muon([p], lr=1.0, weight_decay=0.0, momentum=0.0, nesterov=False).step()
step = before - p.detach()
assert p.dtype == torch.float32
assert torch.allclose(step, step.bfloat16().float(), atol=1e-6)  # p - 1.0 * step, rounded once more
PYTHON
