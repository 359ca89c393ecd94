"""A watched trial: it stops after every step, and can send every operator of one step.

The gate runs the same trial of both revisions side by side, one step at a time, and compares what they computed. Torch
is never imported here; it is watched if the workload has loaded it. A step ends where a parameter that has been written
is read again, whichever optimiser wrote it; step 0 is everything before the parameters are first used. Without torch or
without parameters, the whole trial is one step.

- :class:`Watch`: steps of a trial, from its start to its end.
- :data:`~mainstay.runner.protocol.Level`: how closely it looks.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import os
import random
import struct
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from types import FrameType
from typing import Any

from .channel import Channel
from .loading import LoadHook
from .protocol import Command, Event, Frame, Level, Operator, Operators, Step, Values
from .torch_counting import tensors_of

PAGE = 5_000
"""Operators that are sent at once."""

MAX_TEXT = 300
"""Characters of an argument of an operator that are sent."""

MAX_FRAMES = 20
"""Frames of a place that are sent, from the innermost on."""

MAX_KEPT_BYTES = 512 * 2**20
"""Bytes of results that are kept until the gate has asked for the largest difference."""

CHUNK = 2**21
"""Numbers that are sent at once."""

MAKES_BLANKS = ("aten.empty", "aten.new_empty")
"""Beginnings of the names of operators that return uninitialised memory, which is then set to zero."""

NOT_A_PLACE = tuple(f"{os.sep}{name}{os.sep}" for name in ("torch", "_pytest", "pluggy", "pytest", "numpy"))
"""Folders of ``site-packages`` whose frames say nothing about the revision."""


class Watch(AbstractContextManager["Watch"]):
    """Watches what torch computes in a trial, and stops after every step until the gate lets it go on.

    Args:
        channel: The pipes to the gate.
        level: How closely it looks.
        step: The step whose operators are sent, for the level ``operators``.
        own: Folder of the revision's own modules.
        beside: Folder of the workloads.
    """

    def __init__(self, channel: Channel, level: Level, step: int, own: str, beside: str) -> None:
        self._channel = channel
        self._level = level
        self._target = step
        self._roots = {"own": os.path.realpath(own) + os.sep, "workloads": os.path.realpath(beside) + os.sep}
        self._process = os.getpid()
        self._mode: AbstractContextManager[Any] = nullcontext()
        self._torch: Any = None
        self._awaited = LoadHook("torch", self.start)
        self._step = 0
        # by their storage, in the order in which they were first used
        self._parameters: dict[int, weakref.ref[Any]] = {}
        self._written: set[int] = set()
        self._computed: set[str] = set()
        self._page: list[Operator] = []
        self._places: dict[tuple[tuple[str, str, int, str], ...], int] = {}
        self._forward: dict[int, tuple[int, int, str]] = {}
        self._told = 0
        self._kept: list[list[Any] | None] = []
        self._kept_bytes = 0
        self._names: dict[int, tuple[Any, dict[int, str]]] = {}
        self._schemas: dict[Any, tuple[frozenset[int], frozenset[str], frozenset[str]]] = {}

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to watch torch, if it is not watched yet: now, or as soon as the workload has imported it."""
        torch = sys.modules.get("torch")
        if self._torch is not None or self._level == "unwatched":
            return
        self._awaited.remove()
        if torch is None or not hasattr(torch, "Tensor"):
            self._awaited.install()
            return
        self._torch = torch
        if self._level == "graphs":
            self._watch_compiler()
            return
        base = importlib.import_module("torch.utils._python_dispatch").TorchDispatchMode

        def dispatch(_: Any, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
            return self._call(function, args, kwargs or {})

        self._mode = type("Watching", (base,), {"__torch_dispatch__": dispatch})()
        self._mode.__enter__()

    def stop(self) -> None:
        """Stop watching."""
        self._awaited.remove()
        mode, self._mode = self._mode, nullcontext()
        mode.__exit__(None, None, None)

    def finish(self) -> None:
        """End the last step."""
        self.stop()
        self._end_step(is_last=True)

    # steps

    def _end_step(self, *, is_last: bool = False) -> None:
        if self._level in {"operators", "graphs"}:
            if self._step == self._target or self._level == "graphs" or is_last:
                self._send_page(is_last=True)
                self._answer_values()
        else:
            self._channel.send(Event.STEP, **Step(number=self._step, digest=self._digest(), is_last=is_last))
            self._channel.receive()  # the order to go on
        self._step += 1
        self._computed.clear()

    def _digest(self) -> str:
        """Digest of the parameters, or of all that was computed in the step, in any order."""
        if self._torch is None:
            return ""
        if self._level == "everything":
            return _sha(*sorted(self._computed))
        alive = ((storage, reference()) for storage, reference in self._parameters.items())
        return _sha(*(self._hash(tensor) for storage, tensor in alive if tensor is not None))

    def _call(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call an operator, and note what it computes."""
        if os.getpid() != self._process:  # a child that loads data
            return function(*args, **kwargs)
        written, outs = self._written_by(function, args, kwargs)
        given = [value for name, value in kwargs.items() if name not in outs]
        tensors = list(tensors_of(self._torch, (args, given)))
        written_ids = {id(tensor) for tensor in written}
        self._register(tensors)
        if self._written and any(
            self._storage(tensor) in self._written for tensor in tensors if id(tensor) not in written_ids
        ):
            self._end_step()
            self._written.clear()
        is_told = self._level == "operators" and self._step == self._target
        operator = self._describe(function, args, kwargs, tensors) if is_told else None
        result = function(*args, **kwargs)
        updates = {self._storage(tensor) for tensor in written} & self._parameters.keys()
        self._written |= updates
        results = list({id(tensor): tensor for tensor in (*tensors_of(self._torch, result), *written)}.values())
        if str(function).startswith(MAKES_BLANKS):
            for tensor in results:
                tensor.zero_()
        if self._level == "everything":
            self._computed.update(self._hash(tensor) for tensor in results)
        if operator is not None:
            operator["outputs"] = [self._hash(tensor) for tensor in results]
            operator["written"] = [self._storage(tensor) for tensor in results]
            operator["shapes"] = [f"{tensor.dtype}{list(tensor.shape)}".removeprefix("torch.") for tensor in results]
            operator["updates"] = bool(updates)
            self._keep(results)
            self._page.append(operator)
            if len(self._page) == PAGE:
                self._send_page(is_last=False)
                self._channel.receive()
        return result

    def _register(self, tensors: Sequence[Any]) -> None:
        """Note the parameters among some tensors: leaves that require a gradient."""
        for tensor in tensors:
            if tensor.requires_grad and tensor.is_leaf:
                storage = self._storage(tensor)
                if storage not in self._parameters:
                    self._parameters[storage] = weakref.ref(tensor, partial(self._forget, storage))

    def _forget(self, storage: int, reference: Any) -> None:
        """Forget a parameter whose memory may be used again."""
        if self._parameters.get(storage) is reference:
            del self._parameters[storage]
            self._written.discard(storage)

    def _written_by(
        self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], frozenset[str]]:
        """Tensors among the arguments that an operator writes to, and the names of those that it does not read."""
        if function not in self._schemas:
            schema = function._schema.arguments
            writes = [each.alias_info is not None and each.alias_info.is_write for each in schema]
            numbers = frozenset(number for number, is_write in enumerate(writes) if is_write)
            names = frozenset(schema[number].name for number in numbers)
            self._schemas[function] = numbers, names, frozenset(each.name for each in schema if each.is_out)
        numbers, names, outs = self._schemas[function]
        values = [args[number] for number in numbers if number < len(args)]
        values += [kwargs[name] for name in names & kwargs.keys()]
        return list(tensors_of(self._torch, values)), outs

    def _storage(self, tensor: Any) -> int:
        """Number of the memory that a tensor shares with its views."""
        try:
            return int(tensor.untyped_storage()._cdata)
        except (NotImplementedError, RuntimeError):  # sparse tensors and others without a storage
            return id(tensor)

    def _hash(self, tensor: Any) -> str:
        """Hash of the numbers of a tensor and their type, without its shape."""
        return _sha(str(tensor.dtype), self._bytes(tensor))

    def _bytes(self, tensor: Any) -> bytes:
        torch = self._torch
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            return f"not compared: {tensor.layout}".encode()
        dense = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        return bytes(dense.reshape(-1).view(torch.uint8).numpy().tobytes())

    # operators

    def _describe(
        self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], tensors: Sequence[Any]
    ) -> Operator:
        """What is known of an operator before it is called."""
        torch = self._torch
        place, module = self._place_of(sys._getframe(3))
        sequence, node = torch._C._autograd._get_sequence_nr() - 1, torch._C._current_autograd_node()
        call = forward = -1
        if node is not None:
            call, forward, module = self._forward.get(node._sequence_nr(), (-1, -1, module))
        else:
            self._forward.setdefault(sequence, (self._told, place, module))
        self._told += 1
        is_random = torch.Tag.nondeterministic_seeded in function.tags
        return {
            "name": str(function).removesuffix(".default"),
            "arguments": _arguments(torch, function, args, kwargs),
            "inputs": [self._hash(tensor) for tensor in tensors],
            "read": [self._storage(tensor) for tensor in tensors],
            "outputs": [],
            "written": [],
            "shapes": [],
            "updates": False,
            "module": module,
            "place": place,
            "forward": forward,
            "forward_call": call,
            "is_backward": node is not None,
            "generator": self._generator(kwargs.get("generator")) if is_random else "",
            "elsewhere": self._elsewhere(),
        }

    def _generator(self, generator: Any) -> str:
        """Hash of the state of a generator before it draws."""
        state = (generator or self._torch.default_generator).get_state()
        return _sha(self._bytes(state))

    @staticmethod
    def _elsewhere() -> list[str]:
        """Hashes of the states of the random number generators of Python and numpy."""
        numpy = sys.modules.get("numpy.random")
        states = [repr(random.getstate())]
        if numpy is not None:
            states.append(repr([getattr(part, "tolist", lambda part=part: part)() for part in numpy.get_state()]))
        return [_sha(state) for state in states]

    def _place_of(self, frame: FrameType | None) -> tuple[int, str]:
        """Number of the place that called an operator, and the module of the network that did."""
        place: list[tuple[str, str, int, str]] = []
        modules: list[Any] = []
        call = self._torch.nn.Module._call_impl.__code__
        while frame is not None:
            if frame.f_code is call:
                modules.append(frame.f_locals["self"])
            elif len(place) < MAX_FRAMES and (found := self._frame(frame.f_code.co_filename)):
                place.append((*found, frame.f_lineno or 0, frame.f_code.co_qualname))
            frame = frame.f_back
        return self._places.setdefault(tuple(place), len(self._places)), self._module_path(modules)

    def _frame(self, path: str) -> tuple[str, str] | None:
        """Kind and name of a file whose frames are sent; ``None`` for torch, pytest and the standard library."""
        for root, folder in self._roots.items():
            if path.startswith(folder):
                return root, path.removeprefix(folder)
        _, found, name = path.rpartition(f"{os.sep}site-packages{os.sep}")
        if not found or f"{os.sep}{name}".startswith(NOT_A_PLACE):
            return None
        return "dependency", name

    def _module_path(self, modules: Sequence[Any]) -> str:
        """Path of the innermost module within the outermost, with its class."""
        if not modules:
            return ""
        inner, outer = modules[0], modules[-1]
        if id(outer) not in self._names or self._names[id(outer)][0] is not outer:
            self._names[id(outer)] = outer, {id(module): name for name, module in outer.named_modules()}
        path = self._names[id(outer)][1].get(id(inner), "")
        return ".".join(filter(None, (type(outer).__qualname__, path))) + (
            f" ({type(inner).__qualname__})" if path else ""
        )

    def _send_page(self, *, is_last: bool) -> None:
        places: list[list[Frame]] = [
            [{"root": root, "file": file, "line": line, "function": function} for root, file, line, function in place]
            for place in self._places
        ]
        self._channel.send(Event.OPERATORS, **Operators(operators=self._page, places=places, is_last=is_last))
        self._page = []

    def _keep(self, results: Sequence[Any]) -> None:
        """Keep copies of results, as long as there is room."""
        self._kept_bytes += sum(tensor.nbytes for tensor in results)
        has_room = self._kept_bytes <= MAX_KEPT_BYTES
        self._kept.append([tensor.detach().clone() for tensor in results] if has_room else None)

    def _answer_values(self) -> None:
        """Send the numbers that the gate asks for, until it lets the trial go on."""
        while (command := self._channel.receive())["do"] == Command.VALUES:
            number, output = command["operator"], command["output"]
            kept = self._kept[number] if number < len(self._kept) else None
            numbers: list[Any] = []
            if kept is not None and output < len(kept) and not kept[output].is_complex():
                flat = kept[output].cpu().contiguous().reshape(-1)[command["start"] : command["start"] + CHUNK]
                numbers = flat.double().numpy().tolist()
            values = base64.b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode()
            self._channel.send(Event.VALUES, **Values(values=values, is_kept=kept is not None))

    # graphs

    def _watch_compiler(self) -> None:
        """Send the nodes of every graph that torch.compile makes."""
        graphs = importlib.import_module("torch._dynamo.output_graph").OutputGraph
        compile_graph = graphs.call_user_compiler

        def watched(graph: Any, module: Any, *arguments: Any, **named: Any) -> Any:
            for node in module.graph.nodes:
                self._page.append(self._node(node, len(self._kept)))
            self._kept.append(None)
            return compile_graph(graph, module, *arguments, **named)

        graphs.call_user_compiler = watched
        restored = ExitStack()
        restored.callback(setattr, graphs, "call_user_compiler", compile_graph)
        self._mode = restored

    def _node(self, node: Any, graph: int) -> Operator:
        text = node.format_node() or f"return {node.args}"
        trace = [line.strip() for line in (node.stack_trace or "").splitlines() if line.strip().startswith("File ")]
        place = []
        for line in reversed(trace):  # File "a.py", line 3, in forward
            path, _, rest = line.removeprefix('File "').partition('", line ')
            number, _, function = rest.partition(", in ")
            if found := self._frame(path):
                place.append((*found, int(number) if number.isdecimal() else 0, function))
        return {
            "name": str(node.target),
            "arguments": [text[:MAX_TEXT]],
            "inputs": [],
            "read": [],
            "outputs": [_sha(f"{graph}", text)],
            "written": [],
            "shapes": [],
            "updates": False,
            "module": "",
            "place": self._places.setdefault(tuple(place), len(self._places)),
            "forward": -1,
            "forward_call": -1,
            "is_backward": False,
            "generator": "",
            "elsewhere": [],
        }


def _sha(*parts: str | bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(struct.pack(">Q", len(data)))
        digest.update(data)
    return digest.hexdigest()


def _arguments(torch: Any, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
    """The arguments of an operator that are not tensors, by name."""
    names = [each.name for each in function._schema.arguments]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return [
        f"{name}={value!r}"[:MAX_TEXT]
        for name, value in given.items()
        if name != "generator" and not any(True for _ in tensors_of(torch, value))
    ]
