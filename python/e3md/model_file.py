"""Model files: a TorchScript archive and, in e3md.json, a record of what it is.

Written with a list of their records, read after checks.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

import e3md.ops  # noqa: F401  registers the ops that model files call
from e3md._core import check_model_file, read_metadata
from e3md.data.domain import Domain
from e3md.data.statistics import Statistics
from e3md.model import ModelConfig

FORMAT_VERSION = 2
METADATA_FILE = "e3md.json"
# what the module carries too, so that e3md.json cannot be another model's (cpp/src/metadata.cpp)
BOUND = ("architecture", "cutoff", "species", "n_layers", "exchange_width", "members", "dtype")
FINISHED, UNFINISHED = "finished", "unfinished"
RECORDS = "extra/records.txt"
_UNCHANGING = (1980, 1, 1, 0, 0, 0)  # equal models are equal files, whenever they were written


class DataFile(BaseModel):
    """One file a model was trained on."""

    model_config = ConfigDict(frozen=True)
    file: str
    sha256: str
    n_configurations: int


class TrainingRecord(Domain):
    """Where a model's weights come from; cpp/src/training.cpp says it in logs."""

    data: list[DataFile] = Field(default=[])
    seed: int = 0
    # as in forces_mae, energy_per_atom_rmse: eV, eV/Å, eV/Å³; empty where there are none
    valid_errors: dict[str, float] = Field(default={})
    test_errors: dict[str, float] = Field(default={})
    e0_source: str = ""  # how the reference energies were found
    converted_from: str = ""
    shortest_distance: float | None = None  # Å, of the closest atoms in all sets
    state: str = ""  # FINISHED, or UNFINISHED and how far it got; empty where it is not known


class Scales(BaseModel):
    """Statistics but for the species."""

    e0s: dict[str, float]  # eV
    scale: float  # eV
    shift: float  # eV
    avg_num_neighbors: float


class ModelRecord(BaseModel):
    """e3md.json. What older files lack has a default; cpp/src/metadata.cpp requires the rest."""

    format_version: int = FORMAT_VERSION
    e3md_version: str
    torch_version: str
    architecture: str
    hyperparameters: dict[str, Any] = {}
    members: int = 1
    species: tuple[str, ...]
    cutoff: float  # Å
    n_layers: int
    exchange_width: int
    dtype: str
    units: dict[str, str] = {"energy": "eV", "length": "Å"}
    statistics: Scales
    tables: dict[str, Any] | None = None
    training: TrainingRecord = TrainingRecord()
    created: str = ""

    def bound(self) -> str:
        """JSON of what the module must agree with."""
        return json.dumps({key: getattr(self, key) for key in BOUND})

    def config(self) -> ModelConfig:
        """To build the model anew."""
        adapter: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)
        return adapter.validate_python({"arch": self.architecture, **self.hyperparameters})

    def scales(self) -> Statistics:
        """To build the model anew."""
        known = self.statistics.model_dump()
        e0s = tuple(self.statistics.e0s[symbol] for symbol in self.species)
        return Statistics(**{**known, "e0s": e0s}, species=self.species)


def read_record(path: str | Path) -> ModelRecord:
    """What a model file says of itself.

    Raises:
        ValueError: naming the file, if it is no model file, damaged, or of a newer format.
    """
    text = read_metadata(str(path)).json
    try:
        return ModelRecord.model_validate_json(text)
    except ValidationError as error:
        reason = error.errors()[0]
        where = ".".join(str(part) for part in reason["loc"])
        raise ValueError(
            f"model file '{path}': its e3md.json has {where}: {reason['msg']}"
        ) from None


def pack(module: torch.jit.ScriptModule, record: ModelRecord) -> bytes:
    """The archive of a module with its record.

    Its last record lists the CRC-32, size and name of all others: records that changed places,
    lost or doubled ones and changed ones are noticed on loading (cpp/src/archive.cpp). Records with
    the places of the source code, which would name folders of the machine, are left out.
    """
    written = io.BytesIO()
    text = json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=False)
    torch.jit.save(module, written, _extra_files={METADATA_FILE: text})
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
