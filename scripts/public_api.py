"""Compare the public Python modules with a release; everything else may move or change, see ``MAINTAINING.md``.

Run from the root of the repository::

    python scripts/public_api.py v1.2.0

The status is 1 where a public module breaks what the release had.
"""

from __future__ import annotations

import subprocess
import sys

PUBLIC_MODULES = ("mainstay.nox_sessions",)
"""What other projects import."""


def main(tag: str) -> int:
    """Name every break of a public module, and return the worst status.

    Args:
        tag: Of the release.
    """
    command = [sys.executable, "-m", "griffe", "check", "--search", "src", "--against", tag]
    return max(subprocess.run([*command, module], check=False).returncode for module in PUBLIC_MODULES)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
