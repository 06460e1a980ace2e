"""Refuses a wheel that names folders of the machine that built it, or that needs what pip does not bring.

check_wheel.py WHEEL FOLDER ...   # the folders whose names may not occur
"""

import io
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

# libtorch and its OpenMP runtime come with torch; the rest is on every Linux (PEP 600)
ALLOWED = re.compile(
    r"lib(e3md|torch|torch_cpu|c10)\.so|libgomp\.so\.1"
    r"|lib(c|m|pthread|dl|rt)\.so\.6|lib(pthread|dl|rt)\.so\.\d|libstdc\+\+\.so\.6|libgcc_s\.so\.1"
    r"|ld-linux-(x86-64\.so\.2|aarch64\.so\.1)"
)


def faults(wheel: Path, folders: Sequence[str]) -> Iterator[str]:
    """What is wrong with a wheel, a line for each fault."""
    names = [folder.rstrip("/") + "/" for folder in folders if folder.rstrip("/")]
    with zipfile.ZipFile(wheel) as archive:
        for file in archive.namelist():
            data = archive.read(file)
            yield from (f"{file} names {name}" for name in names if name.encode() in data)
            if data.startswith(b"\x7fELF"):
                yield from (f"{file} {fault}" for fault in link_faults(data))


def link_faults(data: bytes) -> Iterator[str]:
    """Libraries that a binary needs and may not, and places where it looks for them."""
    for section in ELFFile(io.BytesIO(data)).iter_sections():
        if not isinstance(section, DynamicSection):
            continue
        for tag in section.iter_tags():
            if tag.entry.d_tag == "DT_NEEDED" and not ALLOWED.fullmatch(tag.needed):
                yield f"needs {tag.needed}"
            if tag.entry.d_tag in ("DT_RUNPATH", "DT_RPATH"):
                path = getattr(tag, "runpath", None) or tag.rpath
                yield from (f"looks in {p}" for p in path.split(":") if not p.startswith("$ORIGIN"))


def main(wheel: str, *folders: str) -> int:
    found = list(faults(Path(wheel), folders))
    print(*found, sep="\n", file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
