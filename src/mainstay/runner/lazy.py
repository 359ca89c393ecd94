"""Refusal of coroutines and generators, whose call would be timed without its work."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from .digests import RecordingError


def refuse_lazy_function(function: Callable[..., Any]) -> None:
    """Refuse a function whose call only creates a coroutine or generator.

    Raises:
        RecordingError: If it makes a coroutine or a generator.
    """
    target = function
    while isinstance(target, functools.partial):
        target = target.func
    name = getattr(target, "__qualname__", type(target).__qualname__)
    for called in (target, inspect.getattr_static(type(target), "__call__", None)):
        if inspect.iscoroutinefunction(called):
            raise RecordingError(_lazy(f"the coroutine of {name}", "asyncio.run(...)"))
        if inspect.isasyncgenfunction(called):
            raise RecordingError(_lazy(f"the asynchronous generator of {name}", "asyncio.run(...)"))
        if inspect.isgeneratorfunction(called):
            raise RecordingError(_lazy(f"the generator of {name}", "list(...)"))


def refuse_lazy_result(result: Any) -> None:
    """Refuse a returned coroutine or iterator, whose work has not been done yet.

    Raises:
        RecordingError: If the result is awaitable, or an iterator that computes its items on demand.
    """
    if isinstance(result, (types.GeneratorType, map, filter)):
        raise RecordingError(_lazy(f"a {type(result).__name__}", "list(...)"))
    if isinstance(result, types.CoroutineType):
        result.close()  # otherwise Python would warn that it was never awaited
    if isinstance(result, types.AsyncGeneratorType) or inspect.isawaitable(result):
        raise RecordingError(_lazy(f"an awaitable {type(result).__name__}", "asyncio.run(...)"))


def _lazy(made: str, remedy: str) -> str:
    return f"only the making of {made} would be measured, not its work: give a function that calls {remedy}"
