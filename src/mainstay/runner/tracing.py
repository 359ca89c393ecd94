"""Trace of a worker that is not timed: what could let a revision see the words of its own source.

An audit hook, a profile function in every thread and wrappers of what raises no audit event watch what the code of the tree
and of the workloads does, and whatever these call. What pytest does around them, and dependencies while they are imported, is
not watched: it is the same for both revisions, and does nothing for the tree.

Where the proof is to cover executed code only, ``sys.monitoring`` tells of every function that is executed, in threads of
compiled code too, and of every call, so that sources of chance are noticed (Python 3.12 and later).

- :class:`Tracer`: installed once, before anything of the revision is imported.
"""

from __future__ import annotations

import builtins
import copyreg
import dis
import functools
import genericpath
import importlib._bootstrap as bootstrap
import importlib._bootstrap_external as bootstrap_external
import inspect
import logging
import os
import posixpath
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MappingProxyType
from typing import Any, NamedTuple

from . import lazy
from .chance import find_chance, find_executed_source, find_named_chance, is_lasting
from .protocol import Traced
from .rewording import (
    ATTRIBUTE_GETTERS,
    ATTRIBUTES,
    BUILTIN_READERS,
    CLASS_LINES,
    CO_VARARGS,
    CO_VARKEYWORDS,
    DOCSTRINGS,
    GLOBAL_LOADS,
    LOCALS,
    MADE_BY_UV,
    MATCHED,
    MODULES,
    PLACES,
    POSITIONS,
    READERS,
    TEXT,
    WITHOUT_EFFECT,
    find_words,
    instructions_of,
)

OURS, OTHERS = range(2)
"""States of a thread: on behalf of the tree or of the workloads; pytest around these, or a dependency being imported."""

UNKNOWN_EVENTS = frozenset(
    {
        "subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.system", "os.posix_spawn", "os.spawn", "pty.spawn",
        "ctypes.dlopen", "ctypes.dlsym", "ctypes.string_at", "ctypes.wstring_at", "ctypes.cdata",
        "marshal.loads", "marshal.load", "pickle.find_class", "function.__new__", "code.__new__", "object.__setattr__",
        "gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys.settrace", "sys.setprofile", "sys.addaudithook",
        "sys._current_frames", "sys._current_exceptions", "cpython.PyInterpreterState_New", "sys.monitoring.register_callback",
    }
)  # fmt: skip
"""Audit events after which nobody can tell what was read."""

READ_BY_TREE = {kind: READERS[kind] for kind in (DOCSTRINGS, POSITIONS, CLASS_LINES, LOCALS)}
"""Names by which code of the tree or of the workloads could read words. Its modules are searched before anything is run."""

READ_UNSEARCHED = {kind: names | ATTRIBUTE_GETTERS.keys() | {MATCHED} for kind, names in READ_BY_TREE.items()}
"""The same for code of the workloads that was not searched: it counts even if the names that it gives to getters are constants."""

READ_BY_OTHERS = {**ATTRIBUTES, DOCSTRINGS: ATTRIBUTES[DOCSTRINGS] | {"getdoc", "pydoc"}}
"""Names by which code of others could read words of the tree."""

COPIES_DOCSTRINGS = frozenset(
    {"abc", "collections", "contextlib", "dataclasses", "enum", "functools", "reprlib", "types", "typing"}
)
"""Modules of the standard library that copy docstrings or ask whether there is one, and do nothing else with them."""

PYTEST = re.compile(r"[/\\](_pytest|pluggy)[/\\]")
"""Part of the path of pytest's own code, which reads the docstrings of what it collects."""

COMPILERS = (
    "/torch/_dynamo/convert_frame.py",
    "/torch/jit/frontend.py",
    "/torch/fx/_symbolic_trace.py",
    "/numba/core/",
)
"""Parts of the paths of modules that read code as data."""

STARTS_THREADS = frozenset({"start_new_thread", "start_new", "start_joinable_thread"})

WARNS = frozenset({"warn", "warn_explicit"})

FORMATS = frozenset({"format", "format_map"})

HEEDED = STARTS_THREADS | WARNS | FORMATS
"""Built-in functions that raise no audit event and are watched nevertheless."""

IN_A_TEMPLATE = re.compile(r"\.(\w+)")
"""An attribute in a template of ``str.format``."""

