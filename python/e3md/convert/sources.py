"""The programs whose models e3md reads, and how to tell their files apart without opening them."""

import importlib
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e3md.convert.neutral import ConversionError, Converted, Neutral


@dataclass(frozen=True)
class Source:
    """One kind of foreign model."""

    name: str  # of convert/extract/NAME_model.py
    program: str  # as its users call it
    builder: str  # convert/BUILDER.py, which makes the e3md model
    pickled: bool = True  # reading it runs code of the file

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
        Source("mace", "mace-torch", "mace"),
        Source("nequip", "nequip", "nequip"),
        Source("sevennet", "sevenn", "nequip"),
        Source("sevennet_deployed", "sevenn (deployed)", "nequip", pickled=False),
        Source("nequix", "nequix", "nequix", pickled=False),
        Source("schnetpack", "schnetpack", "schnetpack"),
        Source("matgl", "matgl", "matgl"),
    )
}
_PACKAGES = {  # top-level package whose classes a pickle names -> source; the first found counts
    "mace": "mace",
    "sevenn": "sevennet",
    "nequip": "nequip",
    "schnetpack": "schnetpack",
    "matgl": "matgl",
}


def detect(path: Path) -> Source:
    """Which program wrote a model. Pickles are scanned for names, never loaded.

    Raises:
        ConversionError: if there is no such file, or none of the programs is recognized.
    """
    if not path.exists():
        raise ConversionError(f"{path}: no such file")
    name = _of_folder(path) if path.is_dir() else _of_file(path)
    if name is None:
        raise ConversionError(
            f"{path}: not a model of {', '.join(s.program for s in SOURCES.values())}"
        )
    return SOURCES[name]


def _of_folder(path: Path) -> str | None:
    description = path / "model.json"
    if description.is_file() and "matgl" in description.read_text():
        return "matgl"
    return None


def _of_file(path: Path) -> str | None:
    if path.suffix == ".nqx":
        return "nequix"
    if path.name.endswith(".nequip.zip"):
        return "nequip"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _of_archive(archive)
    return _named(_names(path.read_bytes()))


def _of_archive(archive: zipfile.ZipFile) -> str | None:
    """A TorchScript archive has code; torch.save writes data.pkl alone."""
    names = archive.namelist()
    pickles = [name for name in names if name.endswith("data.pkl")]
    if any("/code/__torch__/sevenn/" in name for name in names):
        return "sevennet_deployed"
    return _named({name for n in pickles for name in _names(archive.read(n))})


def _names(pickle: bytes) -> set[str]:
    """Top-level packages of the globals in a pickle, and the keys that tell checkpoints apart."""
    found: set[str] = set()
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            if opcode.name == "GLOBAL":
                found.add(str(argument).split(".")[0].split(" ")[0])
            elif opcode.name == "STACK_GLOBAL" and len(strings) > 1:
                found.add(strings[-2].split(".")[0])
            if isinstance(argument, str):
                strings.append(argument)
    except ValueError:  # not a pickle, or a damaged one
        return found
    keys = set(strings)
    if "model_state_dict" in keys and "config" in keys and "_normalize_sph" in keys:
        found.add("sevenn")
    return found | {key.split(".")[0] for key in keys if key.split(".")[0] in _PACKAGES}


def _named(packages: set[str]) -> str | None:
    return next((source for package, source in _PACKAGES.items() if package in packages), None)
