"""Why an extraction script failed, in a line: never the other program's traceback."""

import re
import signal
from pathlib import Path
from subprocess import CompletedProcess

from e3md.convert.sources import Source

_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(: |$)")  # an unindented "ValueError: ..."
_LONGEST = 300  # characters of a line that are shown


def reason(
    source: Source, path: Path, python: Path, done: CompletedProcess[str]
) -> tuple[str, bool]:
    """What to tell the user, and whether that says everything (else there is more for a log)."""
    last = last_line(done.stderr)
    if last.startswith("unsupported: "):
        return f"{path}: e3md has no counterpart of {last.removeprefix('unsupported: ')}", True
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", last)
    if missing:
        return _missing(source, path, python, missing.group(1)), True
    if last.startswith("ImportError: "):
        return (
            f"{source.program} in the environment of {python} cannot be imported, or is of a version "
            f"without what is needed: {last}. docs/convert.md names versions that were tried"
        ), False
    if done.returncode < 0:
        return (
            f"{source.program} was ended by {_signal(-done.returncode)} while reading {path}",
            False,
        )
    return f"{source.program} failed on {path}: {last}", False


def _missing(source: Source, path: Path, python: Path, module: str) -> str:
    if module.split(".")[0] == source.package:
        return (
            f"{python} cannot read {path}, it has no package '{module}': give the interpreter of an "
            f"environment that has {source.program} with --python"
        )
    return (
        f"{python} lacks the module '{module}', which reading {path} needs: install it there, or give "
        f"an environment that has {source.program} and everything it needs with --python"
    )


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name}, as the system does when memory runs out," if name == "SIGKILL" else name


def last_line(stderr: str) -> str:
    """The last line, behind the exception it belongs to where that has several lines."""
    lines = [line.rstrip() for line in stderr.splitlines() if line.strip()]
    if not lines:
        return "it gave no reason"
    last = lines[-1]
    if not _EXCEPTION.match(last):
        exception = next((line for line in reversed(lines) if re.match(r"[\w.]+: ", line)), "")
        last = f"{exception} ... {last.strip()}" if exception else last
    return last if len(last) <= _LONGEST else f"{last[:_LONGEST]} ..."
