"""The interpreter of another program's environment, checked before it is given work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from e3md.convert.neutral import ConversionError

OLDEST = (3, 9)  # that extraction scripts run on
_ANSWER_WITHIN = 60  # s, also on a cold network drive
_WHO = "import sys; print('python', *sys.version_info[:2])"


def environment() -> dict[str, str]:
    """Of the child: this process's, without what would lead its Python to our packages."""
    ours = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP")
    return {name: value for name, value in os.environ.items() if name not in ours}


def interpreter(python: Path | None) -> Path:
    """The interpreter to run scripts with: the given one (a path, or a name on PATH), else this one.

    Raises:
        ConversionError: if it is missing, no Python, too old, or cannot be started.
    """
    if python is None:
        return Path(sys.executable)
    if python.is_dir():
        raise ConversionError(
            f"--python {python} is a folder: give the interpreter in it ({python / 'bin' / 'python'})"
        )
    found = shutil.which(str(python))
    if found is None:
        problem = "is not executable" if python.is_file() else "no such interpreter"
        raise ConversionError(f"--python {python}: {problem}")
    version = _version(found)
    if version < OLDEST:
        raise ConversionError(
            f"--python {python} is Python {version[0]}.{version[1]}; the conversion needs "
            f"{OLDEST[0]}.{OLDEST[1]} or newer, with the other program in it"
        )
    return Path(found)


def _version(python: str) -> tuple[int, int]:
    """Major and minor version, as the interpreter says."""
    try:
        done = subprocess.run(
            [python, "-c", _WHO], env=environment(), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=_ANSWER_WITHIN, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ConversionError(
            f"--python {python}: no answer within {_ANSWER_WITHIN} s; is it a Python interpreter?"
        ) from error
    except OSError as error:
        raise ConversionError(f"--python {python}: cannot be started ({error.strerror})") from error
    words = done.stdout.decode(errors="replace").replace("(", " ").replace(")", " ").split()
    # Python 2 prints a tuple, ('python', 2, 7)
    numbers = [int(w.strip("',")) for w in words if w.strip("',").isdigit()]
    if done.returncode or len(numbers) != 2 or "python" not in words[0]:
        raise ConversionError(f"--python {python}: not a Python interpreter")
    return numbers[0], numbers[1]
