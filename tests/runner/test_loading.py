"""A function that is called when a module has been imported."""

import sys
from importlib import import_module

import pytest

from mainstay.runner.loading import LoadHook


@pytest.fixture
def awaited(tmp_path, monkeypatch):
    """A module that can be imported, and one that fails."""
    (tmp_path / "awaited_module.py").write_text("VALUE = 3\n")
    (tmp_path / "failing_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    yield
    sys.modules.pop("awaited_module", None)


def test_the_function_is_called_once_after_the_module_has_run(awaited):
    seen = []
    LoadHook("awaited_module", lambda: seen.append(sys.modules["awaited_module"].VALUE)).install()

    first = import_module("awaited_module")
    del sys.modules["awaited_module"]
    again = import_module("awaited_module")

    assert (first.VALUE, again.VALUE, seen) == (3, 3, [3])


def test_a_hook_that_was_removed_or_whose_module_fails_or_is_absent_calls_nothing(awaited):
    seen = []
    removed = LoadHook("awaited_module", lambda: seen.append(1))
    removed.install()
    removed.remove()
    removed.remove()
    for name in ("failing_module", "absent_module"):
        LoadHook(name, lambda: seen.append(1)).install()

    module = import_module("awaited_module")
    with pytest.raises(ZeroDivisionError):
        import_module("failing_module")
    with pytest.raises(ModuleNotFoundError):
        import_module("absent_module")

    assert (module.VALUE, seen) == (3, [])
