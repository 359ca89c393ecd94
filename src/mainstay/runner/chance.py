"""Sources of chance: what can make the path of a call depend on more than its arguments and the code.

They are what gives random numbers, times, addresses, names of processes and threads, and what the environment or another
thread decides. A workload that uses none of them takes the same path at every call, as far as can be told from Python: calls
that compiled code makes itself, and the order of a set of objects, are not seen.

A generator of random numbers that is made with a seed gives the same numbers in every run, so it is no source; the one that
all share is.

- :func:`find_chance`: whether something is a source of chance.
- :func:`find_named_source`: the same, by the names of a module and of what it holds.
- :func:`find_named_chance`: the first source that a code object names.
"""

from __future__ import annotations

import functools
import sys
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

from .rewording import ATTRIBUTE_LOADS, GLOBAL_LOADS, WITHOUT_EFFECT, instructions_of

SOURCES = frozenset(
    {
        "time", "random", "_random", "uuid", "_uuid", "secrets", "numpy.random", "torch.random", "tempfile", "resource",
        "queue", "_queue", "asyncio", "concurrent.futures", "multiprocessing", "select", "selectors",
        "signal", "_signal", "socket", "_socket", "ssl", "_ssl", "psutil", "gc",
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
    "threading": frozenset(
        {
            "start_new_thread", "start_joinable_thread", "Thread", "Timer", "Condition", "active_count", "enumerate",
            "get_ident", "get_native_id",
        }
    ),
    "torch": frozenset(
        {
            "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "normal_", "uniform_",
            "random_", "bernoulli", "bernoulli_", "multinomial", "poisson", "exponential_", "geometric_", "cauchy_",
            "log_normal_", "dropout", "dropout_", "alpha_dropout", "feature_dropout", "rrelu", "seed", "initial_seed",
        }
    ),
}  # fmt: skip
"""Names that count, by the module that they, or the class of which they are methods, belong to."""

ALIASES = {"posix": "os", "nt": "os", "_datetime": "datetime", "_thread": "threading"}
"""Modules that another one stands for."""

OF_GENERATORS = ("random", "_random", "numpy.random")
"""Beginnings of the names of what makes generators of random numbers, and of their methods."""

GENERATORS = frozenset(
    {
        ("random", "Random"),
        ("numpy", "Generator"),
        ("numpy", "RandomState"),
        ("numpy", "BitGenerator"),
        ("numpy", "SeedSequence"),
    }
)
"""Classes of generators, by the package that they come from."""

SHARED = (("random", "_inst"), ("numpy.random.mtrand", "_rand"))
"""Generators of their modules, which all code shares."""

MISSING = getattr(getattr(sys, "monitoring", None), "MISSING", None)
"""First argument of a call without arguments."""

COMPILED_BY_CYTHON = "cython_function_or_method"


def find_chance(value: Any, argument: Any = None) -> str:
    """Find out whether something is a source of chance.

    Args:
        value: A function, method, class or module, or anything else; nothing of it is called.
        argument: Its first argument; of a method that is not bound, the object.

    Returns:
        Its name; empty if it is none.

    Example:
        >>> import functools, os, random, time
        >>> find_chance(time), find_chance(time.sleep), find_chance(functools.partial(os.getpid)), find_chance(os.getcwd)
        ('time', 'time.sleep', 'os.getpid', '')
        >>> find_chance(random.Random), find_chance(random.Random, 7), find_chance(random.shuffle)
        ('random.Random', '', 'random.shuffle')
    """
    while isinstance(value, functools.partial | functools._lru_cache_wrapper):
        value = value.func if isinstance(value, functools.partial) else value.__wrapped__
    name, modules = _origin(value)
    found = next(filter(None, (find_named_source(module, name) for module in modules)), "")
    if not found.startswith(OF_GENERATORS):
        return found
    if isinstance(value, type) or name == "default_rng":
        is_seeded = argument is not None and argument is not MISSING and name != "SystemRandom"
        return "" if is_seeded else found
    is_own = _is_own_generator(value) or _is_own_generator(getattr(value, "__self__", argument))
    return "" if is_own else found


def _is_own_generator(value: Any) -> bool:
    """Whether something is a generator of random numbers, but neither the system's nor one that all share."""
    bases = {(base.__module__.partition(".")[0], base.__name__) for base in type(value).__mro__}
    if bases.isdisjoint(GENERATORS) or ("random", "SystemRandom") in bases:
        return False
    shared = (vars(sys.modules.get(module, object)).get(name) for module, name in SHARED)
    return all(value is not each for each in shared)


def is_lasting(value: Any) -> bool:
    """Whether something is called again and again, so that it pays to remember that it is no source of chance.

    What makes or is a method of generators is left out, since it depends on the first argument whether that is one.
    """
    if not isinstance(value, MethodDescriptorType | type) and not (
        isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, ModuleType)
    ):
        return False
    return not any(module.startswith(OF_GENERATORS) for module in _origin(value)[1])


def find_executed_source(code: CodeType, module: str) -> str:
    """Find out whether code of a dependency is that of a source of chance.

    Args:
        code: Code of a function that is executed.
        module: Full name of its module.

    Returns:
        The name of the source; empty if it is none. Methods of generators are left to :func:`find_chance`, which is told of
        their object.
    """
    name = code.co_qualname.partition(".")[0]
    return "" if (module, name) in GENERATORS else find_named_source(module, name)


def find_named_source(module: str, name: str) -> str:
    """Find out whether what a module calls by a name is a source of chance.

    Args:
        module: Full name of the module.
        name: Name in it, of a function, or of a class for its methods; empty for the module itself.

    Returns:
        Its full name; empty if it is none.

    Example:
        >>> find_named_source("random", "shuffle"), find_named_source("posix", "getpid"), find_named_source("os", "fspath")
        ('random.shuffle', 'os.getpid', '')
    """
    known = ALIASES.get(module, module)
    if name in NAMES.get(known.partition(".")[0], ()) or any(f"{known}.".startswith(f"{each}.") for each in SOURCES):
        return f"{known}.{name}" if name else known
    return ""


def _origin(value: Any) -> tuple[str, tuple[str, ...]]:
    """The name of something, and the modules that it and the classes that it belongs to come from."""
    if isinstance(value, ModuleType):
        return "", (value.__name__,)
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
    for instruction in instructions_of(code):
        operation, name = instruction.opname, instruction.argval
        if operation in WITHOUT_EFFECT:
            continue
        if operation in ATTRIBUTE_LOADS and isinstance(value, ModuleType | type):
            value = vars(value).get(name)
            continue
        if found := "" if _makes_generator(value) else find_chance(value):
            return found
        value = names.get(name, built_in.get(name)) if operation in GLOBAL_LOADS else None
    return ""


def _makes_generator(value: Any) -> bool:
    """Whether something makes generators: a call of it tells whether it is given a seed."""
    name, modules = _origin(value)
    return (isinstance(value, type) or name == "default_rng") and any(
        each.startswith(OF_GENERATORS) for each in modules
    )
