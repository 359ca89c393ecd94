"""Two wheels hold the same files with the same bytes.

python scripts/compare_wheels.py A.whl B.whl
"""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import ZipFile


def wheel_differences(first: Path, second: Path) -> list[str]:
    """List the files that only one wheel has, or that differ."""
    with ZipFile(first) as one, ZipFile(second) as other:
        names = set(one.namelist()) ^ set(other.namelist())
        common = set(one.namelist()) & set(other.namelist())
        names |= {name for name in common if one.read(name) != other.read(name)}
    return sorted(names)


if __name__ == "__main__":
    differences = wheel_differences(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.exit("\n".join(["the wheels differ in:", *differences]) if differences else 0)
