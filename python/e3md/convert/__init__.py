"""Models of other programs, weight for weight: `e3md convert`."""

import tempfile
from pathlib import Path

import torch
from rich.console import Console

from e3md.convert.check import Difference, compare, require_forces
from e3md.convert.detect import detect
from e3md.convert.interpreter import interpreter
from e3md.convert.learned import doubtful_elements
from e3md.convert.neutral import ConversionError, Converted, Neutral
from e3md.convert.peer import Peer
from e3md.convert.sources import SOURCES
from e3md.data.read import file_sha256
from e3md.export import save_model
from e3md.model.build import set_dtype
from e3md.model_file import TrainingRecord
from e3md.structures import perturbed_structures

__all__ = ["ConversionError", "Converted", "Neutral", "build", "convert"]


def build(neutral: Neutral) -> Converted:
    """The e3md model of a foreign model in neutral form, float64.

    Raises:
        ConversionError: naming options or weights that e3md has no counterpart of.
    """
    return SOURCES[neutral.source].build(neutral)


def convert(
    path: str | Path,
    output: str | Path,
    head: str | None = None,
    dtype: str | None = None,
    python: str | Path | None = None,
    trust_source: bool = False,
) -> Difference:
    """Convert a model file, compare it with its program, and write it if they agree.

    Args:
        path: model file (or folder) of mace-torch, nequip, SevenNet, Nequix, SchNetPack or matgl.
        output: model file to write.
        head: which of several heads of the model.
        dtype: "float32" or "float64"; that of the source if not given.
        python: interpreter of an environment with the other program; this one if not given.
        trust_source: allow formats that run code of the file when they are read (pickles, TorchScript).

    Raises:
        ConversionError: for files, options and weights that cannot be converted, and for a result
            that differs from the source; nothing is written then.
    """
    source, output = detect(Path(path)), Path(output)
    if source.runs_code and not trust_source:
        raise ConversionError(
            f"{path}: reading a {source.program} model runs code that the file names. If you trust "
            "where it comes from, say so with --trust-source"
        )
    if output.is_dir() or not output.parent.is_dir():
        problem = "is a folder" if output.is_dir() else f"there is no folder {output.parent}"
        raise ConversionError(f"{output} cannot be written: {problem}")
    other = interpreter(Path(python) if python else None)
    peer = Peer(source, Path(path).resolve(), other, output.with_suffix(".convert.log"), head)
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        console.print(
            f"reading {path} with {peer.python} ({source.program})", highlight=False, soft_wrap=True
        )
        peer.extract(Path(folder) / "neutral.safetensors")
        neutral = Neutral.read(Path(folder) / "neutral.safetensors")
        if neutral.assumed:
            console.print(f"[yellow]assumed:[/] {neutral.assumed}", soft_wrap=True)
        converted = build(neutral)
        difference = _check(converted, peer, Path(folder), console)
    origin = f"{source.program} {neutral.version}: {Path(path).name}, {_sha256(Path(path))}"
    console.print(_write(converted, dtype or neutral.dtype, origin, output), soft_wrap=True)
    console.print(f"wrote {output}", highlight=False)
    return difference


def _check(converted: Converted, peer: Peer, folder: Path, console: Console) -> Difference:
    structures = perturbed_structures(converted.statistics.species)
    dtype, references = peer.evaluate(structures, folder)
    save_model(
        converted.model, converted.config, converted.statistics, TrainingRecord(),
        folder / "m.pt", exact=True,
    )  # fmt: skip
    found = compare(folder / "m.pt", references, peer.source.program)
    console.print(
        f"largest difference from {peer.source.program} on {len(structures)} structures ({dtype}): "
        f"energy {found.energy_per_atom:.1e} eV/atom, forces {found.forces:.1e} eV/Å, "
        f"stress {found.stress:.1e} eV/Å³ (largest force {found.largest_force:.2g} eV/Å)",
        highlight=False,
        soft_wrap=True,
    )
    if not found.within(dtype):
        raise ConversionError(
            f"the converted model differs from {peer.source.program}: nothing was written"
        )
    require_forces(found, peer.source.program)
    for doubt in doubtful_elements(folder / "m.pt", converted.statistics):
        console.print(f"[yellow]doubtful:[/] {doubt}", highlight=False, soft_wrap=True)
    return found


def _sha256(path: Path) -> str:
    return f"SHA-256 {file_sha256(path)}" if path.is_file() else "a folder"


def _write(converted: Converted, dtype: str, origin: str, output: Path) -> str:
    set_dtype(converted.model, getattr(torch, dtype))
    record = TrainingRecord(converted_from=origin)
    return save_model(converted.model, converted.config, converted.statistics, record, output)
