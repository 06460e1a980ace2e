"""The programs whose models e3md reads."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e3md.convert.neutral import Converted, Neutral


@dataclass(frozen=True)
class Source:
    """One kind of foreign model."""

    name: str  # of convert/extract/NAME_model.py
    program: str  # as its users call it
    builder: str  # convert/BUILDER.py, which makes the e3md model
    package: str  # of Python, which reads the file or evaluates the model
    runs_code: bool = True  # reading it runs code of the file: pickles and TorchScript do

    @property
    def build(self) -> Callable[[Neutral], Converted]:
        """Neutral form -> e3md model."""
        module: Any = importlib.import_module(f"e3md.convert.{self.builder}")
        return module.build

    @property
    def script(self) -> Path:
        """The extraction script."""
        return Path(__file__).parent / "extract" / f"{self.name}_model.py"


SOURCES = {
    source.name: source
    for source in (
        Source("mace", "mace-torch", "mace", "mace"),
        Source("nequip", "nequip", "nequip", "nequip"),
        Source("sevennet", "sevenn", "nequip", "sevenn"),
        Source("sevennet_deployed", "sevenn (deployed)", "nequip", "torch"),
        Source("nequix", "nequix", "nequix", "nequix", runs_code=False),
        Source("schnetpack", "schnetpack", "schnetpack", "schnetpack"),
        Source("matgl", "matgl", "matgl", "matgl"),
    )
}
