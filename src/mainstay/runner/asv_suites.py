"""Suites of asv as workloads: its functions are collected as tests that use the worker's fixtures.

asv itself is not needed. What its functions measure becomes:

- ``time_*``: ``call_time``.
- ``peakmem_*``: ``peak_memory``.
- ``mem_*``: ``object_bytes``, the size of the returned object by pympler, compared by equality.
- ``track_*``: ``tracked``, the returned number, where less is better, compared by equality.
- ``timeraw_*``: skipped; :class:`~mainstay.runner.timing.ImportTimer` times new interpreters.

:class:`AsvPlugin` collects them.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

KINDS = {
    kind: re.compile(rf"{kind}_.+|{name}[A-Z_].+")
    for kind, name in (
        ("time", "Time"),
        ("timeraw", "Timeraw"),
        ("mem", "Mem"),
        ("peakmem", "PeakMem"),
        ("track", "Track"),
    )
}
"""Names of the functions of each kind."""

MARGIN = 0.05
"""Margin of what is compared by equality: the factor by which asv tells a regression, less one."""

DECLARATIONS: dict[str, Any] = {
    "params": (),
    "param_names": (),
    "skip_params": (),
    "skip_benchmark": False,
    "number": 0,
    "unit": "",
}
"""What a suite may declare, with its default."""

MOST_ROUNDS = 1_000_000
"""Rounds of a function that is set up before each call; the gate ends sooner."""


class AsvPlugin:
    """Plugin that collects the functions of asv's suites.

    Args:
        patterns: Of the names of their files.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect a file of a suite."""
        if file_path.name not in {"__init__.py", "conftest.py"} and any(
            fnmatch(file_path.name, pattern) for pattern in self._patterns
        ):
            collector: pytest.Collector = AsvFile.from_parent(parent, path=file_path)
            return collector
        return None


class AsvFile(pytest.Module):
    """A file of a suite."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each function and each of its parameters."""
        for case in _cases(self.obj):
            for identifier, values in case.parameters():
                name = f"{case.name}[{identifier}]" if identifier else case.name
                yield pytest.Function.from_parent(self, name=name, callobj=case.test(values))


