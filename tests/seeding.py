"""Seed every test and every example of a docstring alike, in whatever order they run, so that none fails by chance.

What is made for several tests is seeded too: otherwise its numbers would depend on which of them comes first.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest


def _seed() -> None:
    random.seed(0)
    if torch := sys.modules.get("torch"):  # the pure parts are tested without it
        torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> None:
    if fixturedef.scope != "function":
        _seed()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    _seed()
