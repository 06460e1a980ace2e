"""The runtime compiler takes the text for every architecture, with all sums in registers."""

import nvrtc
import pytest
import torch
from radial import Text

from gpu.cases import CASES

LEVELS = ("sm_80", "sm_90", "sm_100", "sm_120")
OF_MODELS = ("first_layer", "vectors", "nequip")


@pytest.mark.skipif(not nvrtc.found(), reason="needs pip's nvidia-cuda-nvrtc")
@pytest.mark.parametrize("name", CASES)
def test_no_spills(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = Text.of(CASES[name](), torch.float32)
    lines = []
    for level in LEVELS if name in OF_MODELS else ("sm_90",):
        code, usage = nvrtc.compiled(text.source, level)
        assert code[:4] == b"\x7fELF"
        assert set(usage) == {f"{d}_{n[0]}" for n in text.launches for d in ("forward", "backward")}
        for kernel, used in sorted(usage.items()):
            lines.append(
                f"{name:12} {kernel:11} {level:6} {used.registers:4} registers "
                f"{used.shared:6} bytes shared"
            )
            assert used.spilled == 0, f"{kernel} for {level}"
    with capsys.disabled():
        print("\n" + "\n".join(lines))


@pytest.mark.skipif(not nvrtc.found(), reason="needs pip's nvidia-cuda-nvrtc")
def test_float64_compiles() -> None:
    """Spills are allowed there."""
    for name in OF_MODELS:
        assert nvrtc.compiled(Text.of(CASES[name](), torch.float64).source, "sm_90").usage
