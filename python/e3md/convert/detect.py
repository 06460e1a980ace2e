"""Which program wrote a model: by the structure of the file, which is never loaded."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e3md.convert import by_products
from e3md.convert.by_products import ByProduct
from e3md.convert.neutral import ConversionError
from e3md.convert.skeleton import LARGEST, Stub, skeletons
from e3md.convert.sources import SOURCES, Source

_TORCH_MAGIC = (
    0x1950A86A20F9469CFC6C  # first pickle of torch.save before torch 1.6; the 4th is the object
)
_LONGEST_LINE = 1 << 20  # bytes of a Nequix header
_SCRIPTED = "__torch__."  # before the classes of TorchScript
_BEGINNINGS = {  # bytes of files that people take for a model
    b"version https://git-lfs": ByProduct(
        "a pointer of Git LFS in place of the file", "Fetch the file itself: git lfs pull"
    ),
    b"<": ByProduct("a web page or XML", "Download the file itself (its raw form)"),
    b"\x1f\x8b": ByProduct("compressed with gzip", "Unpack it first"),
    b"\x89HDF": ByProduct("an HDF5 file", "Give the model that its program loads"),
}
Found = str | ByProduct | None


def detect(path: Path) -> Source:
    """The source of a model file or folder.

    Raises:
        ConversionError: if there is no such file, it is damaged, holds something else of a program
            (with what to give instead), or no program is recognized.
    """
    if not path.exists():
        raise ConversionError(f"{path}: no such file")
    try:
        found = _of_folder(path) if path.is_dir() else _of_file(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ConversionError(f"{path}: a damaged archive ({error}); get the file again") from error
    if isinstance(found, ByProduct):
        raise ConversionError(f"{path} is {found.what}. {found.instead}")
    if found is None:
        programs = ", ".join(dict.fromkeys(source.program for source in SOURCES.values()))
        raise ConversionError(f"{path}: not a model of {programs}")
    return SOURCES[found]


def _of_folder(path: Path) -> Found:
    description = path / "model.json"
    if description.is_file():
        content = _json(description.read_bytes())
        if isinstance(content, dict) and {"@class", "@module", "kwargs"} <= content.keys():
            if (path / "state.pt").is_file():
                return "matgl"
            return ByProduct(
                "a matgl model without its weights", "It needs state.pt beside model.json"
            )
    if (path / "record.json").is_file():
        return ByProduct("a run of e3md", f"Export it: e3md export {path} -o model.pt")
    if (path / "saved_model.pb").is_file():
        return ByProduct("a TensorFlow model (GRACE, DeePMD-kit)", "e3md has no converter for it")
    if (path / "deployed_parallel_0.pt").is_file():
        return by_products.PARALLEL_SEVENNET
    inside = sorted(entry.name for entry in path.iterdir() if entry.is_file() and _is_model(entry))
    if inside:
        return ByProduct("a folder", f"Give one of its files: {', '.join(inside[:8])}")
    return ByProduct("a folder without a model that e3md can convert", "Give the model file itself")


def _is_model(path: Path) -> bool:
    try:
        return isinstance(_of_file(path), str)
    except Exception:  # of files that have nothing to do with it, in any state
        return False


def _of_file(path: Path) -> Found:
    with path.open("rb") as handle:
        line = handle.readline(_LONGEST_LINE)
        after = handle.read(8)
    if not line:
        return ByProduct("empty", "Get the file again")
    header = _json(line) if line.startswith(b"{") else None
    if isinstance(header, dict) and {"hidden_irreps", "atomic_numbers", "cutoff"} <= header.keys():
        return by_products.NEQUIX_TORCH if after.startswith(b"PK") else "nequix"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _of_archive(archive, path)
    if line.startswith(b"PK"):
        return ByProduct("an archive that ends too early", "It is damaged: get the file again")
    for beginning, found in _BEGINNINGS.items():
        if line.startswith(beginning):
            return found
    names = _safetensors(path)
    if names:
        return by_products.of_weights(names, "the weights alone (safetensors)") or ByProduct(
            "the weights alone (safetensors)", "Give the model file that its program loads"
        )
    if path.suffix == ".pb":
        return by_products.no_converter("DeePMD-kit (a TensorFlow graph)")
    with path.open("rb") as handle:
        return _of_pickles(handle.read(LARGEST))


def _of_archive(archive: zipfile.ZipFile, path: Path) -> Found:
    """torch.save writes data.pkl, TorchScript code too, torch.package the modules' sources."""
    names = {name.partition("/")[2]: name for name in archive.namelist()}
    if "extra/e3md.json" in names:
        return ByProduct("a model of e3md", "There is nothing to convert: use it as it is")
    if ".data/extern_modules" in names:
        if not any(name.startswith("nequip/") for name in names):
            return ByProduct("a package of torch.package", "e3md reads those of NequIP alone")
        renamed = not path.name.endswith(".nequip.zip")
        return by_products.NEQUIP_PACKAGE_RENAMED if renamed else "nequip"
    if any("data/aotinductor/" in name for name in archive.namelist()):
        return by_products.AOT_INDUCTOR
    if "data.pkl" not in names:
        return ByProduct("an archive without a model", "Unpack it, or give the model file itself")
    with archive.open(names["data.pkl"]) as handle:
        content = handle.read(LARGEST)
    if any(name.startswith("code/__torch__") for name in names):
        return _of_script(content, names)
    return _of_pickles(content)


