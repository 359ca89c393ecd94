"""The pytest plugin, which lets workloads run as ordinary tests under plain ``pytest``.

It registers the markers and provides the fixtures ``trial``, ``counts`` and ``import_timer``; ``benchmark`` comes from
pytest-benchmark. The gate does not use this plugin: it uses the worker's own fixtures for both revisions.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mainstay.runner.counting import Counts
from mainstay.runner.importing import probe_import
from mainstay.runner.markers import MARKERS
from mainstay.runner.recording import Trial


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--trial-seed``."""
    group = parser.getgroup("mainstay")
    group.addoption("--trial-seed", type=int, default=0, help="seed of the trial fixture (default: 0)")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for line in MARKERS.values():
        config.addinivalue_line("markers", line)


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Trial:
    """Recorder of an accuracy workload, with the seed of ``--trial-seed``."""
    return Trial(seed=request.config.getoption("--trial-seed"))


@pytest.fixture
def counts() -> Counts:
    """Deterministic counts of a workload; the project's own modules count as imported, since it is unknown here."""
    return Counts()


@pytest.fixture
def import_timer() -> Callable[[str], float]:
    """Imports a module once in a fresh interpreter; returns the seconds."""
    return lambda module: probe_import(module).seconds
