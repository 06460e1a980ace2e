"""Model files with damage: each is refused by name, or gives the energy and forces of the sound one.

Damage by accident (bits, a file cut short, zip headers) leaves the archive's CRCs as they were, so
that they do not fit; damage on purpose (records exchanged, left out or twice, other numbers in
tables and in e3md.json) makes them right again, and is seen by the list of records that files since
format_version 2 hold; older files get damage by accident alone.
"""

import re
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from committees import write_committee_alone
from conftest import random_statistics, random_structure, small_config
from e3md import E3Calculator
from e3md.demo import MODEL_PATH
from e3md.export import save_model
from e3md.model import build_model
from e3md.model_file import TrainingRecord
from fuzz.runner import Case

ARCHITECTURES = ("nequip", "mace", "schnet", "so3net")
STRUCTURE = random_structure(6, seed=5)
INTEGERS = (-1, 0, 1, 10**6, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63))
NUMBERS = ("-1", "0", "1", "3", "1e9", "1e308", "-2.5", "4.5", "1099511627776", "12.0")
HEADERS = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08")
Records = dict[str, bytes]


class Model(NamedTuple):
    """A sound file: its bytes, its records in order, which of them are int64, and its answer."""

    name: str
    data: bytes
    records: Records
    tables: list[str]
    energy: float
    forces: NDArray[np.float64]


def answer(file: Path) -> tuple[float, NDArray[np.float64]]:
    """Energy, eV, and forces, eV/Å, of a small structure."""
    atoms = STRUCTURE.copy()
    atoms.calc = E3Calculator(file)
    return atoms.get_potential_energy(), atoms.get_forces()


def read_model(file: Path) -> Model:
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    buffers = [b for _, b in torch.jit.load(file).named_buffers() if b.dtype == torch.int64]
    integers = {b.contiguous().numpy().tobytes() for b in buffers} - {b""}
    tables = [name for name, content in records.items() if content in integers]
    assert tables, file
    return Model(file.stem, file.read_bytes(), records, tables, *answer(file))


def sound_models(folder: Path) -> list[Model]:
    """The demo's potential, a model of each architecture and a committee, with random weights."""
    torch.set_num_threads(1)
    files, statistics = [MODEL_PATH], random_statistics(("Li", "P", "S"))
    with torch.random.fork_rng():
        for arch in ARCHITECTURES:
            torch.manual_seed(7)
            config, file = small_config(arch), folder / f"{arch}.pt"
            model = build_model(config, statistics, torch.float64)
            save_model(model, config, statistics, TrainingRecord(), file)
            files.append(file)
    files.append(write_committee_alone(folder, "nequip", 2))
    return [read_model(file) for file in files]


