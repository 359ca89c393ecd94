import importlib.util
import json
import sys
from pathlib import Path

import pytest

collect_ignore = ["subject", "asv"]  # a project of its own, which these tests gate, and what asv runs of it


def load(name):
    """A script of this folder as a module; the folder is no package."""
    qualified = f"tests.calibration.{name}"
    if qualified not in sys.modules:
        spec = importlib.util.spec_from_file_location(qualified, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[qualified] = module
        spec.loader.exec_module(module)
    return sys.modules[qualified]


@pytest.fixture(scope="session")
def simulation():
    """The module that simulates gates."""
    return load("simulate")


@pytest.fixture(scope="session")
def characteristics(simulation):
    """The script that measures and writes the error rates."""
    return load("operating_characteristics")


@pytest.fixture(scope="session")
def published():
    """The committed error rates."""
    path = Path(__file__).parents[2] / "docs" / "results" / "operating_characteristics.json"
    return json.loads(path.read_text(encoding="utf-8"))
