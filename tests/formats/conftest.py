"""Tools whose files are read, run here with their dummy models; without network.

They need the dependency group ``formats``. Without it these tests are skipped; with ``MAINSTAY_FORMATS=required`` they
fail instead.
"""

import importlib.util
import os
import subprocess
import sys

import pytest

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


@pytest.fixture(scope="session")
def run_tool():
    """Runs ``python ARGUMENTS`` in a folder, where all that a tool keeps stays too."""

    def run(folder, package, *arguments):
        if importlib.util.find_spec(package) is None:
            if os.environ.get("MAINSTAY_FORMATS") == "required":
                pytest.fail(f"{package} is not installed")
            pytest.skip(f"{package} is not installed")
        environment = os.environ | OFFLINE | {"HF_HOME": str(folder / "kept"), "XDG_DATA_HOME": str(folder / "kept")}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    return run