def write_archive(file: Path, records: Mapping[str, bytes], twice: str = "") -> None:
    """A zip archive of records, CRCs and directory right; `twice` names one that comes again."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name comes twice
        for name, content in records.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        if twice:
            archive.writestr(zipfile.ZipInfo(twice), records[twice][::-1])


# ---- damage: writes `file`, returns what was done ------------------------------------------------


def flip_bits(model: Model, file: Path, rng: np.random.Generator) -> str:
    data = bytearray(model.data)
    places = rng.choice(8 * len(data), size=rng.integers(1, 9), replace=False)
    for place in places:
        data[place // 8] ^= 1 << int(place % 8)
    file.write_bytes(data)
    return f"bits {places.tolist()}"


def cut(model: Model, file: Path, rng: np.random.Generator) -> str:
    size = int(rng.integers(0, len(model.data)))
    file.write_bytes(model.data[:size])
    return f"after {size} of {len(model.data)} bytes"


def change_header(model: Model, file: Path, rng: np.random.Generator) -> str:
    """Up to eight bytes of a local header, the central directory or its end."""
    data, mark = bytearray(model.data), HEADERS[rng.integers(len(HEADERS))]
    found = [m.start() for m in re.finditer(re.escape(mark), model.data)] or [len(data) - 22]
    start = found[rng.integers(len(found))] + int(rng.integers(0, 46))
    place = slice(min(start, len(data) - 1), min(start + int(rng.integers(1, 9)), len(data)))
    n = len(data[place])
    new = (bytes(n), b"\xff" * n, rng.bytes(n))[rng.integers(3)]
    data[place] = new if data[place] != new else bytes(byte ^ 0xFF for byte in new)
    file.write_bytes(data)
    return f"{bytes(data[place])!r} at byte {place.start}"


def exchange(model: Model, file: Path, rng: np.random.Generator) -> str:
    names = list(model.records)
    a = names[rng.integers(len(names))]
    same_size = [n for n in names if len(model.records[n]) == len(model.records[a])]
    others = same_size if len(same_size) > 1 and rng.random() < 0.7 else names
    others = [n for n in others if n != a]
    b = others[rng.integers(len(others))]
    write_archive(file, {**model.records, a: model.records[b], b: model.records[a]})
    return f"{a} and {b}"


def change_integer(model: Model, file: Path, rng: np.random.Generator) -> str:
    name = model.tables[rng.integers(len(model.tables))]
    table = np.frombuffer(model.records[name], dtype=np.int64).copy()
    place, near = int(rng.integers(len(table))), int(rng.integers(-1, table.max() + 2))
    table[place] = (*INTEGERS, near, near)[rng.integers(len(INTEGERS) + 2)]
    write_archive(file, {**model.records, name: table.tobytes()})
    return f"{name}[{place}] = {table[place]}"


def change_metadata(model: Model, file: Path, rng: np.random.Generator) -> str:
    """One number in e3md.json."""
    name = next(n for n in model.records if n.endswith("/extra/e3md.json"))
    text = model.records[name].decode()
    found = list(re.finditer(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text))
    match = found[rng.integers(len(found))]
    new = NUMBERS[rng.integers(len(NUMBERS))]
    changed = text[: match.start()] + new + text[match.end() :]
    write_archive(file, {**model.records, name: changed.encode()})
    return f"{new} for {text[max(0, match.start() - 30) : match.end()]!r}"


def leave_out(model: Model, file: Path, rng: np.random.Generator) -> str:
    names = list(model.records)
    gone = names[rng.integers(len(names))]
    write_archive(file, {n: c for n, c in model.records.items() if n != gone})
    return gone


def repeat(model: Model, file: Path, rng: np.random.Generator) -> str:
    """A record again, backwards, at the end."""
    names = list(model.records)
    name = names[rng.integers(len(names))]
    write_archive(file, model.records, name)
    return name


DAMAGE: dict[str, Callable[[Model, Path, np.random.Generator], str]] = {
    "bits": flip_bits,
    "cut short": cut,
    "headers": change_header,
    "exchanged": exchange,
    "integers": change_integer,
    "e3md.json": change_metadata,
    "left out": leave_out,
    "twice": repeat,
}


ACCIDENTS = ("bits", "cut short", "headers")


def kinds_for(model: Model) -> tuple[str, ...]:
    """The damage that a file of this format is to be safe from."""
    listed = any(name.endswith("/extra/records.txt") for name in model.records)
    return tuple(DAMAGE) if listed else ACCIDENTS


def gives_the_same(file: Path, model: Model) -> bool:
    energy, forces = answer(file)
    return energy == model.energy and np.array_equal(forces, model.forces)


def cases(folder: Path) -> Callable[[int], Case]:
    """The case of every seed; sound models are made once, in the folder."""
    return cases_of(sound_models(folder), folder)


def cases_of(models: Sequence[Model], folder: Path) -> Callable[[int], Case]:
    """The same of models that are there."""

    def case(seed: int) -> Case:
        rng = np.random.default_rng(seed)
        model, file = models[rng.integers(len(models))], folder / f"damaged_{seed}.pt"
        kinds = kinds_for(model)
        kind = kinds[rng.integers(len(kinds))]
        detail = DAMAGE[kind](model, file, rng)
        return Case(
            seed, kind, file, lambda: gives_the_same(file, model), f"{model.name}, {detail}"
        )

    return case
