"""What makes the site, as modules; outside the repository there is nothing to test here."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

if (ROOT / "noxfile.py").exists():
    sys.path.insert(0, str(ROOT))
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def root():
    return ROOT
