"""The containers, keys and class names of a pickle, without importing a class or running its code.

Python's own unpickler in Python is used, for the one in C reserves memory that a file only claims to
need (memo indices up to 2³²).
"""

import io
import pickle
from collections.abc import Iterator
from typing import Any, ClassVar

LARGEST = 1 << 28  # bytes of a pickle that are looked at; tensors of torch lie outside of it


class Stub(dict):
    """Stands for an object of any class; also for mappings, whose entries it holds."""

    path: ClassVar[str] = ""  # "package.module.Class"

    def __new__(cls, *_: Any, **__: Any) -> "Stub":
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **_: Any) -> None:
        super().__init__()
        self.arguments = arguments
        self.state: Any = None

    def __call__(self, *_: Any, **__: Any) -> "Stub":
        """As of functions that a pickle builds, then calls."""
        return Stub()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def append(self, _: Any) -> None:
        """As of list subclasses, whose items tell nothing."""

    def extend(self, _: Any) -> None:
        """As `append`."""

    def add(self, _: Any) -> None:
        """As of set subclasses."""


class _Reader(pickle._Unpickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")
        self.classes: dict[str, type[Stub]] = {}

    def find_class(self, module: str, name: str) -> Any:
        path = f"{module}.{name}"
        if path not in self.classes:
            self.classes[path] = type(name, (Stub,), {"path": path})
        return self.classes[path]

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError(f"extension {code}")

    def persistent_load(self, _: Any) -> Stub:
        return Stub()


def skeletons(content: bytes) -> Iterator[tuple[Any, set[str]]]:
    """Each pickle of a file, one after the other: its root, and the paths of all classes it names.

    Ends where the bytes are no pickle, or a damaged one.
    """
    file = io.BytesIO(content[:LARGEST])
    while file.tell() < len(content):
        reader = _Reader(file)
        try:
            root = reader.load()
        except (
            Exception
        ):  # what a damaged pickle raises is open: every opcode has errors of its own
            return
        yield root, set(reader.classes)