HOLDS_DOCSTRING = frozenset({FunctionType, type(functools.lru_cache(len))})
"""Types of functions: a docstring that is copied to one is read from it by name only. An object is pickled with all it holds."""

GIVEN_DOCSTRINGS = frozenset({property, staticmethod, classmethod})
"""Built-in types whose objects are given the docstring of a function and keep it, with their other attributes, in subclasses."""

SLOT_NAMES, OLD_STATE = (vars(copyreg)[name].__code__ for name in ("_slotnames", "_reduce_ex"))
"""Code that is executed where the state of an object is taken: for types whose slots are not known yet, and for old pickles."""

HELD_BY_CLASSES = ("__module__", "__doc__")
"""Keys that tell the namespace of a class: ``__module__`` is always there, and ``__doc__`` if it has a docstring. A module's
namespace has ``__doc__``, too."""

NOT_HEEDED = frozenset({"c_return", "c_exception"})
"""Events of the profile function that tell nothing."""

HARMLESS_OF_INSPECT = ("_has_code_flag", "_signature_from_function", "_signature_is_functionlike")
"""Functions of ``inspect`` that take nothing from a code object but what is compared anyway: flags and arguments."""

THROWS_TEXT_AWAY = "_int_to_enum"
"""Function of ``signal`` that is called whenever a handler is set. It formats the handler in the message of a ``ValueError``,
which it then drops."""

LOOKS_ELSEWHERE = (
    ("/torch/cuda/__init__.py", "_lazy_call"),
    ("/torch/xpu/__init__.py", "_lazy_call"),
    ("/torch/mtia/__init__.py", "_lazy_call"),
    ("/torch/utils/_contextlib.py", "_set_stack_frame_name"),
    ("/typing_extensions.py", "_has_generic_or_protocol_as_origin"),
)
"""Functions of dependencies, by the end of their file, that note where they were called from, for messages of errors, or look
at frames and code objects of their own package."""

ASKS_FOR_NAMES = (("/pydantic/_internal/_typing_extra.py", "parent_frame_namespace"),)
"""Functions of dependencies, in the same form, that take nothing from the code of their caller but its name."""

RUNNER = os.path.dirname(os.path.realpath(__file__)) + os.sep
"""Folder of this package, whose timers call the clock."""

MONITOR = 4
"""Number under which ``sys.monitoring`` knows this tool; debuggers, coverage and profilers have others."""

AUDITED = frozenset(
    {"__code__", "f_code", "gi_code", "cr_code", "ag_code", "tb_frame", "gi_frame", "cr_frame", "ag_frame"}
)
"""Attributes that lead to code or to a frame, whose text tells a line."""

NAMES_ONLY = ("exists", "isfile", "isdir", "islink", "lexists", "realpath", "_joinrealpath")
"""Functions on paths that ask for the status of a file, and tell of it only what follows from the names of all files."""


def _codes_of(*modules: Any) -> Iterator[CodeType]:
    """Code of all functions of some modules."""
    for module in modules:
        for value in vars(module).values():
            for each in (value, *(vars(value).values() if isinstance(value, type) else ())):
                function = getattr(each, "__func__", each)
                if hasattr(function, "__code__"):
                    yield function.__code__


def _reads(code: CodeType, names: frozenset[str], built_in: frozenset[str] = frozenset()) -> bool:
    """Whether code does anything with one of these names but store it, or loads a constant of which it is a word.

    Built-in functions count as globals only, since objects have methods of these names.
    """
    is_word = any(any(find_words(constant, names)) for constant in code.co_consts)
    if not is_word and (names | built_in).isdisjoint(code.co_names):
        return False
    instructions = list(instructions_of(code))
    docstrings = {load.offset for load, store in pairwise(instructions) if _stores_docstring(store)}
    return any(
        _is_read_by(each, names, built_in)
        or (each.opcode in dis.hasconst and each.offset not in docstrings and any(find_words(each.argval, names)))
        for each in instructions
    )


