"""CUDA's runtime compiler by ctypes: from text to machine code, with what it says of registers."""

import ctypes
import re
import sysconfig
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """Of one kernel."""

    registers: int
    spilled: int  # bytes of stores and loads
    shared: int  # bytes of a block


class Compiled(NamedTuple):
    code: bytes  # a cubin
    usage: dict[str, Usage]


def found() -> bool:
    """Whether pip's nvidia-cuda-nvrtc is here."""
    return bool(_libraries("libnvrtc.so.*"))


def _libraries(pattern: str) -> list[Path]:
    return sorted(Path(sysconfig.get_path("purelib"), "nvidia").glob(f"*/lib/{pattern}"))


@cache
def _library() -> ctypes.CDLL:
    for builtins in _libraries("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins))  # else looked for on the system's path, and not found
    return ctypes.CDLL(str(_libraries("libnvrtc.so.*")[-1]))


def version() -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def _got(name: str, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    getattr(_library(), f"nvrtcGet{name}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(_library(), f"nvrtcGet{name}")(program, buffer)
    return buffer.raw


def compiled(text: str, level: str, *options: str) -> Compiled:
    """level: such as sm_90.

    Raises:
        ValueError: with the compiler's words.
    """
    program = ctypes.c_void_p()
    nvrtc = _library()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"e3md.cu", 0, None, None)
    words = [w.encode() for w in ("--std=c++17", f"-arch={level}", "--ptxas-options=-v", *options)]
    failed = nvrtc.nvrtcCompileProgram(program, len(words), (ctypes.c_char_p * len(words))(*words))
    log = _got("ProgramLog", program).rstrip(b"\0").decode()
    if failed:
        raise ValueError(log)
    code = _got("CUBIN", program)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return Compiled(code, _usage(log))


def _usage(log: str) -> dict[str, Usage]:
    usage = {}
    for part in log.split("Compiling entry function")[1:]:
        (name,) = re.findall(r"'(\w+)'", part)[:1]
        spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill", part))
        registers = int(re.findall(r"Used (\d+) registers", part)[0])
        shared = re.findall(r"(\d+) bytes smem", part)
        usage[name] = Usage(registers, spilled, int(shared[0]) if shared else 0)
    return usage