class AsvCase:
    """A function of a suite.

    Args:
        kind: Of :data:`KINDS`.
        module: Its module.
        name: Its name in the module or class.
        caches: What the file's functions ``setup_cache`` returned in this process, pickled.
        owner: Its class, if it is a method.
        declaring: Instance of the class, which may declare parameters; the class if no instance can be made.
    """

    def __init__(
        self,
        kind: str,
        module: ModuleType,
        name: str,
        *,
        caches: dict[Any, bytes],
        owner: type | None = None,
        declaring: Any = None,
    ) -> None:
        self.name = f"{owner.__name__}::{name}" if owner else name
        self._kind = kind
        self._module = module
        self._own_name = name
        self._owner = owner
        self._caches = caches
        sources = self._sources(declaring)
        self._declared = {name: _first(sources, name, default) for name, default in DECLARATIONS.items()}

    def parameters(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield each combination of parameters with its name, which is the same in every process."""
        given = list(self._declared["params"])
        names = [str(name) for name in self._declared["param_names"]]
        lists = [list(each) for each in given] if given and isinstance(given[0], (list, tuple)) else [given]
        if not any(lists):
            yield "", ()
            return
        skipped = list(self._declared["skip_params"])
        labelled = [
            [
                (_label(value, names[place] if place < len(names) else "param", index), value)
                for index, value in enumerate(values)
            ]
            for place, values in enumerate(lists)
        ]
        seen: dict[str, int] = {}
        for combination in itertools.product(*labelled):
            values = tuple(value for _, value in combination)
            identifier = "-".join(label for label, _ in combination)
            seen[identifier] = number = seen.get(identifier, -1) + 1
            if not any(_are_same(values, each) for each in skipped):
                yield (f"{identifier}-{number}" if number else identifier), values

    def test(self, values: tuple[Any, ...]) -> Callable[..., None]:
        """A test function that measures one combination of parameters, with its marks."""
        test: Any
        if self._kind in {"time", "timeraw", "peakmem"}:

            def test(benchmark: Any) -> None:
                with self._prepared(values) as prepared:
                    self._time(benchmark, *prepared)
        else:

            def test(counts: Any) -> None:
                with self._prepared(values) as (function, arguments, _, _):
                    result = function(*arguments)
                counts.record(**{self._metric: _object_bytes(result) if self._kind == "mem" else result})

        test.pytestmark = list(self._marks())
        test.place_as = self._function
        return test  # type: ignore[no-any-return]

    @property
    def _metric(self) -> str:
        return {"mem": "object_bytes", "track": "tracked", "peakmem": "peak_memory"}.get(self._kind, "call_time")

    @property
    def _function(self) -> Any:
        return getattr(self._owner or self._module, self._own_name)

    def _marks(self) -> Iterator[pytest.Mark]:
        if self._kind == "timeraw":
            yield pytest.mark.skip(reason="asv's timeraw is not gated: use the fixture import_timer").mark
        if self._declared["skip_benchmark"]:
            yield pytest.mark.skip(reason="the suite skips it").mark
        if self._kind == "peakmem":
            yield pytest.mark.performance(metric=self._metric).mark
        if self._kind in {"mem", "track"}:
            unit = "B" if self._kind == "mem" else str(self._declared["unit"])
            yield pytest.mark.deterministic(metric=self._metric, margin=MARGIN, unit=unit).mark

    def _sources(self, instance: Any) -> list[Any]:
        """What may hold an attribute, the nearest first."""
        holders = [self._module] if instance is None else [instance, self._module]
        return [getattr(holders[0], self._own_name), *holders]

    @contextmanager
    def _prepared(
        self, values: tuple[Any, ...]
    ) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...], Callable[[], None], Callable[[], None]]]:
        """Set up the function; gives it, its arguments, and what sets it up and tears it down again."""
        sources = self._sources(self._owner() if self._owner else None)
        setups, teardowns = _all(reversed(sources), "setup"), _all(sources, "teardown")
        cached = self._cached(_first(sources, "setup_cache", None))
        arguments = values if cached is None else (cached, *values)

        def set_up() -> None:
            try:
                for each in setups:
                    each(*arguments)
            except NotImplementedError as error:
                pytest.skip(f"its setup raises NotImplementedError {error}".rstrip())

        def tear_down() -> None:
            for each in teardowns:
                each(*arguments)

        set_up()
        try:
            yield sources[0], arguments, set_up, tear_down
        finally:
            tear_down()

    def _cached(self, setup_cache: Callable[[], Any] | None) -> Any:
        """A copy of what ``setup_cache`` returns, which is called once for its class or module in this process."""
        if setup_cache is None:
            return None
        key = (self._owner, setup_cache.__func__) if inspect.ismethod(setup_cache) else setup_cache
        if key not in self._caches:
            self._caches[key] = pickle.dumps(setup_cache())
        return pickle.loads(self._caches[key])

    def _time(
        self,
        benchmark: Any,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        set_up: Callable[[], None],
        tear_down: Callable[[], None],
    ) -> None:
        """Time calls; a function whose ``number`` is 1 is set up before each, since it changes what it works on."""
        if self._declared["number"] != 1:
            benchmark(function, *arguments)
            return
        is_set_up = True

        def set_up_again() -> None:
            nonlocal is_set_up
            if not is_set_up:
                tear_down()
                set_up()
            is_set_up = False

        benchmark.pedantic(function, args=arguments, setup=set_up_again, rounds=MOST_ROUNDS, warmup_rounds=1)


def _cases(module: ModuleType) -> Iterator[AsvCase]:
    """Yield the functions of a suite in the order in which the file has them."""
    caches: dict[Any, bytes] = {}
    for name, value in list(vars(module).items()):
        if name.startswith("_"):
            continue
        if inspect.isclass(value):
            if not inspect.isabstract(value):
                yield from _methods(module, value, caches)
        elif inspect.isfunction(value) and (kind := _kind(name)):
            yield AsvCase(kind, module, name, caches=caches)


def _methods(module: ModuleType, owner: type, caches: dict[Any, bytes]) -> Iterator[AsvCase]:
    """Yield the methods of a class of a suite."""
    names = dict.fromkeys(key for base in reversed(owner.__mro__) for key in vars(base) if _kind(key))
    methods = [name for name in names if inspect.isfunction(value := getattr(owner, name)) or inspect.ismethod(value)]
    declaring: Any = owner
    if any(not _first([getattr(owner, name), owner, module], "skip_benchmark", False) for name in methods):
        with suppress(Exception):  # where it is measured, it fails again and says why
            declaring = owner()
    for name in methods:
        yield AsvCase(_kind(name), module, name, caches=caches, owner=owner, declaring=declaring)


def _kind(name: str) -> str:
    """The kind of function that a name stands for; empty for none.

    Example:
        >>> _kind("time_sort"), _kind("timeraw_import"), _kind("PeakMemory"), _kind("timer")
        ('time', 'timeraw', '', '')
    """
    return next((kind for kind, pattern in KINDS.items() if pattern.fullmatch(name)), "")


def _first(sources: Iterable[Any], name: str, default: Any) -> Any:
    return next((found for source in sources if (found := getattr(source, name, None)) is not None), default)


def _all(sources: Iterable[Any], name: str) -> list[Callable[..., Any]]:
    return [found for source in sources if (found := getattr(source, name, None)) is not None]


def _are_same(values: tuple[Any, ...], others: Any) -> bool:
    """Whether two combinations of parameters are the same; of values whose comparison is no truth value, each is its own.

    Example:
        >>> _are_same(([1], {}), ([1], {})), _are_same((1,), (2,)), _are_same((1,), 1)
        (True, False, False)
    """
    try:
        return bool(values == tuple(others))
    except (TypeError, ValueError, RuntimeError):  # no combination, arrays, tensors
        return False


def _label(value: Any, name: str, index: int) -> str:
    """A name for the value of a parameter, which holds no address.

    Example:
        >>> _label(10, "n", 0), _label("a b", "text", 1), _label(len, "f", 2), _label(object(), "thing", 3)
        ('10', 'a b', 'len', 'thing3')
    """
    if value is None or isinstance(value, (str, int, float, complex)):
        return str(value)
    return str(getattr(value, "__name__", f"{name}{index}"))


def _object_bytes(value: Any) -> int:
    """Size of an object as asv takes it: what a copy adds, which shares what is not its own."""
    asizeof = pytest.importorskip("pympler.asizeof", reason="asv's mem_* needs pympler").asizeof
    return int(asizeof([value, copy.copy(value)]) - asizeof([value, value]))
