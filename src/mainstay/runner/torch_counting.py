"""Exact counts of what one call of a function makes PyTorch do, equal on every processor.

Operators are counted before PyTorch chooses their kernels, so neither the instruction set of the processor nor the
number of threads matters. Compiled functions are counted as the operators that they were written with.

- :func:`count_call`: everything that needs no accelerator.
- :func:`count_kernels`: kernels that ran on a CUDA device.
- :class:`Tally`: counts with names and places.
"""

from __future__ import annotations

import gc
import importlib
import re
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from .accelerators import accelerators_in_use
from .digests import RecordingError
from .lazy import refuse_lazy_function, refuse_lazy_result
from .places import NOWHERE, Place, PlaceFinder, place_of
from .protocol import CountedName

COPIES = frozenset({"aten::_to_copy", "aten::clone", "aten::copy_", "aten::_foreach_copy_"})
"""Operators that only copy; the first also changes types and devices."""

RESUMED = re.compile(r"torch_dynamo_resume_in_(.+)_at_\d+")
"""How the compiler calls the rest of a function after a graph break."""

INDEXING = frozenset({"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"})
"""Operators that wait for the device only if an index is a mask, whose true elements must be found first."""


class Tally:
    """Counts by metric, name and place.

    Example:
        >>> tally = Tally()
        >>> tally.add("copies", "aten::clone")
        >>> tally.add("copies", "aten::clone")
        >>> tally.number("copies"), tally.names("copies")[0]["number"]
        (2, 2)
    """

    def __init__(self) -> None:
        self._found: dict[str, Counter[tuple[str, Place]]] = {}

    def add(self, metric: str, name: str, place: Place = NOWHERE, number: int = 1) -> None:
        """Count something."""
        self._found.setdefault(metric, Counter())[name, place] += number

    def number(self, metric: str) -> int:
        """How often a metric was counted."""
        return self._found.get(metric, Counter()).total()

    def names(self, metric: str) -> list[CountedName]:
        """What was counted, in the order of names and places."""
        found = sorted(self._found.get(metric, Counter()).items())
        return [
            CountedName(
                name=name, number=number, file=place.file, function=place.function, line=place.line, code=place.code
            )
            for (name, place), number in found
        ]


class OperatorCall(NamedTuple):
    """A call of an operator.

    Attributes:
        func: The operator.
        name: Its name without its overload.
        args: Positional arguments.
        kwargs: Named arguments.
        given: The tensors among the arguments.
        results: The tensors that it returned.
    """

    func: Any
    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    given: Sequence[Any]
    results: Sequence[Any]


class Allocation(NamedTuple):
    """Memory that an operator allocated for a result.

    Attributes:
        name: The operator.
        place: What called it.
        num_bytes: Its size.
    """

    name: str
    place: Place
    num_bytes: int


def find_peak(
    changes: Sequence[int], allocations: Sequence[Allocation], size: Callable[[Allocation], int], start: int
) -> list[Allocation]:
    """Find what was alive at the moment at which most memory was.

    Args:
        changes: In the order of time, ``n`` where allocation ``n`` was made and ``~n`` where it was freed.
        allocations: All of them.
        size: Amount of one allocation: 1, or its bytes.
        start: Position in ``changes`` before which no peak is looked for.

    Example:
        >>> two = [Allocation("aten::add", NOWHERE, 8), Allocation("aten::mul", NOWHERE, 16)]
        >>> [each.name for each in find_peak([0, ~0, 1, ~1], two, size=lambda each: each.num_bytes, start=0)]
        ['aten::mul']
    """
    amount, peak, when = 0, 0, start
    for position, change in enumerate(changes, 1):
        amount += size(allocations[change]) if change >= 0 else -size(allocations[~change])
        if position >= start and amount > peak:
            peak, when = amount, position
    freed = {~change for change in changes[:when] if change < 0}
    return [allocations[made] for made in changes[:when] if made >= 0 and made not in freed]