def _of_script(content: bytes, names: Mapping[str, str]) -> Found:
    """A TorchScript archive: by the class of its module, else by the code that it carries."""
    root, _ = next(skeletons(content), (None, set()))
    path = root.path.removeprefix(_SCRIPTED) if isinstance(root, Stub) else ""
    carried = [
        name.removeprefix("code/__torch__/").replace("/", ".")
        for name in names
        if name.startswith("code/__torch__/")
    ]
    for name in (path, *sorted(carried)):
        if name.startswith("sevenn."):
            parallel = "extra/comm_size" in names
            return by_products.PARALLEL_SEVENNET if parallel else "sevennet_deployed"
        found = by_products.of_class(name, scripted=True)
        if found is not None:
            return found
    return ByProduct(
        f"a TorchScript module of a program that e3md does not know ({path or 'no class'})",
        "Give the model that it was made from",
    )


def _of_pickles(content: bytes) -> Found:
    roots = list(skeletons(content))
    if len(roots) > 3 and roots[0][0] == _TORCH_MAGIC:
        roots = roots[3:]
    return _of_object(*roots[0]) if roots else None


def _of_object(root: Any, classes: set[str]) -> Found:
    """What torch.save or pickle wrote, from its outermost object."""
    if type(root) is dict or _is_ordered(root):
        held = next((v for v in root.values() if isinstance(v, Stub) and _source_of(v.path)), None)
        if held is not None:
            return ByProduct(
                f"a dictionary that holds a model ({held.path})", "Save the model alone: torch.save"
            )
        return _checkpoint(root) or by_products.of_mapping(root)
    if not isinstance(root, Stub):
        return None
    for path in (root.path, *sorted(classes)):  # a wrapper of torch: what it holds tells
        found = by_products.of_class(path, scripted=False) or _source_of(path)
        if found is not None:
            return found
    return ByProduct(
        f"an object of the class {root.path}", "docs/convert.md lists the programs that e3md reads"
    )


def _source_of(path: str) -> str | None:
    package = path.partition(".")[0]
    return package if package in ("mace", "schnetpack") else None


def _is_ordered(root: Any) -> bool:
    return isinstance(root, Stub) and root.path == "collections.OrderedDict"


def _checkpoint(root: Mapping[Any, Any]) -> str | None:
    """Checkpoints that hold options beside weights."""
    config, hyper = root.get("config"), root.get("hyper_parameters")
    if "model_state_dict" in root and isinstance(config, Mapping) and "_type_map" in config:
        return "sevennet"
    if "state_dict" in root and isinstance(hyper, Mapping):
        info = hyper.get("info_dict")
        if isinstance(info, Mapping) and "training_module" in info:
            return "nequip"
    return None


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _safetensors(path: Path) -> list[str]:
    """Names of the arrays of a safetensors file; none if it is another file."""
    with path.open("rb") as handle:
        size = int.from_bytes(handle.read(8), "little")
        if not 2 <= size <= min(path.stat().st_size, LARGEST):
            return []
        header = _json(handle.read(size))
    return [name for name in header if name != "__metadata__"] if isinstance(header, dict) else []
