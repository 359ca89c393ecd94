"""Seed every test, every example of a docstring, and whatever several tests share, so that none of them fails by chance."""

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