class LiveStorages:
    """The memory that operators have allocated and that is still referred to."""

    def __init__(self) -> None:
        self.allocations: list[Allocation] = []
        self.changes: list[int] = []
        self._known: dict[int, weakref.ref[Any]] = {}

    def know(self, tensors: Iterable[Any]) -> None:
        """Take note of memory that is older than the operator that reads it."""
        for storage in self._unknown(tensors):
            self._watch(storage, None)

    def allocated(self, tensors: Iterable[Any], name: str, place: Place) -> int:
        """Take note of the memory of results, unless it is known already; return how much of it is new."""
        first = len(self.allocations)
        for storage in self._unknown(tensors):
            self.changes.append(len(self.allocations))
            self._watch(storage, len(self.allocations))
            self.allocations.append(Allocation(name, place, storage.nbytes()))
        return len(self.allocations) - first

    def alive(self) -> dict[int, Allocation]:
        """What is alive, by number."""
        freed = {~change for change in self.changes if change < 0}
        return {number: each for number, each in enumerate(self.allocations) if number not in freed}

    def _unknown(self, tensors: Iterable[Any]) -> Iterator[Any]:
        for tensor in tensors:
            with suppress(NotImplementedError, RuntimeError):  # sparse tensors, for instance, have no storage
                storage = tensor.untyped_storage()
                if id(storage) not in self._known:
                    yield storage

    def _watch(self, storage: Any, number: int | None) -> None:
        """Note when a storage is freed; torch keeps its Python object as long as any tensor refers to it."""
        known, changes, key = self._known, self.changes, id(storage)

        def freed(_: Any) -> None:
            known.pop(key, None)
            if number is not None:
                changes.append(~number)

        known[key] = weakref.ref(storage, freed)


def count_call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Tally:
    """Count what the second of two equal calls of a function makes torch do; the first creates what later ones reuse.

    If the compiler is loaded, which making an optimiser does, two further calls count graph breaks and recompilations.

    Raises:
        RecordingError: If torch is not loaded, or the call does not do its work at once.
    """
    torch = _loaded_torch()
    refuse_lazy_function(function)
    tally, memory = Tally(), LiveStorages()
    finder = PlaceFinder(*torch.__path__)
    with _without_collection():
        with _watching(torch, Tally(), memory, finder):
            refuse_lazy_result(function(*args, **kwargs))
        gc.collect()
        start, before = len(memory.changes), memory.alive()
        with _watching(torch, tally, memory, finder):
            function(*args, **kwargs)
        end = len(memory.changes)
        gc.collect()
    _count_memory(tally, memory, changes=memory.changes[:end], start=start, before=before)
    if "torch._dynamo" in sys.modules:
        _count_compilations(torch, tally, lambda: function(*args, **kwargs))
    return tally


METRICS = (
    *("synchronisations", "blocking_transfers", "operators", "copies", "autograd_calls"),
    *("allocations", "live_tensors", "live_tensor_bytes", "kept_tensors"),
    *("graph_breaks", "recompiles"),
)
"""What :func:`count_call` counts."""


