"""TorchScript archives of model files: written with a list of their records, read after checks."""

import io
import json
import zipfile
from typing import Any

import torch

import e3md.ops  # noqa: F401  registers the ops that model files call
from e3md._core import check_model_file

RECORDS = "extra/records.txt"
_UNCHANGING = (1980, 1, 1, 0, 0, 0)  # equal models are equal files, whenever they were written


def pack(module: torch.jit.ScriptModule, metadata: dict[str, Any], name: str) -> bytes:
    """The archive of a module with `metadata` as its extra file `name`.

    Its last record lists the CRC-32, size and name of all others: records that changed places,
    lost or doubled ones and changed ones are noticed on loading (cpp/src/archive.cpp). Records with
    the places of the source code, which would name folders of the machine, are left out.
    """
    written = io.BytesIO()
    text = json.dumps(metadata, indent=2, ensure_ascii=False)
    torch.jit.save(module, written, _extra_files={name: text})
    packed = io.BytesIO()
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(packed, "w") as target:
        kept = [entry for entry in source.infolist() if not entry.filename.endswith(".debug_pkl")]
        for entry in kept:
            _add(target, entry.filename, source.read(entry), entry.compress_type)
        folder = kept[0].filename.partition("/")[0]
        lines = (
            f"{entry.CRC:08x} {entry.file_size} {entry.filename.partition('/')[2]}\n"
            for entry in target.infolist()
        )
        _add(target, f"{folder}/{RECORDS}", "".join(lines).encode(), zipfile.ZIP_STORED)
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes, compression: int) -> None:
    entry = zipfile.ZipInfo(name, _UNCHANGING)
    entry.compress_type = compression
    archive.writestr(entry, data)


def load_module(path: str) -> torch.jit.ScriptModule:
    """The module of a model file, on the CPU; nothing of it has run.

    Raises:
        ValueError: if the file is damaged, or its code is not that of an exported model.
    """
    check_model_file(path)
    return torch.jit.load(path, map_location="cpu")
