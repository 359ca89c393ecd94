"""Experiments as modules; outside the repository there is nothing to test here."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

if (ROOT / "experiments").exists():
    sys.path.insert(0, str(ROOT))
else:
    collect_ignore_glob = ["*.py"]


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def simulation():
    """The module that simulates gates."""
    from experiments import simulate

    return simulate


@pytest.fixture(scope="session")
def characteristics():
    """The experiment that measures the error rates."""
    from experiments import operating_characteristics

    return operating_characteristics


@pytest.fixture(scope="session")
def published():
    """The committed error rates."""
    path = ROOT / "docs" / "results" / "operating_characteristics.json"
    return json.loads(path.read_text(encoding="utf-8"))
