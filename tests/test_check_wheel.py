"""The script that checks wheels finds what it is there to find."""

import importlib.util
import zipfile
from pathlib import Path

import pytest

import e3md
from conftest import ROOT

pytest.importorskip("elftools")
_spec = importlib.util.spec_from_file_location("check_wheel", ROOT / "scripts" / "check_wheel.py")
check_wheel = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_wheel)

LIBRARY = (Path(e3md.__path__[0]) / "lib" / "libe3md.so").read_bytes()


def wheel(folder: Path, **files: bytes) -> Path:
    path = folder / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_folder_of_the_machine_is_found_in_any_file(tmp_path: Path) -> None:
    path = wheel(tmp_path, text=b"made in /home/ann/e3md/x.cpp", other=b"/home/anna/e3md")
    assert list(check_wheel.faults(path, ["/home/ann", "/nowhere", "/"])) == [
        "text names /home/ann/"
    ]


def test_libraries_that_pip_does_not_bring_are_found(tmp_path: Path) -> None:
    def needs(data: bytes) -> list[str]:
        found = check_wheel.faults(wheel(tmp_path, library=data), [])
        return [fault for fault in found if "needs" in fault]

    assert needs(LIBRARY) == []
    assert b"libgomp.so.1\0" in LIBRARY
    foreign = LIBRARY.replace(b"libgomp.so.1\0", b"libcuda.so.1\0")
    assert needs(foreign) == ["library needs libcuda.so.1"]


def test_places_of_the_machine_to_look_in_are_found(tmp_path: Path) -> None:
    path = wheel(tmp_path, library=LIBRARY.replace(b"$ORIGIN/..:", b"/usr/lib64:"))
    found = [fault for fault in check_wheel.faults(path, []) if "/usr/" in fault]
    assert found == ["library looks in /usr/lib64"]
