"""Cases of a parametrised test of which the default suite runs some, and the slow tests run all."""

from collections.abc import Collection, Iterable

import pytest


def some_always(names: Iterable[str], always: Collection[str]) -> list:
    """Parameters of a test: each name, those that are not always run marked as slow."""
    return [pytest.param(name, marks=[] if name in always else pytest.mark.slow) for name in names]
