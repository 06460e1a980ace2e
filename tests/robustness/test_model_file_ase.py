"""Model files that cannot be used are refused at loading, with the file and the reason."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from e3md import E3Calculator
from e3md._core import read_metadata
from e3md.model_file import METADATA_FILE

MakeModel = Callable[..., Path]


class Scaled(torch.nn.Module):
    """Somebody else's module."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def refusal(path: Path, **options: str) -> str:
    with pytest.raises(ValueError, match=r".+") as error:
        E3Calculator(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def rewritten(source: Path, target: Path, **changes: object) -> Path:
    """A copy of a model file with some keys of e3md.json changed."""
    files = {METADATA_FILE: ""}
    module = torch.jit.load(str(source), _extra_files=files)
    metadata = {**json.loads(files[METADATA_FILE]), **changes}
    torch.jit.save(module, str(target), _extra_files={METADATA_FILE: json.dumps(metadata)})
    return target


def test_missing(tmp_path: Path) -> None:
    assert "nothing.pt' does not exist" in refusal(tmp_path / "nothing.pt")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable(make_model: MakeModel, tmp_path: Path) -> None:
    path = tmp_path / "secret.pt"
    path.write_bytes(make_model().read_bytes())
    path.chmod(0)
    assert "cannot be opened" in refusal(path)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated(kept: float, make_model: MakeModel, tmp_path: Path) -> None:
    whole, path = make_model().read_bytes(), tmp_path / "half.pt"
    path.write_bytes(whole[: int(kept * len(whole))])
    message = refusal(path)
    assert "half.pt' is not an e3md model, or it is truncated" in message


def test_damaged_inside(make_model: MakeModel, tmp_path: Path) -> None:
    """Bytes flipped in the middle: the archive still opens, its content does not check."""
    content, path = bytearray(make_model().read_bytes()), tmp_path / "flipped.pt"
    middle = content.index(b"e3md.json") + 40
    content[middle : middle + 200] = b"\x00" * 200
    path.write_bytes(bytes(content))
    assert "flipped.pt" in refusal(path)


def test_text_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_text("this is not a model\n" * 100)
    assert "is not an e3md model" in refusal(path)


def test_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "pickled.pt"
    torch.save(Scaled(), path)
    assert "the archive has no e3md.json" in refusal(path)


def test_other_torchscript(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.jit.save(torch.jit.script(Scaled()), str(path))
    assert "the archive has no e3md.json" in refusal(path)


def test_newer_format(make_model: MakeModel, tmp_path: Path) -> None:
    path = rewritten(make_model(), tmp_path / "new.pt", format_version=99)
    message = refusal(path)
    assert "new.pt' has format_version 99" in message
    assert "install a newer e3md" in message


def test_damaged_metadata(make_model: MakeModel, tmp_path: Path) -> None:
    path = rewritten(make_model(), tmp_path / "odd.pt", cutoff="five")
    assert 'cutoff = "five"' in refusal(path)
    with pytest.raises(ValueError, match='cutoff = "five"'):
        read_metadata(str(path))


def test_metadata_on_a_foreign_module(make_model: MakeModel, tmp_path: Path) -> None:
    files = {METADATA_FILE: ""}
    torch.jit.load(str(make_model()), _extra_files=files)
    path = tmp_path / "masked.pt"
    torch.jit.save(torch.jit.script(Scaled()), str(path), _extra_files=files)
    assert "masked.pt' does not load: its network does not say" in refusal(path)


def test_unknown_device_and_dtype(make_model: MakeModel) -> None:
    assert "dtype must be float32 or float64, not 'float16'" in refusal(
        make_model(), dtype="float16"
    )
    assert "unknown device 'gpu'" in refusal(make_model(), device="gpu")
    assert "unknown device 'meta'" in refusal(make_model(), device="meta")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none(make_model: MakeModel) -> None:
    message = refusal(make_model(), device="cuda")
    assert "device 'cuda' is not available" in message
    assert "cpu" in message


@pytest.mark.parametrize(
    ("key", "value"), [("cutoff", 7.0), ("species", ["P", "Li", "S"]), ("exchange_width", 1)]
)
def test_metadata_of_another_network(
    key: str, value: object, make_model: MakeModel, tmp_path: Path
) -> None:
    path = rewritten(make_model(), tmp_path / "other.pt", **{key: value})
    assert f"e3md.json has {key} = " in refusal(path)


def records_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def archive_of(records: dict[str, bytes], path: Path) -> Path:
    """An archive whose checksums are right."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return path


def test_one_flipped_bit(make_model: MakeModel, tmp_path: Path) -> None:
    """In the numbers of every tensor."""
    source, path = make_model(), tmp_path / "flipped.pt"
    whole = source.read_bytes()
    records = records_of(source)
    tensors = [data for name, data in records.items() if "/data/" in name and len(data) > 64]
    assert len(tensors) > 10
    for data in tensors:
        content = bytearray(whole)
        content[whole.index(data) + len(data) // 2] ^= 4
        path.write_bytes(bytes(content))
        assert "flipped.pt' is damaged: its record " in refusal(path)


def test_a_record_marked_as_a_folder(make_model: MakeModel, tmp_path: Path) -> None:
    """torch's reader would leave its numbers as the memory was."""
    content, path = bytearray(make_model().read_bytes()), tmp_path / "folder.pt"
    entry = content.index(b"PK\x01\x02")
    content[entry + 38] |= 0x10
    path.write_bytes(bytes(content))
    assert "is marked as a folder" in refusal(path)


def test_records_that_changed_places(make_model: MakeModel, tmp_path: Path) -> None:
    records = records_of(make_model())
    names = [name for name in records if "/data/" in name and len(records[name]) > 64]
    first = names[0]
    second = next(n for n in names if records[n] != records[first])
    records[first], records[second] = records[second], records[first]
    message = refusal(archive_of(records, tmp_path / "swapped.pt"))
    assert "swapped.pt' is damaged: record data/" in message


@pytest.mark.parametrize("change", ["changed", "removed"])
def test_records_with_right_checksums(change: str, make_model: MakeModel, tmp_path: Path) -> None:
    records = records_of(make_model())
    name = next(name for name in records if name.endswith("/data/3"))
    if change == "removed":
        del records[name]
    else:
        records[name] = bytes(len(records[name]))
    assert "is damaged: record data/3" in refusal(archive_of(records, tmp_path / "odd.pt"))


def test_a_file_of_the_first_format_loads_with_a_word(
    make_model: MakeModel, tmp_path: Path
) -> None:
    path = rewritten(make_model(), tmp_path / "old.pt", format_version=1)
    with pytest.warns(
        UserWarning, match=r"old\.pt' is of format_version 1: its cutoff and species"
    ):
        E3Calculator(path)


def test_no_path_of_this_machine_is_in_a_file(make_model: MakeModel) -> None:
    for data in records_of(make_model()).values():
        assert str(Path.home()).encode() not in data
        assert str(Path(__file__).parent).encode() not in data
        assert b"site-packages" not in data
