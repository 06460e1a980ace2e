"""How to get the same again: the command, its configuration, and the versions of what ran."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from e3md import __version__
from e3md.report.content import Section, Table

PACKAGES = ("torch", "e3nn", "lightning", "ase", "numpy", "matscipy")


def origin_section(text: list[str], code: str) -> Section:
    """text: paragraphs. code: what to type or to save."""
    rows = [("e3md", __version__), ("Python", platform.python_version())]
    rows += [(name, _version(name)) for name in PACKAGES]
    rows.append(("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"))
    table = Table("Versions of what wrote this page", ("package", "version"), rows)
    return Section("origin", "Reproduce", text, [table], code=code)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
