"""The page of an evaluation: a model file against reference data."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e3md.accuracy.errors import Compared
from e3md.data.read import Frame
from e3md.model_file import ModelRecord, read_record
from e3md.report.content import Page
from e3md.report.data_section import data_section
from e3md.report.error_sections import error_sections
from e3md.report.evaluated import Evaluated
from e3md.report.model_section import model_section
from e3md.report.origin_section import origin_section
from e3md.report.page import write_page
from e3md.report.scene import viewer_script
from e3md.report.worst import worst_section


def write_evaluation_page(
    model: Path,
    files: dict[Path, str],
    frames: Sequence[Frame],
    compared: Sequence[Compared],
    path: Path,
) -> None:
    """A set for each file.

    files: paths and the names they are shown by.
    """
    sets = [_of_file(file, name, frames, compared) for file, name in files.items()]
    sets = [one for one in sets if one.frames]
    script = viewer_script()
    record = read_record(model)
    command = shlex.join(["e3md", "evaluate", str(model), *map(str, files), "--report", str(path)])
    sections = [
        *error_sections(sets, f"Errors of {model}, created {record.created}."),
        worst_section(sets, script is not None),
        data_section({one.name: one.frames for one in sets}),
        model_section(_model(record), _training(record)),
        origin_section([], command),
    ]
    scripts = [script] if script and any(section.scene for section in sections) else []
    state = f"{len(compared)} frames of {len(sets)} file(s)"
    write_page(Page(f"Evaluation: {model.name}", state, sections, scripts=scripts), path)


def _of_file(
    file: Path, name: str, frames: Sequence[Frame], compared: Sequence[Compared]
) -> Evaluated:
    own = [k for k, frame in enumerate(frames) if frame.file == file]
    return Evaluated(name, len(own), [frames[k] for k in own], [compared[k] for k in own])


def _model(record: ModelRecord) -> dict[str, Any]:
    """What the file says of the model, in order."""
    keys = ("architecture", "species", "members", "dtype", "hyperparameters", "statistics",
            "e3md_version", "torch_version", "created")  # fmt: skip
    known = record.model_dump(mode="json")
    return {key: known[key] for key in keys}


def _training(record: ModelRecord) -> dict[str, Any]:
    """What the file says of its training; numbers in eV and Å."""
    said = record.training.model_dump(mode="json", exclude_unset=True)
    known = {key: value for key, value in said.items() if value not in ("", None)}
    files = [f"{f['file']} ({f['n_configurations']} frames)" for f in known.pop("data", [])]
    return {"data": files, **known}