def _is_read_by(instruction: dis.Instruction, names: frozenset[str], built_in: frozenset[str]) -> bool:
    """Whether an instruction uses one of these attributes or built-in functions.

    Storing one counts for ``__match_args__`` only, which patterns use later.
    """
    name = instruction.argval
    if instruction.opcode not in dis.hasname:
        return False
    if instruction.opname.startswith("STORE_"):
        return name == MATCHED and name in names
    return name in names or (name in built_in and instruction.opname in GLOBAL_LOADS)


def _builds_name(code: CodeType) -> bool:
    """Whether code gives ``attrgetter`` anything but constants."""
    if "attrgetter" not in code.co_names:
        return False
    instructions = [each for each in instructions_of(code) if each.opname not in WITHOUT_EFFECT]
    for position, each in enumerate(instructions):
        if each.opcode in dis.hasname and each.argval == "attrgetter":
            others = (other for other in instructions[position + 1 :] if other.opcode not in dis.hasconst)
            if not next(others).opname.startswith("CALL"):
                return True
    return False


def _is_one_of(code: CodeType, functions: Iterable[tuple[str, str]]) -> bool:
    """Whether code is that of one of some functions, each told by the end of its file and its qualified name."""
    return any(code.co_qualname == name and code.co_filename.endswith(end) for end, name in functions)


def _where(code: CodeType) -> str:
    return f"{os.path.basename(code.co_filename)}::{code.co_qualname}"


def _arguments_of(frame: FrameType) -> Iterator[Any]:
    """Arguments of a call, each of those that it takes in any number included."""
    code = frame.f_code
    num_named = code.co_argcount + code.co_kwonlyargcount
    num_all = num_named + bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
    values = frame.f_locals if num_all else {}
    for position, name in enumerate(code.co_varnames[:num_all]):
        value = values.get(name)
        yield value
        if position >= num_named:
            yield from value.values() if type(value) is dict else value if type(value) is tuple else ()


def _is_body_of_class(value: Any) -> bool:
    """Whether a value is a mapping of what the body of a class holds, such as a metaclass is given, or a copy of it."""
    if issubclass(type(value), dict):
        return any(dict.__contains__(value, name) for name in HELD_BY_CLASSES)
    return type(value) is MappingProxyType and any(name in value for name in HELD_BY_CLASSES)


def _is_given_docstrings(cls: type) -> bool:
    """Whether objects of a type of the standard library are given the docstring of a function, as an attribute of their own."""
    if cls.__module__ not in COPIES_DOCSTRINGS:
        return cls in GIVEN_DOCSTRINGS
    codes = (each.__code__ for each in vars(cls).values() if isinstance(each, FunctionType))
    return any(
        (each.opname, each.argval) == ("STORE_ATTR", "__doc__") for code in codes for each in instructions_of(code)
    )


def _all_classes() -> set[type]:
    found: set[type] = set()
    left: list[type] = [object]
    while left:
        cls = left.pop()
        if cls not in found:
            found.add(cls)
            left += type.__subclasses__(cls)
    return found


def _forget_slots(cls: type) -> None:
    """Have the next object of a type ask for its slots again, if its state may hold a docstring, so that this is noticed."""
    if "__slotnames__" in vars(cls) and any(map(_is_given_docstrings, cls.__mro__)):
        type.__delattr__(cls, "__slotnames__")


def _stores_docstring(instruction: dis.Instruction) -> bool:
    """Whether the body of a class stores its docstring."""
    return (instruction.opname, instruction.argval) == ("STORE_NAME", "__doc__")


def _targets_of_links(folder: str) -> Iterator[str]:
    """Real paths to which links in a folder lead."""
    for place, folders, files in os.walk(folder):
        paths = (os.path.join(place, name) for name in (*folders, *files))
        yield from (os.path.realpath(path) for path in paths if os.path.islink(path))


class Kind(NamedTuple):
    """How the trace treats some code.

    Attributes:
        state: The state that a call of it begins, if any.
        place: How it is named if it belongs to the tree; else empty.
        is_searched: Whether the modules that were searched hold it; archives and templates hold code, too.
        is_shared: Whether a link in the folder of the workloads leads to it, so that it was not searched.
    """

    state: int | None = None
    place: str = ""
    is_searched: bool = False
    is_shared: bool = False


