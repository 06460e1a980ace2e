"""Data files, configurations and dumps with damage: each is refused by name, or read in peace.

A changed number in a text is another number, so that any result passes whose parts are what the
reader promises: finite labels of the right shapes, a configuration that can be written and read
again.
"""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import ase.io
import numpy as np

from e3md.analysis.reading import read_trajectory
from e3md.data.read import DataKeys, read_frames
from e3md.train.config import load_config
from fuzz.runner import Case
from training_data import labelled_frames, write_run

KINDS = ("bytes", "number", "word", "drop line", "double line", "swap lines", "join lines",
         "insert", "line ends", "cut")  # fmt: skip
NUMBERS = ("nan", "-inf", "1e308", "-1e308", "1e-320", "-1", "0", "1e9", "99999999999999999999",
           "1e99999", "٣", "0x10", "1_0", "T", "1" * 5000)  # fmt: skip
WORDS = ("", "null", "~", "true", "[]", "{}", "[[[[[[[[", "*a", "&a", "!!python/name:os.system",
         "Ü", "\x00", "\ufeff", "Li", "X", "energy", "pos:R:3", "Lattice=", "R", "R=" * 50)  # fmt: skip
SIGNS = ('"', "'", "[", "]", "{", "}", ":", ",", "=", "#", "|", "%", "\\", "\t", "\x00", "\x85")
DUMP = """ITEM: UNITS
metal
ITEM: TIME
{time}
ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
3
ITEM: BOX BOUNDS pp pp pp
0 8
0 8
0 8
ITEM: ATOMS id element xu yu zu
1 Li 1 1 {x}
2 P 3 1 1
3 S 5 5 5
"""


def cases(folder: Path) -> Callable[[int], Case]:
    """Damage to extended XYZ, to a configuration and to a dump of LAMMPS."""
    config = write_run(folder)
    written = StringIO()
    ase.io.write(written, labelled_frames(3), format="extxyz")
    dump = "".join(DUMP.format(step=10 * k, time=0.01 * k, x=1 + 0.1 * k) for k in range(4))
    texts = {"data.xyz": written.getvalue(), "a.yaml": config.read_text(), "a.lammpstrj": dump}
    uses = {"data.xyz": use_data, "a.yaml": use_config, "a.lammpstrj": use_dump}
    for name, use in uses.items():
        (folder / name).write_text(texts[name])
        assert use(folder / name), name

    def case(seed: int) -> Case:
        rng = np.random.default_rng(seed)
        name = str(rng.choice(list(texts), p=(0.5, 0.4, 0.1)))
        kinds = [str(rng.choice(KINDS)) for _ in range(rng.integers(1, 4))]
        data = texts[name].encode()
        for kind in kinds:
            data = damage(data, kind, rng)
        file = folder / name
        file.write_bytes(data)
        lines = {"a.yaml": 12, "data.xyz": 4}.get(name, 1)  # one for each fault
        return Case(seed, name, file, lambda: uses[name](file), ", ".join(kinds), lines)

    return case


def use_data(file: Path) -> bool:
    remarks: list[str] = []
    frames = read_frames([file], DataKeys(), remarks)
    sound = all(
        np.isfinite(frame.energy) and np.isfinite(frame.forces).all()
        and frame.forces.shape == frame.atoms.positions.shape
        for frame in frames
    )  # fmt: skip
    return sound and all("\n" not in remark for remark in remarks)


def use_config(file: Path) -> bool:
    config = load_config(file)
    again = file.with_name("again.yaml")
    again.write_text(config.model_dump_json())
    return load_config(again) == config


def use_dump(file: Path) -> bool:
    trajectory = read_trajectory([file])
    return bool(np.isfinite(trajectory.positions).all())


def damage(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """The text with one fault of a kind."""
    if kind == "bytes":
        damaged = bytearray(data)
        for place in rng.integers(0, max(1, len(data)), rng.integers(1, 5)):
            damaged[place : place + 1] = rng.bytes(1)
        return bytes(damaged)
    if kind == "cut":
        return data[: int(rng.integers(len(data) + 1))]
    if kind == "line ends":
        return data.replace(b"\n", (b"\r\n", b"\r", b"\n\n", b" \n")[rng.integers(4)])
    lines = data.split(b"\n")
    at, other = (int(k) for k in rng.integers(0, len(lines), 2))
    if kind == "drop line":
        del lines[at]
    elif kind == "double line":
        lines.insert(other, lines[at])
    elif kind == "swap lines":
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == "join lines":
        lines[at : at + 2] = [b"".join(lines[at : at + 2])]
    else:
        lines[at] = damaged_line(lines[at], kind, rng)
    return b"\n".join(lines)


def damaged_line(line: bytes, kind: str, rng: np.random.Generator) -> bytes:
    if kind == "insert":
        at = int(rng.integers(len(line) + 1))
        return line[:at] + str(rng.choice(SIGNS)).encode() + line[at:]
    words = line.split(b" ")
    at = int(rng.integers(len(words)))
    words[at] = str(rng.choice(NUMBERS if kind == "number" else WORDS)).encode()
    return b" ".join(words)
