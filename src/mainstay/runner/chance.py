"""Sources of chance: what can make the path of a call depend on more than its arguments and the code.

They are what gives random numbers, times, addresses, names of processes and threads, and what the environment or another
thread decides. A workload that uses none of them takes the same path at every call, as far as can be told from Python: calls
that compiled code makes itself, and the order of a set of objects, are not seen.

- :func:`find_chance`: whether something is a source of chance.
- :func:`find_named_source`: the same, by the names of a module and of what it holds.
- :func:`find_named_chance`: the first source that a code object names.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Mapping
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

from .rewording import ATTRIBUTE_LOADS, GLOBAL_LOADS, WITHOUT_EFFECT

SOURCES = frozenset(
    {
        "time", "random", "_random", "uuid", "_uuid", "secrets", "numpy.random", "torch.random", "tempfile", "resource",
        "threading", "_thread", "queue", "_queue", "asyncio", "concurrent.futures", "multiprocessing", "select", "selectors",
        "signal", "_signal", "socket", "_socket", "ssl", "_ssl", "psutil", "gc", "weakref", "_weakref",
    }
)  # fmt: skip
"""Modules of which everything counts, with all modules in them."""

NAMES: Mapping[str, frozenset[str]] = {
    "builtins": frozenset({"id", "hash", "repr", "input"}),
    "datetime": frozenset({"now", "utcnow", "today"}),
    "os": frozenset(
        {
            "environ", "environb", "getenv", "getenvb", "_Environ", "urandom", "getrandom", "getpid", "getppid", "getpgid",
            "times", "getloadavg", "cpu_count", "process_cpu_count", "sched_getaffinity",
        }
    ),
    "sys": frozenset({"getrefcount", "getallocatedblocks", "_current_frames"}),
    "torch": frozenset(
        {
            "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "normal_", "uniform_",
            "random_", "bernoulli", "bernoulli_", "multinomial", "poisson", "exponential_", "geometric_", "cauchy_",
            "log_normal_", "dropout", "dropout_", "alpha_dropout", "feature_dropout", "rrelu", "seed", "initial_seed",
        }
    ),
}  # fmt: skip
"""Names that count, by the module that they, or the class of which they are methods, belong to."""

ALIASES = {"posix": "os", "nt": "os", "_datetime": "datetime"}
"""Modules that another one stands for."""

COMPILED_BY_CYTHON = "cython_function_or_method"


def find_chance(value: Any) -> str:
    """Find out whether something is a source of chance.

    Args:
        value: A function, method, class or module, or anything else; nothing of it is called.

    Returns:
        Its name; empty if it is none.

    Example:
        >>> import functools, os, time
        >>> find_chance(time), find_chance(time.sleep), find_chance(functools.partial(os.getpid)), find_chance(os.getcwd)
        ('time', 'time.sleep', 'os.getpid', '')
    """
    while isinstance(value, functools.partial | functools._lru_cache_wrapper):
        value = value.func if isinstance(value, functools.partial) else value.__wrapped__
    name, modules = _origin(value)
    return next(filter(None, (find_named_source(module, name) for module in modules)), "")


def find_named_source(module: str, name: str) -> str:
    """Find out whether what a module calls by a name is a source of chance.

    Args:
        module: Full name of the module.
        name: Name in it, of a function, or of a class for its methods.

    Returns:
        Its full name; empty if it is none.

    Example:
        >>> find_named_source("random", "shuffle"), find_named_source("posix", "getpid"), find_named_source("os", "fspath")
        ('random.shuffle', 'os.getpid', '')
    """
    known = ALIASES.get(module, module)
    if name in NAMES.get(known.partition(".")[0], ()) or any(f"{known}.".startswith(f"{each}.") for each in SOURCES):
        return known if name == known else f"{known}.{name}"
    return ""


def _origin(value: Any) -> tuple[str, tuple[str, ...]]:
    """The name of something, and the modules that it and the classes that it belongs to come from."""
    if isinstance(value, ModuleType):
        return value.__name__, (value.__name__,)
    if isinstance(value, MethodType):
        name, modules = _origin(value.__func__)
        return name, (*modules, *_modules_of(type(value.__self__)))
    if isinstance(value, FunctionType):
        return value.__name__, (str(value.__module__),)
    if isinstance(value, BuiltinFunctionType) or type(value).__name__ == COMPILED_BY_CYTHON:
        owner = getattr(value, "__self__", None)
        if owner is None or isinstance(owner, ModuleType):
            return value.__name__, (str(value.__module__),)
        return value.__name__, (str(value.__module__), *_modules_of(owner if isinstance(owner, type) else type(owner)))
    if isinstance(value, MethodDescriptorType | ClassMethodDescriptorType):
        return value.__name__, _modules_of(value.__objclass__)
    if isinstance(value, type):
        return value.__name__, _modules_of(value)
    return type(value).__name__, _modules_of(type(value))


def _modules_of(class_: type) -> tuple[str, ...]:
    """Modules that a class and its bases come from, except those of all classes."""
    bases = type.__dict__["__mro__"].__get__(class_)
    modules = (type.__getattribute__(base, "__module__") for base in bases)
    return tuple(module for module in modules if isinstance(module, str) and module != "builtins")


def find_named_chance(code: CodeType, names: Mapping[str, Any], built_in: Mapping[str, Any]) -> str:
    """Find the first source of chance that code names by a global variable, or by an attribute of a module or class.

    Code may hand it on to compiled code, as ``map(time.time, ...)`` would, whose calls are not seen.

    Args:
        code: Code of a function, or what an import executes.
        names: Its global variables.
        built_in: Its built-in functions.

    Example:
        >>> import os
        >>> find_named_chance((lambda: iter(os.urandom, b"")).__code__, {"os": os}, {})
        'os.urandom'
    """
    value: Any = None
    for instruction in dis.get_instructions(code):
        operation, name = instruction.opname, instruction.argval
        if operation in WITHOUT_EFFECT:
            continue
        if operation in GLOBAL_LOADS:
            value = names.get(name, built_in.get(name))
        elif operation in ATTRIBUTE_LOADS and isinstance(value, ModuleType | type):
            value = vars(value).get(name)
        else:
            value = None
            continue
        if found := find_chance(value):
            return found
    return ""