class Tracer:
    """Watches everything that a worker executes from now on, in all threads.

    Args:
        tree: Folder of the code that is compared.
        beside: Folder of the workloads.
        follows_calls: Whether to tell of every function that is executed and of every source of chance.
    """

    def __init__(self, tree: str, beside: str, *, follows_calls: bool = False) -> None:
        self._tree = os.path.realpath(tree) + os.sep
        self._beside = os.path.realpath(beside) + os.sep
        self._as_given = os.path.abspath(beside) + os.sep
        self._linked = tuple(_targets_of_links(beside))
        folders = (*sys.path, sys.base_prefix, sys.prefix, RUNNER)
        self._installed = tuple({os.path.realpath(folder) + os.sep for folder in folders if folder})
        self._importers = {id(code) for code in _codes_of(bootstrap, bootstrap_external)}
        self._root = vars(bootstrap)["_find_and_load"].__code__
        self._thread = vars(threading.Thread)["_bootstrap_inner"].__code__
        harmless = (
            *(vars(inspect).get(name) for name in HARMLESS_OF_INSPECT),
            *(logging.Logger.findCaller, logging.currentframe, vars(logging).get("_is_internal_frame")),
        )
        self._harmless = {id(function.__code__) for function in harmless if isinstance(function, FunctionType)}
        paths = {**vars(genericpath), **vars(posixpath)}
        asking = (paths.get(name) for name in NAMES_ONLY)
        self._names_only = {id(function.__code__) for function in asking if isinstance(function, FunctionType)}
        self._copiers = {getattr(sys.modules.get(name), "__file__", None) for name in COPIES_DOCSTRINGS} - {None}
        self._copiers |= {f"<frozen {name}>" for name in COPIES_DOCSTRINGS}
        unheeded = (lazy.refuse_lazy_function, lazy.refuse_lazy_result, vars(signal).get(THROWS_TEXT_AWAY))
        self._unheeded = {id(function.__code__) for function in unheeded if isinstance(function, FunctionType)}
        self._kinds: dict[int, tuple[CodeType, Kind]] = {}
        self._states = threading.local()
        self._unknown: set[str] = set()
        self._touched: set[str] = set()
        self._introspected: set[str] = set()
        self._readers: dict[str, set[str]] = {}
        self._globals: dict[int, dict[str, Any]] = {}
        self._executed: set[str] = set()
        self._chance: set[str] = set()
        self._plain: dict[int, Any] = {}
        self._seen: set[int] = set()
        self._follows_calls = follows_calls
        self._children = (0.0, 0.0, 0)
        self._has_others = False
        self._states.busy, self._states.state, self._states.stack = False, OTHERS, []

    def start(self) -> None:
        """Install everything."""
        import _posixsubprocess
        import posix

        self._unknown |= {f"{name} was imported before the trace" for name in self._imported_before()}
        for name in ("stat", "lstat"):
            function = getattr(posix, name)
            wrapped = self._watch_path(function)
            setattr(os, name, wrapped)
            setattr(posix, name, wrapped)
            for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
                able |= {wrapped} if function in able else set()  # noqa: PLW2901 - the set itself is extended
        fork_exec = _posixsubprocess.fork_exec

        def watched_fork_exec(*arguments: Any) -> int:
            self._note_process(self._local(), "a process was started")
            return int(fork_exec(*arguments))

        _posixsubprocess.fork_exec = watched_fork_exec
        builtins.getattr = self._watch_getattr(builtins.getattr)
        for cls in _all_classes():
            _forget_slots(cls)
        self._children = self._usage_of_children()
        if self._follows_calls:
            self._monitor()
        sys.addaudithook(self._audit)
        threading.setprofile(self._profile)
        self._states.busy = True
        sys.setprofile(self._profile)
        self._states.busy = False

    def take(self) -> Traced:
        """What was seen since the last time."""
        self._states.busy = True
        usage = self._usage_of_children()
        if usage != self._children and not self._has_others:
            self._unknown.add("a child process ended")
        if sys.getprofile() != self._profile or threading.getprofile() != self._profile:
            self._unknown.add("the trace was switched off")
        self._look_for_warnings()
        if self._follows_calls:
            self._restart_monitor()
        taken: Traced = {
            "unknown": sorted(self._unknown),
            "touched": sorted(self._touched),
            "introspected": sorted(self._introspected),
            "readers": {kind: sorted(found) for kind, found in sorted(self._readers.items())},
            "executed": sorted(self._executed),
            "chance": sorted(self._chance),
        }
        for each in (self._unknown, self._touched, self._introspected, self._executed, self._chance, self._seen):
            each.clear()
        self._readers.clear()
        self._children, self._has_others = usage, False
        self._states.busy = False
        return taken

    def _imported_before(self) -> Iterator[str]:
        """Yield the names of modules of the tree that are imported already, as by an installed plugin of pytest."""
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            place = os.path.realpath(file) if isinstance(file, str) else ""
            if place.startswith(self._tree) and not place.startswith(f"{self._tree}{MADE_BY_UV}"):
                yield name

    @staticmethod
    def _usage_of_children() -> tuple[float, float, int]:
        import resource  # here, since Windows has none, where nothing is traced

        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime, usage.ru_stime, usage.ru_maxrss

    def _local(self) -> Any:
        """The state of this thread; a new one runs what some code of the revision gave it."""
        local = self._states
        if not hasattr(local, "busy"):
            local.busy, local.state, local.stack = False, OURS, []
        return local

    # what is executed

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """Profile function: keep the state of the thread, and record what is executed."""
        if event in NOT_HEEDED or (event == "c_call" and argument.__name__ not in HEEDED):
            return
        local = self._local()
        if local.busy:
            return
        local.busy = True
        try:
            if event == "call":
                self._enter(local, frame)
            elif event == "return":
                if frame.f_code is SLOT_NAMES:
                    _forget_slots(frame.f_locals["cls"])
                if local.stack and local.stack[-1][0] is frame:
                    local.state = local.stack.pop()[1]
            elif event == "c_call" and local.state == OURS:
                self._call_built_in(frame, argument)
        finally:
            local.busy = False

    def _call_built_in(self, frame: FrameType, function: Any) -> None:
        """Record a call of a built-in function that raises no audit event."""
        name = function.__name__
        if name in WARNS:
            self._note_reader(POSITIONS, f"warnings.{name}")
        if name in FORMATS and isinstance(template := function.__self__, str) and "." in template:
            attributes = {*IN_A_TEMPLATE.findall(template)}
            for kind, names in READ_BY_TREE.items():
                if found := attributes & names:
                    self._note_reader(kind, f"a template with {min(found)}")
        if name in STARTS_THREADS and frame.f_code is not threading.Thread.start.__code__:
            self._unknown.add("a thread was started without the module threading")

    def _enter(self, local: Any, frame: FrameType) -> None:
        code = frame.f_code
        kind = self._kind(code)
        state = kind.state
        if state == OTHERS and code.co_name == "<module>" and not self._is_import(frame.f_back):
            state = None
        if state is not None and local.state != state:
            local.stack.append((frame, local.state))
            local.state = state
        is_own = state == OURS
        if local.state == OURS:
            self._follow_docstrings(frame, is_own=is_own)
        if id(code) in self._seen:
            return
        if self._follows_calls and local.state == OURS:
            self._look_for_chance(frame, is_own=is_own)
        if kind.place:
            self._executed.add(kind.place)
            self._globals[id(frame.f_globals)] = frame.f_globals
        if kind.is_shared:
            self._unknown.add(f"code of a shared input was executed, {os.path.basename(code.co_filename)}")
        if local.state == OURS and not kind.is_searched:
            self._look_at(code, is_own=is_own)
        if kind.place or (local.state == OURS and state is None):
            self._seen.add(id(code))

    def _kind(self, code: CodeType) -> Kind:
        known = self._kinds.get(id(code))
        if known is None:
            known = self._kinds[id(code)] = (code, self._classify(code))
        return known[1]

    def _classify(self, code: CodeType) -> Kind:
        is_file = not code.co_filename.startswith("<")  # as of code that a dependency made of a text
        file = os.path.realpath(code.co_filename) if is_file else code.co_filename
        is_searched = file.endswith(MODULES) and os.path.isfile(file)  # else in an archive, or only said to be there
        if file.startswith(self._tree):
            return Kind(OURS, f"{file.removeprefix(self._tree)}::{code.co_qualname}", is_searched)
        if file.startswith(self._beside):
            return Kind(OURS, is_searched=is_searched)
        if is_file and self._is_linked(code.co_filename):
            return Kind(OURS, is_shared=True)
        if is_file and not file.startswith(self._installed):
            return Kind(OURS)  # as of a module that a workload wrote
        if id(code) in self._unheeded or code.co_name == "<module>" or _is_one_of(code, LOOKS_ELSEWHERE):
            return Kind(OTHERS)
        return Kind()

    def _is_linked(self, file: str) -> bool:
        """Whether a link in the folder of the workloads leads to a file, by the path that it was opened with or by its own."""
        given, real = os.path.abspath(file), os.path.realpath(file)
        return given.startswith((self._beside, self._as_given)) or any(
            real == target or real.startswith(f"{target}{os.sep}") for target in self._linked
        )

    def _follow_docstrings(self, frame: FrameType, *, is_own: bool) -> None:
        """Record a function that gets the namespace of a class, docstring included, or that copies a docstring to an object.

        ``__build_class__`` is not wrapped to find metaclasses, since the wrapper's frame would stand between a metaclass and
        the class statement, where some libraries look up their caller.
        """
        code = frame.f_code
        if is_own and any(map(_is_body_of_class, _arguments_of(frame))):
            for kind in (DOCSTRINGS, CLASS_LINES):
                self._note_reader(kind, f"{_where(code)}, which is given the body of a class")
        if code is functools.update_wrapper.__code__:
            self._copy_docstring(**frame.f_locals)
        elif code is inspect.getattr_static.__code__:
            self._heed_static_name(frame.f_locals["attr"])
        elif code is SLOT_NAMES:
            self._take_state(frame.f_locals["cls"])
        elif code is OLD_STATE:
            self._take_state(type(frame.f_locals["self"]))

    def _copy_docstring(self, wrapper: Any, wrapped: Any, **named: Any) -> None:
        """Record that a docstring is copied to an object that is no function, unless it is that of a function of others."""
        is_other = type(wrapped) is BuiltinFunctionType
        if type(wrapped) is FunctionType and not self._kind(wrapped.__code__).place:
            is_other = wrapped.__doc__ in {None, *wrapped.__code__.co_consts[:1]}  # else it was copied to this one, too
        if type(wrapper) not in HOLDS_DOCSTRING and not is_other:
            self._note_reader(DOCSTRINGS, f"update_wrapper of an object of {type(wrapper).__name__}")

    def _heed_static_name(self, name: Any) -> None:
        """Record the name that ``inspect.getattr_static`` looks up for a dependency.

        The search of the tree finds those that its own code uses.
        """
        for kind, names in READ_BY_OTHERS.items():
            if type(name) is str and name in names:
                self._note_reader(kind, f"getattr_static of {name}")

    def _take_state(self, cls: type) -> None:
        """Record that the state of an object is taken, as for a pickle, which holds a docstring that was copied to it."""
        if any(map(_is_given_docstrings, cls.__mro__)):
            self._note_reader(DOCSTRINGS, f"the state of an object of {cls.__name__}")

    def _note_reader(self, kind: str, what: str) -> None:
        self._readers.setdefault(kind, set()).add(what)

    def _look_for_warnings(self) -> None:
        """Record warnings of lines of the tree, those of compiled code included, whatever the filters made of them.

        The interpreter notes each in the globals of the code that it is attributed to, before it asks the filters.
        """
        for names in self._globals.values():
            if names.pop("__warningregistry__", None) is not None:
                self._note_reader(POSITIONS, f"a warning in {names.get('__name__')}")

    def _look_at(self, code: CodeType, *, is_own: bool) -> None:
        """Record what code that was not searched, executed on behalf of the tree, names."""
        if id(code) in self._importers:
            return
        where = _where(code)
        if any(part in code.co_filename for part in COMPILERS):
            self._unknown.add(f"code was compiled by {where}")
        if is_own and _reads(code, READERS[TEXT] - PLACES):
            self._unknown.add(f"text could be read by {where}")
        if not is_own and _builds_name(code):
            self._note_reader(DOCSTRINGS, f"attrgetter in {where}")
        for kind, names in (READ_UNSEARCHED if is_own else READ_BY_OTHERS).items():
            if _reads(code, names, BUILTIN_READERS[kind] if is_own else frozenset()):
                is_copy = kind == DOCSTRINGS and code.co_filename in self._copiers
                self._note_reader("presence" if is_copy else kind, where)

    # what may depend on chance

    def _monitor(self) -> None:
        """Have the interpreter tell of all functions that are executed, and of all calls."""
        if sys.version_info >= (3, 12):
            monitoring, events = sys.monitoring, sys.monitoring.events
            monitoring.use_tool_id(MONITOR, __name__)
            monitoring.register_callback(MONITOR, events.PY_START, self._start_function)
            monitoring.register_callback(MONITOR, events.CALL, self._call)
            monitoring.set_events(MONITOR, events.PY_START | events.CALL)

    def _restart_monitor(self) -> None:
        """Have functions told again that were told before."""
        if sys.version_info >= (3, 12):
            monitoring, events = sys.monitoring, sys.monitoring.events
            if (
                monitoring.get_tool(MONITOR) != __name__
                or monitoring.get_events(MONITOR) != events.PY_START | events.CALL
            ):
                self._unknown.add("the trace was switched off")
            monitoring.restart_events()

    def _start_function(self, code: CodeType, offset: int) -> Any:
        """Record a function that begins, in whatever thread; it need not be told again until the next take."""
        if sys.version_info >= (3, 12):
            if place := self._kind(code).place:
                self._executed.add(place)
            return sys.monitoring.DISABLE

    def _call(self, code: CodeType, offset: int, called: Any, argument: Any) -> None:
        """Record a call of a source of chance."""
        if id(called) in self._plain:
            return
        local = self._local()
        if local.busy or local.state != OURS or id(code) in self._importers:
            return
        local.busy = True
        try:
            source = find_chance(called, argument)
            if source and not os.path.realpath(code.co_filename).startswith(RUNNER):
                self._note_chance(source, code)
            if not source and is_lasting(called):
                self._plain[id(called)] = called
        finally:
            local.busy = False

    def _look_for_chance(self, frame: FrameType, *, is_own: bool) -> None:
        """Record a source of chance that a function is, or that a function of the tree or of the workloads names."""
        code, names = frame.f_code, frame.f_globals
        if is_own:
            source = find_named_chance(code, names, frame.f_builtins)
        else:
            source = find_executed_source(code, str(names.get("__name__", "")))
        if source:
            self._note_chance(source, code)

    def _note_chance(self, source: str, code: CodeType) -> None:
        self._chance.add(f"{source} in {_where(code)}")

    # what is asked of the interpreter

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Audit hook: record what cannot be followed, which code was looked at and which files were touched."""
        local = self._local()
        if local.busy:
            return
        local.busy = True
        try:
            self._heed(local, event, arguments)
        finally:
            local.busy = False

    def _heed(self, local: Any, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "sys._getframe":
            if local.state == OURS and arguments:
                self._heed_frames(sys._getframe(2), arguments[0])
            return
        if event in {"import", "exec", "compile", "builtins.id"}:
            return
        if event == "object.__getattr__":
            if local.state == OURS and arguments[1] in AUDITED:
                self._introspect(arguments[0], sys._getframe(2))
            return
        if event == "object.__setattr__" and arguments[1] != "__code__":
            return
        if event in UNKNOWN_EVENTS:
            caller = sys._getframe(2)
            is_own = event == "sys.setprofile" and caller.f_code is self._thread
            if not is_own and not self._is_import(caller):
                self._note_process(local, f"the event {event}")
            return
        arguments = arguments[:1] if event in {"open", "os.listdir"} else arguments
        self._touch_all(local, arguments, sys._getframe(2), opens=event == "open", lists=event == "os.listdir")

    def _note_process(self, local: Any, what: str) -> None:
        """Record what cannot be followed; a plugin of pytest or a dependency that is imported may start processes."""
        if local.state == OURS:
            self._unknown.add(what)
        else:
            self._has_others = True

    def _heed_frames(self, caller: FrameType, found: FrameType) -> None:
        """Record that a caller was looked for across a frame of this module, which a process that is timed does not have."""
        frame: FrameType | None = caller
        while frame is not None:
            if frame.f_globals is globals():
                self._unknown.add(
                    f"a frame of the trace was looked at in {os.path.basename(caller.f_code.co_filename)}"
                )
                return
            frame = frame.f_back if frame is not found else None

    def _introspect(self, object_: Any, caller: FrameType) -> None:
        """Record whose code was looked at."""
        asking = caller.f_code
        if id(asking) in self._harmless or _is_one_of(asking, ASKS_FOR_NAMES) or self._is_import(caller):
            return
        frame = getattr(object_, "tb_frame", object_)
        for name in ("__code__", "f_code", "gi_code", "cr_code", "ag_code"):
            code = getattr(frame, name, None)
            if isinstance(code, CodeType):
                file = os.path.realpath(code.co_filename)
                if file.startswith(self._tree):
                    self._introspected.add(file.removeprefix(self._tree))
                return
        self._unknown.add("code was looked at that has no name")

    def _touch_all(
        self, local: Any, arguments: tuple[Any, ...], caller: FrameType, *, opens: bool = False, lists: bool = False
    ) -> None:
        """Record which files of the tree the arguments of an event name.

        Args:
            local: State of the thread.
            arguments: Paths and descriptors of files, among other things.
            caller: Who asks.
            opens: Whether files are opened.
            lists: Whether only the names in a folder are told, or its own status: these are the same for both revisions.
        """
        if local.state == OTHERS or self._is_import(caller):
            return
        for argument in arguments:
            place = self._place_of(argument, is_descriptor=not opens)
            if not place or (lists and os.path.isdir(place)):
                continue
            if f"{place}{os.sep}".startswith(self._tree):
                self._touched.add(f"{place}{os.sep}".removeprefix(self._tree).rstrip(os.sep) or ".")
            elif opens and self._tree.startswith(f"{place.rstrip(os.sep)}{os.sep}"):  # others are opened relative to it
                self._touched.add(".")

    @staticmethod
    def _place_of(argument: Any, *, is_descriptor: bool) -> str:
        """The path that an argument names, or stands for as a descriptor; empty if it is something else."""
        try:
            if isinstance(argument, (str, bytes, os.PathLike)):
                return os.path.realpath(os.fsdecode(argument))
            if is_descriptor and type(argument) is int and argument > 2:
                return os.readlink(f"/proc/self/fd/{argument}")
        except (TypeError, ValueError, OSError):
            pass
        return ""

    def _is_import(self, frame: FrameType | None) -> bool:
        """Whether the import system does something for itself: an import was asked for, not a file of its loader."""
        if frame is None or id(frame.f_code) not in self._importers:
            return False
        while frame is not None:
            if frame.f_code is self._root:
                return True
            if id(frame.f_code) not in self._importers and "_pytest" not in frame.f_code.co_filename:
                return False
            frame = frame.f_back
        return False

    def _watch_path(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of ``posix`` that takes a path and raises no audit event, watched."""

        def watched(path: Any, *arguments: Any, **named: Any) -> Any:
            local = self._local()
            if not local.busy:
                local.busy = True
                try:
                    caller = sys._getframe(1)
                    if id(caller.f_code) not in self._names_only:
                        self._touch_all(local, (path, named.get("dir_fd")), caller, lists=True)
                finally:
                    local.busy = False
            return function(path, *arguments, **named)

        return watched

    def _heed_getattr(self, name: str, kinds: Iterable[str], caller: CodeType) -> None:
        """Record an attribute that tells words, unless its reader does nothing with them."""
        is_own = self._kind(caller).state == OURS
        file = caller.co_filename
        if not is_own and (id(caller) in self._importers or file in self._copiers or PYTEST.search(file)):
            return
        for kind in kinds:
            if is_own or name in READ_BY_OTHERS.get(kind, ()):
                self._note_reader(kind, f"getattr of {name}")

    def _watch_getattr(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``getattr``, watched: its name may have been built, so that no search of the tree finds it."""

        def watched(*arguments: Any) -> Any:
            local = self._local()
            if not local.busy and local.state == OURS and len(arguments) > 1:
                local.busy = True
                try:
                    name = str(arguments[1])
                    if found := [
                        kind for kind, names in READ_BY_TREE.items() if name in names or name in ATTRIBUTE_GETTERS
                    ]:
                        self._heed_getattr(name, found, sys._getframe(1).f_code)
                finally:
                    local.busy = False
            return function(*arguments)

        watched.__name__ = watched.__qualname__ = function.__name__  # so that it can be pickled, as methods are
        watched.__module__ = "builtins"
        return watched