def count_kernels(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Tally:
    """Count the kernels that the second of two equal calls of a function runs on CUDA devices.

    Raises:
        RecordingError: If torch is not loaded, or the call does not do its work at once.
    """
    _loaded_torch()
    refuse_lazy_function(function)
    refuse_lazy_result(function(*args, **kwargs))
    _wait_for_accelerators()
    profiler = importlib.import_module("torch.profiler")
    with profiler.profile(activities=[profiler.ProfilerActivity.CUDA]) as profiled:
        function(*args, **kwargs)
        _wait_for_accelerators()
    return tally_kernels(profiled.events())


def tally_kernels(events: Iterable[Any]) -> Tally:
    """Count the kernels among the events of a profile: what ran on the device and is neither a copy nor an annotation.

    Example:
        >>> from types import SimpleNamespace as Event
        >>> kernel = Event(name="gemm", device_type="DeviceType.CUDA")
        >>> copy = Event(name="Memcpy HtoD (Pinned -> Device)", device_type="DeviceType.CUDA")
        >>> tally_kernels([kernel, copy, kernel]).number("kernel_launches")
        2
    """
    tally = Tally()
    for event in events:
        is_of_device = str(event.device_type) == "DeviceType.CUDA" and not getattr(event, "is_user_annotation", False)
        if is_of_device and not event.name.startswith(("Memcpy", "Memset")):
            tally.add("kernel_launches", event.name)
    return tally


def _wait_for_accelerators() -> None:
    for wait in accelerators_in_use():
        wait()


def _loaded_torch() -> Any:
    torch = sys.modules.get("torch")
    if torch is None:
        raise RecordingError("only torch's work is counted, and this workload does not use torch")
    return torch


@contextmanager
def _without_collection() -> Iterator[None]:
    """Let the garbage collector run only when called, and only over objects that are made meanwhile."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


@contextmanager
def _watching(torch: Any, tally: Tally, memory: LiveStorages, finder: PlaceFinder) -> Iterator[None]:
    """Count every operator, and every method of a tensor that Python calls."""
    inside: list[str] = []
    with _method_mode(torch, tally, finder, inside), _operator_mode(torch, tally, memory, finder, inside):
        yield


def _method_mode(torch: Any, tally: Tally, finder: PlaceFinder, inside: list[str]) -> Any:
    """Mode that sees what Python calls, above autograd, even where it leads to no operator on a CPU.

    Args:
        torch: The module.
        tally: Where it is counted.
        finder: Finds the places.
        inside: Blocking methods that are running; what they call is not counted again.
    """
    overrides: Any = importlib.import_module("torch.overrides")

    class Methods(overrides.TorchFunctionMode):  # type: ignore[misc]  # torch is there only now
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            blocking = _blocking_method(torch, func, args, kwargs)
            nodes = [tensor.grad_fn for tensor in tensors_of(torch, (args, kwargs))]
            inside.extend(blocking[1:])
            try:
                result = func(*args, **kwargs)
            finally:
                del inside[len(inside) - len(blocking[1:]) :]
            if blocking and not (args and result is args[0] and args[0].device.type != "cpu"):  # it was there already
                tally.add(*blocking, finder.here())
            made = [tensor.grad_fn for tensor in tensors_of(torch, result)] if torch.is_grad_enabled() else []
            if any(node is not None and all(node is not old for old in nodes) for node in made):
                tally.add("autograd_calls", overrides.resolve_name(func) or str(func), finder.here())
            return result

    return Methods()


def _operator_mode(torch: Any, tally: Tally, memory: LiveStorages, finder: PlaceFinder, inside: Sequence[str]) -> Any:
    """Mode that sees every operator, below autograd.

    Args:
        torch: The module.
        tally: Where it is counted.
        memory: Takes note of the memory of results.
        finder: Finds the places.
        inside: Blocking methods that are running.
    """
    dispatch: Any = importlib.import_module("torch.utils._python_dispatch")

    class Operators(dispatch.TorchDispatchMode):  # type: ignore[misc]  # as above
        supports_higher_order_operators = True

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return "torch._dynamo" in sys.modules  # the compiler need not be imported to be told to keep out

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            given = list(tensors_of(torch, (args, kwargs)))
            memory.know(given)
            result = func(*args, **kwargs)
            call = OperatorCall(func, _operator(func), args, kwargs, given, list(tensors_of(torch, result)))
            place = finder.here()
            tally.add("operators", call.name, place)
            if call.name in COPIES:
                tally.add("copies", f"{call.name}{_change(call)}", place)
            if not inside and _waits(torch, call):
                tally.add("synchronisations", call.name, place)
            if new := memory.allocated(call.results, call.name, place):
                tally.add("allocations", call.name, place, new)
            return result

    return Operators()


def tensors_of(torch: Any, tree: Any) -> Iterator[Any]:
    """The tensors in nested sequences and mappings.

    Args:
        torch: The module.
        tree: Anything.
    """
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors_of(torch, value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from tensors_of(torch, value)


def _operator(func: Any) -> str:
    """Name of an operator without its overload."""
    return str(func._schema.name) if hasattr(func, "_schema") else str(func)


def _change(call: OperatorCall) -> str:
    """How a copy differs in type or device, as an addition to its name."""
    if not call.given or not call.results:
        return ""
    source, result = call.given[-1], call.results[0]  # copy_ takes what it writes to first
    pairs = ((source.dtype, result.dtype), (source.device.type, result.device.type))
    return "".join(f", {str(a).removeprefix('torch.')} to {str(b).removeprefix('torch.')}" for a, b in pairs if a != b)


def _blocking_method(
    torch: Any, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[()] | tuple[str, str]:
    """The metric and the name of a method that waits for the device; empty if it is none."""
    if func == torch.Tensor.tolist:
        return "synchronisations", "Tensor.tolist"
    flags = [flag for flag in args[2:] if isinstance(flag, bool)]
    if kwargs.get("non_blocking", flags[0] if flags else False):
        return ()
    if func == torch.Tensor.cpu:
        return "synchronisations", "Tensor.cpu"
    if func == torch.Tensor.cuda:
        return "blocking_transfers", "Tensor.cuda"
    if func in {torch.tensor, torch.as_tensor} and kwargs.get("device") is not None:
        return "blocking_transfers", f"torch.{func.__name__}(device)"
    target = kwargs.get("device", kwargs.get("other", args[1] if len(args) > 1 else None))
    if func == torch.Tensor.to and isinstance(target, (str, int, torch.device, torch.Tensor)):
        return "blocking_transfers", "Tensor.to(other)" if isinstance(target, torch.Tensor) else "Tensor.to(device)"
    return ()


def _waits(torch: Any, call: OperatorCall) -> bool:
    """Whether an operator makes Python wait for the device: what it returns depends on the values of tensors."""
    if call.name in COPIES:
        is_to_host = bool(call.results) and call.results[0].device.type == "cpu" != call.given[-1].device.type
        non_blocking = call.kwargs.get("non_blocking", call.name == "aten::copy_" and call.args[2:] and call.args[2])
        return is_to_host and not non_blocking
    if call.name in INDEXING:
        return any(index is not None and index.dtype in {torch.bool, torch.uint8} for index in call.args[1])
    tags = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
    return not tags.isdisjoint(getattr(call.func, "tags", ()))


def _count_memory(
    tally: Tally, memory: LiveStorages, *, changes: Sequence[int], start: int, before: Mapping[int, Allocation]
) -> None:
    """Count what was alive at once, and what a call left behind in addition to what the call before it had left."""
    for metric, size in (("live_tensors", lambda _: 1), ("live_tensor_bytes", lambda each: each.num_bytes)):
        for each in find_peak(changes, memory.allocations, size, start):
            tally.add(metric, each.name, each.place, size(each))
    after = memory.alive()
    num_kept = len(after) - len(before)
    kept = Counter((each.name, each.place) for each in after.values())
    kept.subtract((each.name, each.place) for each in before.values())
    for (name, place), number in kept.items():
        if num_kept > 0 and number > 0:
            tally.add("kept_tensors", name, place, min(number, num_kept))
            num_kept -= min(number, num_kept)


def _count_compilations(torch: Any, tally: Tally, call: Callable[[], Any]) -> None:
    """Count graph breaks of the first of two calls, and recompilations of both; no code is generated."""
    utils = importlib.import_module("torch._dynamo.utils")
    reasons: dict[str, Place] = {}

    def backend(module: Any, _: Any) -> Any:
        reason = getattr(module, "compile_subgraph_reason", None)
        if reason is not None and reason.user_stack:
            line = reason.user_stack[-1]
            reasons[_first_line(reason.reason)] = _compiled_place(line.filename, line.name, line.lineno)
        return module.forward

    with torch.compiler.set_stance("default", force_backend=backend):
        torch.compiler.reset()
        utils.counters.pop("graph_break", None)
        utils.clear_compilation_metrics()
        call()
        for reason, number in utils.counters["graph_break"].items():
            tally.add("graph_breaks", _first_line(reason), reasons.get(_first_line(reason), NOWHERE), number)
        recompiled = [each for each in utils.get_compilation_metrics() if each.recompile_reason]
        utils.clear_compilation_metrics()
        call()
        recompiled += utils.get_compilation_metrics()
    for each in recompiled:
        reason = (each.recompile_reason or "compiled for the first time in the second call").partition(": ")
        place = _compiled_place(each.co_filename, each.co_name, each.co_firstlineno)
        tally.add("recompiles", _first_line(reason[2] or reason[0]), place)


def _compiled_place(file: str | None, function: str | None, line: int | None) -> Place:
    return place_of(file or "", RESUMED.sub(r"\1", function or ""), line or 0)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
