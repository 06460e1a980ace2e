"""The CUDA driver by ctypes: machine code loaded and launched on torch's stream."""

import ctypes
from functools import cache
from typing import Any

import torch


@cache
def _library() -> ctypes.CDLL:
    torch.cuda.current_stream()  # makes torch's context, which is used here too
    torch.empty(1, device="cuda")
    return ctypes.CDLL("libcuda.so.1")


def _check(code: int, what: str) -> None:
    if code:
        text = ctypes.c_char_p()
        _library().cuGetErrorString(code, ctypes.byref(text))
        raise RuntimeError(f"{what}: {(text.value or b'unknown error').decode()}")


class Module:
    """Kernels of one cubin."""

    def __init__(self, code: bytes) -> None:
        self._module = ctypes.c_void_p()
        _check(_library().cuModuleLoadData(ctypes.byref(self._module), code), "cuModuleLoadData")
        self._functions: dict[str, ctypes.c_void_p] = {}

    def _function(self, name: str) -> ctypes.c_void_p:
        if name not in self._functions:
            found = ctypes.c_void_p()
            code = _library().cuModuleGetFunction(ctypes.byref(found), self._module, name.encode())
            _check(code, name)
            self._functions[name] = found
        return self._functions[name]

    def launch(self, name: str, grid: tuple[int, int], threads: int, *arguments: Any) -> None:
        """arguments: ctypes values, as the kernel declares them."""
        pointers = (ctypes.c_void_p * len(arguments))(
            *(ctypes.cast(ctypes.pointer(a), ctypes.c_void_p) for a in arguments)
        )
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        function = self._function(name)
        code = _library().cuLaunchKernel(
            function, *grid, 1, threads, 1, 1, 0, stream, pointers, None
        )
        _check(code, name)
