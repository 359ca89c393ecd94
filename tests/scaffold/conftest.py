"""Scripts of the repository as modules; outside the repository there is nothing to test here."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


if not (ROOT / "noxfile.py").exists():
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def script():
    """Load a module of ``scripts/``, or of another folder, by name."""

    def load(name, folder="scripts"):
        module_name = f"{folder.replace('/', '.')}.{name}"
        spec = importlib.util.spec_from_file_location(module_name, ROOT / folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load
