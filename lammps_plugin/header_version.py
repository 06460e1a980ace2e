# SPDX-License-Identifier: GPL-2.0-or-later
"""Print the version of the LAMMPS whose headers lie in a folder, as in 20250722; else nothing."""

import re
import sys
from datetime import datetime
from pathlib import Path


def version_of(headers: Path) -> str:
    """Version by the folder: src of a source tree, or include/lammps of an installation."""
    source = headers / "version.h"
    if source.exists():
        found = re.search(r'LAMMPS_VERSION\s+"(\d+ \w{3})\w* (\d{4})', source.read_text())
        if found:
            return datetime.strptime(" ".join(found.groups()), "%d %b %Y").strftime("%Y%m%d")
    prefix = headers.parent.parent
    for folder in ("cmake", "lib/cmake", "lib64/cmake", "share/cmake"):
        config = prefix / folder / "LAMMPS" / "LAMMPSConfigVersion.cmake"
        if config.exists():
            found = re.search(r'PACKAGE_VERSION "(\d{4})\.(\d+)\.(\d+)', config.read_text())
            if found:
                year, month, day = map(int, found.groups())
                return f"{year:04d}{month:02d}{day:02d}"
    return ""


print(version_of(Path(sys.argv[1])))
