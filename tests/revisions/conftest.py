import os
import shutil
import subprocess
import sys
import tempfile

import pytest
import uv

from mainstay.records.trials import Side
from mainstay.revisions import uv_commands
from tests.revisions.small_packages import BACKEND, publish, pyproject, write


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of layers and resolutions of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(uv_commands, "cache_folder", lambda: folder)
    return folder


@pytest.fixture(scope="session")
def asked(tmp_path_factory):
    """A cache of uv with nothing in it but what uv has asked this interpreter, as it would anew for every cache."""
    folder = tmp_path_factory.mktemp("asked")
    command = [uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder / "environment")]
    subprocess.run(command, check=True, env={**os.environ, "UV_CACHE_DIR": str(folder / "uv-cache")})
    return folder / "uv-cache"


@pytest.fixture
def shelf(tmp_path, monkeypatch, cache, asked):
    """A package index of the test's own, with all the packages there are."""
    folder = tmp_path / "shelf"
    publish(folder, "pluggy", "1.0")
    publish(folder, "pluggy", "2.0")
    publish(folder, "pytest", "8.0", "pluggy")
    publish(folder, "pytest", "9.0", "pluggy>=2")
    publish(folder, "tool", "1.0")
    publish(folder, "tool", "2.0")
    monkeypatch.setenv("UV_DEFAULT_INDEX", folder.as_uri())
    monkeypatch.setenv("UV_CACHE_DIR", str(shutil.copytree(asked, tmp_path / "uv-cache")))
    return folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files, also for child processes."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def trees(tmp_path):
    """A worktree of each revision of one small package."""
    found = {side: tmp_path / f"{side:_<9}" / "tree" for side in Side}
    for tree in found.values():
        write(tree, **{"backend.py": BACKEND, "src/subject/__init__.py": "", "pyproject.toml": pyproject()})
    return found
