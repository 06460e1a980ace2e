"""Equivariant nonlinearity: scalars through an activation, other irreps times an activated scalar."""

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from e3md.model.layout import Layout
from e3md.model.plan import Plan, Value
from e3md.model.radial import SILU_GAIN
from e3md.model.stacking import every_member

TANH_GAIN = 1.592537419722830  # 1/sqrt(E[tanh²]) over N(0, 1)


class Gate(nn.Module):
    """Gated nonlinearity (Weiler et al., arXiv:1807.02547).

    Input irreps: those of the output, plus one even scalar per channel of each l > 0 irrep. Even
    scalars and gates pass silu; odd scalars pass tanh, which is odd.
    """

    gains: Tensor  # of silu and of tanh: a buffer, as e3nn finds them by sampling
    offsets: list[int]  # TorchScript cannot tell the type of an empty list
    n_m: list[int]
    channels: list[int]

    def __init__(self, irreps_out: Irreps | str) -> None:
        super().__init__()
        self.register_buffer("gains", torch.tensor([SILU_GAIN, TANH_GAIN], dtype=torch.float64))
        target = Layout(irreps_out)
        gated = [b for b in target.blocks if b.irrep.l > 0]
        n_gates = sum(b.channels for b in gated)
        self.irreps_in = Irreps(f"{n_gates}x0e") + target.irreps if n_gates else target.irreps
        self.irreps_in = Layout(self.irreps_in).irreps
        source = Layout(self.irreps_in)

        self.n_even = target.n_scalars
        even = source.find(Irreps("0e")[0].ir)
        self.even_offset = even.offset if even else 0
        self.n_even_in = even.channels if even else 0
        odd = source.find(Irreps("0o")[0].ir)
        self.n_odd = odd.channels if odd else 0
        self.odd_offset = odd.offset if odd else 0
        self.odd_first = bool(odd and even and odd.offset < even.offset)
        sources = [source.find(b.irrep) for b in gated]
        self.offsets = [b.offset for b in sources if b]
        self.n_m = [b.n_m for b in gated]
        self.channels = [b.channels for b in gated]
        self._n_gated = sum(b.dim for b in gated)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, dim of irreps_in) -> (n, dim of irreps_out)."""
        even = torch.nn.functional.silu(x.narrow(1, self.even_offset, self.n_even_in))
        even = even * self.gains[0]
        odd = torch.tanh(x.narrow(1, self.odd_offset, self.n_odd)) * self.gains[1]
        scalars = even.narrow(1, 0, self.n_even)
        out = [odd, scalars] if self.odd_first else [scalars, odd]
        gate = self.n_even
        for offset, n_m, channels in zip(self.offsets, self.n_m, self.channels):  # noqa: B905
            block = x.narrow(1, offset, n_m * channels).reshape(-1, n_m, channels)
            out.append((block * even.narrow(1, gate, channels)[:, None, :]).flatten(1))
            gate += channels
        return torch.cat(out, dim=1)

    def steps(self, plan: Plan, x: Value) -> Value:
        silu, tanh = (float(gain) for gain in self.gains)
        y = plan.new(x.rows, self.n_even + self.n_odd + self._n_gated)
        odd_first = self.n_odd if self.odd_first else 0
        scalars = x.columns(self.even_offset, self.n_even)
        plan.activate(scalars, "silu", silu, into=y.columns(odd_first, self.n_even))
        if self.n_odd:
            odd = x.columns(self.odd_offset, self.n_odd)
            at = 0 if self.odd_first else self.n_even
            plan.activate(odd, "tanh", tanh, into=y.columns(at, self.n_odd))
        n_gates = self.n_even_in - self.n_even
        if n_gates == 0:
            return y
        gates = plan.activate(x.columns(self.even_offset + self.n_even, n_gates), "silu", silu)
        gate, first = 0, self.n_even + self.n_odd
        for offset, n_m, channels in zip(self.offsets, self.n_m, self.channels, strict=True):
            block, own = x.columns(offset, n_m * channels), gates.columns(gate, channels)
            plan.multiply(block, own, into=y.columns(first, block.width))
            gate += channels
            first += block.width
        return y

    stacked = staticmethod(every_member)
