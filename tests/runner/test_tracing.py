"""What the trace knows of the standard library."""

import builtins
import collections
import contextlib
import dataclasses
import enum
import functools
import sys
import types
import typing

from mainstay.runner.tracing import COPIES_DOCSTRINGS


def make_wrappers():
    """Make one of everything that copies a docstring."""

    @dataclasses.dataclass
    class Point:
        x: int = 0

    @contextlib.contextmanager
    def manager():
        yield

    @functools.wraps(manager)
    def wrapped(): ...

    class Held:
        value = property(lambda _: 1)
        twice = functools.cached_property(lambda _: 2)
        partial = functools.partialmethod(lambda _: 3)

    with manager():
        enum.Enum("Colour", "RED GREEN"), collections.namedtuple("Pair", "a b"), typing.NamedTuple("One", [("a", int)])
        functools.cache(wrapped), functools.singledispatch(wrapped), types.DynamicClassAttribute(lambda _: 4)
        return Point(), Held().twice


def test_modules_of_the_standard_library_that_ask_for_docstrings_only_to_copy_them_are_known(monkeypatch):
    asking = set()

    def watched(*arguments, function=getattr):
        if arguments[1] == "__doc__":
            asking.add(sys._getframe(1).f_globals["__name__"])
        return function(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "getattr", watched)
        make_wrappers()

    assert {"functools", "contextlib"} <= asking <= COPIES_DOCSTRINGS
