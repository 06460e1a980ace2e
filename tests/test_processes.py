"""Programs that a command runs end with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e3md.processes import run

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pid", "w").write(str(child.pid))
time.sleep(600)
"""
RUNS = """
import os, sys
from pathlib import Path
from e3md.interrupts import Interrupted, handled
from e3md.processes import run
try:
    with handled():
        run([sys.executable, "-c", sys.argv[1]], dict(os.environ))
except Interrupted as stopped:
    sys.exit(stopped.status)
"""


def test_output_and_status_are_returned(tmp_path: Path) -> None:
    script = "import sys, os; print(os.getcwd()); print('no', file=sys.stderr); sys.exit(3)"
    done = run([sys.executable, "-c", script], dict(os.environ), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}\n", "no\n")


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_program_and_its_children_end_with_the_command(tmp_path, signum, status) -> None:
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", RUNS, PARENT], cwd=tmp_path, env={**os.environ, **path}
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline, "no child"
        time.sleep(0.05)
    process.send_signal(signum)
    assert process.wait(60) == status
    child = Path(f"/proc/{(tmp_path / 'pid').read_text()}")
    assert not child.exists() or "zombie" in (child / "status").read_text()
