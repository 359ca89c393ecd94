"""Comparison of Python modules that may differ in words only: docstrings, comments, layout and names of locals.

Where they differ in more, the comparison names the functions whose bodies do, for a proof that these are not executed.

The interpreter of the revisions runs this file as a program, because only their compiler tells what they execute:
``python -I -S rewording.py``, with a :class:`Question` as JSON on standard input and an :class:`Answer` on standard output.
It imports nothing of what it compares.

- :func:`compare_modules`: in what two sources differ, and in which functions.
- :func:`find_readers`: names by which code could see its own words.
"""

from __future__ import annotations

import ast
import dis
import json
import os
import re
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import CodeType
from typing import Any, NamedTuple, TypedDict

TEXT, DOCSTRINGS, POSITIONS, CLASS_LINES, LOCALS = "text", "docstrings", "positions", "class lines", "locals"
"""What may differ between modules that execute the same code, and what code could read of itself."""

ATTRIBUTES: dict[str, frozenset[str]] = {
    DOCSTRINGS: frozenset({"__doc__"}),
    POSITIONS: frozenset(
        {
            "f_lineno", "tb_lineno", "co_firstlineno", "__firstlineno__", "co_lines", "co_positions", "co_linetable",
            "gi_frame", "cr_frame", "ag_frame", "cr_origin", "__warningregistry__",
        }
    ),
    LOCALS: frozenset({"f_locals"}),
}  # fmt: skip
"""Attributes that hold what differs. A template names them, too, so files that are no modules are searched for these."""

READERS: dict[str, frozenset[str]] = {
    TEXT: frozenset(
        {
            "__code__", "__file__", "__path__", "__spec__", "__loader__", "__cached__", "__builtins__", "builtins",
            "f_code", "gi_code", "cr_code", "ag_code", "co_code", "co_consts", "co_varnames", "co_filename", "getsource",
            "getsourcelines", "getsourcefile", "findsource", "getcomments", "getmodule", "getabsfile", "getfile",
            "linecache", "get_source", "get_code", "get_data", "source_to_code", "SourceFileLoader", "find_spec",
            "find_loader", "get_loader", "spec_from_file_location", "pkgutil", "importlib_resources", "resources",
            "locate_file", "sysconfig", "getsitepackages", "getusersitepackages", "settrace", "setprofile", "gettrace",
            "getprofile", "addaudithook", "setprofile_all_threads", "settrace_all_threads", "_setprofileallthreads",
            "_settraceallthreads", "get_objects", "get_referrers", "get_referents", "_current_frames", "marshal", "dis",
            "py_compile", "compileall", "runpy", "cloudpickle", "dill", "tracemalloc", "faulthandler", "ctypes",
            "cffi", "pythonapi", "_thread", "start_new_thread", "start_joinable_thread", "_start_new_thread", "getrusage",
            "memory_info", "memory_full_info", "f_builtins", "ru_maxrss",
        }
    ),
    DOCSTRINGS: frozenset(
        {
            *ATTRIBUTES[DOCSTRINGS], "getdoc", "pydoc", "doctest", "__dict__", "__globals__", "f_globals", "getmembers",
            "getmembers_static", "__prepare__", "__getstate__", "__reduce__", "__reduce_ex__",
        }
    ),
    POSITIONS: frozenset(
        {
            *ATTRIBUTES[POSITIONS], "lineno", "co_lnotab", "end_lineno", "colno", "end_colno", "col_offset", "tb_lasti",
            "f_lasti", "traceback", "format_exc", "print_exc", "print_exception", "format_exception", "format_tb",
            "print_tb", "extract_tb", "extract_stack", "format_stack", "print_stack", "walk_tb", "walk_stack",
            "StackSummary", "FrameSummary", "TracebackException", "stack_info", "findCaller", "showwarning",
            "formatwarning", "warn_explicit", "catch_warnings", "excepthook", "print_last", "cgitb", "_getframe",
            "currentframe", "getframeinfo", "getouterframes", "getinnerframes", "tb_frame", "tb_next",
            "set_coroutine_origin_tracking_depth",
        }
    ),
    CLASS_LINES: frozenset({"__dict__", "getmembers", "getmembers_static", "__prepare__"}),
    LOCALS: frozenset(
        {
            *ATTRIBUTES[LOCALS], "co_varnames", "UnboundLocalError", "NameError", "_getframe", "currentframe",
            "getargvalues",
        }
    ),
}  # fmt: skip
"""Names, as attributes, globals, imports or words of a string, by which code could read what differs."""

BUILTIN_READERS: dict[str, frozenset[str]] = {
    DOCSTRINGS: frozenset({"vars", "globals", "locals", "dir", "help", "exec", "eval", "compile"}),
    POSITIONS: frozenset({"exec", "eval", "compile"}),
    CLASS_LINES: frozenset({"vars", "locals"}),
    LOCALS: frozenset({"locals", "vars", "dir", "exec", "eval", "compile", "globals"}),
}
"""The same for built-in functions: as globals only, since objects have methods of these names."""

ATTRIBUTE_GETTERS = {
    "attrgetter": slice(None),
    "methodcaller": slice(1),
    "__getattribute__": slice(-1, None),
    "getattr_static": slice(1, 2),
}
"""Functions that read an attribute by a name that may be built, and that a traced run cannot watch as it does ``getattr``.

With each, which of its arguments are names.
"""

MATCHED = "__match_args__"
"""Attribute of a class that holds the names of those which a pattern reads of its objects."""

PLACES = frozenset({"__file__", "__path__", "__spec__", "__loader__", "pkgutil", "resources", "importlib_resources"})
"""Names of :data:`READERS` that lead a module to its own folder only; files beside the compared trees may use them."""

HARMLESS_OF_INSPECT = frozenset(
    {
        "isclass", "isfunction", "ismethod", "ismodule", "isbuiltin", "isroutine", "isabstract", "isgenerator",
        "isgeneratorfunction", "iscoroutine", "iscoroutinefunction", "isawaitable", "isasyncgen", "isasyncgenfunction",
        "isdatadescriptor", "signature", "Signature", "Parameter", "BoundArguments", "unwrap", "getmro", "cleandoc",
    }
)  # fmt: skip
"""What :mod:`inspect` offers that reads no words."""

CO_OPTIMIZED, CO_VARARGS, CO_VARKEYWORDS = 0x01, 0x04, 0x08
"""Flags of code: whether it is that of a function, and takes any number of arguments."""

CO_BEGINS_LATER = 0x20 | 0x80 | 0x200
"""Flags of generators, coroutines and asynchronous generators: a call makes them, and does not execute them yet."""

STORED_BY_CLASSES = frozenset({"__doc__", "__firstlineno__", "__getstate__", "__reduce__", "__reduce_ex__"})
"""Names that the body of a class stores, of itself or as methods; storing them reads nothing, wherever that is done."""

GLOBAL_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
ATTRIBUTE_LOADS = frozenset({"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"})
WITHOUT_EFFECT = frozenset({"CACHE", "PRECALL", "EXTENDED_ARG", "PUSH_NULL", "NOP"})
"""Instructions of the interpreter, by what they do."""

LEADS_ELSEWHERE = frozenset(
    {"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "RETURN_VALUE", "RAISE_VARARGS", "RERAISE"}
)
"""Instructions of Python 3.11 that the next one never follows."""

WORD = re.compile(r"\w+")
DOTTED_NAME = re.compile(r"[\w.]+")

SIGNATURE = re.compile(r".*?\)\s*\n\s*--\s*\n\s*\n", re.DOTALL)
"""Beginning of a docstring that Python takes for the signature of a class without ``__init__`` (``__text_signature__``)."""

ORDINARY_WORDS = frozenset({"traceback", "resources", "marshal", "dis", "dill"})
"""Names that also are words of a message; they count where a string is such a name."""


CAN_FOLLOW_CALLS = sys.version_info >= (3, 12)
"""Whether the interpreter tells of every function that is executed and of every call, in all threads."""

MODULES = (".py", ".pyw")
"""Endings of the files that are searched as modules."""

NO_DATA = (*MODULES, ".pyi")
"""Endings of files that hold no data: modules, and what only type checkers read."""

BLOCK = 1 << 24
"""Bytes of a file that are searched at once."""

MADE_BY_UV = "_virtualenv."
"""Beginning of the names of modules that uv puts into every environment; a wheel with such a name is refused before."""


class Question(TypedDict):
    """What is asked of the program.

    Attributes:
        trees: Folders of the baseline's and the candidate's code.
        files: Paths in them of modules that differ as text.
        beside: Folder of the workloads.
        optimize: Level at which the revisions compile.
    """

    trees: Sequence[str]
    files: Sequence[str]
    beside: str
    optimize: int


class Answer(TypedDict):
    """What the program answers.

    Attributes:
        is_same_code: Whether all modules execute the same code.
        changed: Functions, each with its file, whose own code differs; ``<module>`` stands for what an import executes. Empty
            where modules cannot be compared.
        differing: In what they differ besides, as :func:`compare_modules` says.
        readers: What could read that, in a few words, and where; empty where nothing is known that could.
        can_follow_calls: Whether the interpreter can tell which functions are executed.
        problem: Why the modules cannot be compared, as the rest of a sentence; empty where they were.
    """

    is_same_code: bool
    changed: Sequence[str]
    differing: Sequence[str]
    readers: str
    can_follow_calls: bool
    problem: str


class Comparison(NamedTuple):
    """In what two modules differ.

    Attributes:
        changed: Functions whose own code differs, by qualified name; ``<module>`` is what an import executes.
        differing: In what all other code differs: some of ``docstrings``, ``presence`` (of docstrings), ``classes`` (their
            docstrings), ``positions``, ``class lines`` (numbers that bodies of classes hold) and ``locals``.
        unbound: A renamed local that may have no value where it is used, so that the text of an error tells its name; empty if
            there is none.
    """

    changed: frozenset[str]
    differing: frozenset[str]
    unbound: str


class Words(NamedTuple):
    """Words of a module that executing it does not need.

    Attributes:
        docstrings: Of everything that can have one, in order; ``None`` where there is none.
        classes: Those of classes.
    """

    docstrings: tuple[str | None, ...]
    classes: tuple[str | None, ...]


def compare_modules(baseline: bytes, candidate: bytes, *, optimize: int = 0) -> Comparison | None:
    r"""In what two modules differ.

    Args:
        baseline: Source of one.
        candidate: Source of the other.
        optimize: Level at which they are compiled.

    Returns:
        The functions whose code differs, none if the modules execute the same code, and in what the others differ; ``None``
        if one of the modules does not compile.

    Example:
        >>> old = b"def f(x):\n    'Old.'\n    return x\n"
        >>> compared = compare_modules(old, old.replace(b"Old", b"New"))
        >>> sorted(compared.changed), sorted(compared.differing)
        ([], ['docstrings'])
        >>> sorted(compare_modules(old, old.replace(b"return x", b"return 1")).changed)
        ['f']
        >>> sorted(compare_modules(b"WIDTH = 1\n", b"WIDTH = 1.0\n").changed)
        ['<module>']
    """
    try:
        first, second = (_normalised(source, optimize, adds=False) for source in (baseline, candidate))
        codes = _functions(first[0]), _functions(second[0])
        plain = changed = _changed(*codes)
        if plain:
            added = [_functions(_normalised(source, optimize, adds=True)[0]) for source in (baseline, candidate)]
            changed = _changed(*added)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None
    words, others = first[1], second[1]
    kept = [[code for path in sorted(of.keys() - changed.keys()) for code in _own(of[path])] for of in codes]
    positions, lines, names = (
        [[read(code) for code in side] for side in kept]
        for read in (_positions, _class_line, lambda code: code.co_varnames)
    )
    found = {
        "docstrings": words.docstrings != others.docstrings,
        "presence": plain != changed or list(map(bool, words.docstrings)) != list(map(bool, others.docstrings)),
        "classes": words.classes != others.classes,
        "positions": positions[0] != positions[1],
        CLASS_LINES: lines[0] != lines[1],
        "locals": names[0] != names[1],
    }
    return Comparison(
        frozenset().union(*changed.values()),
        frozenset(name for name, differs in found.items() if differs),
        next((name for pair in zip(*kept, strict=True) for name in _unbound(*pair)), ""),
    )


def _functions(module: CodeType) -> dict[str, list[CodeType]]:
    """Code of a module and of all its functions, by the names of what they are nested in."""
    found: dict[str, list[CodeType]] = {"": [module]}

    def search(code: CodeType, path: str) -> None:
        for inner in (constant for constant in code.co_consts if isinstance(constant, CodeType)):
            place = f"{path}/{inner.co_name}"
            if _is_function(inner):
                found.setdefault(place, []).append(inner)
            search(inner, place)

    search(module, "")
    return found


def _is_function(code: CodeType) -> bool:
    """Whether code is the body of a function that a ``def`` names; all other code counts as part of what it is nested in."""
    return bool(code.co_flags & CO_OPTIMIZED) and code.co_name.isidentifier() and code.co_name != "__annotate__"


def _own(codes: Iterable[CodeType]) -> Iterator[CodeType]:
    """Code of functions, with the code nested in it that belongs to no other function."""
    for code in codes:
        yield code
        yield from _own(inner for inner in code.co_consts if isinstance(inner, CodeType) and not _is_function(inner))


def _changed(
    first: Mapping[str, Sequence[CodeType]], second: Mapping[str, Sequence[CodeType]]
) -> dict[str, frozenset[str]]:
    """Qualified names of the functions whose own code differs, by the names of what they are nested in."""
    return {
        path: frozenset(code.co_qualname for code in (*first.get(path, ()), *second.get(path, ())))
        for path in first.keys() | second.keys()
        if list(map(_fingerprint, first.get(path, ()))) != list(map(_fingerprint, second.get(path, ())))
    }


def _positions(code: CodeType) -> tuple[Any, ...]:
    return code.co_firstlineno, tuple(code.co_positions())


def _unbound(code: CodeType, other: CodeType) -> Iterator[str]:
    """Names of locals that have another name in the same code, and may have no value where they are used."""
    renamed = frozenset(code.co_varnames) - frozenset(
        name for name, new in zip(code.co_varnames, other.co_varnames, strict=True) if name == new
    )
    if not renamed:
        return
    instructions = list(instructions_of(code))
    if sys.version_info < (3, 12):
        values = _values_before(code, instructions)
        for each, bound in zip(instructions, values, strict=True):
            if each.opname in {"LOAD_FAST", "DELETE_FAST"} and each.argval in renamed - bound:
                yield each.argval
    else:  # the compiler tells by the instruction which locals may have none, except where it deletes them
        for before, each in pairwise(instructions):
            is_set = (before.opname, before.argval) == ("STORE_FAST", each.argval) and not each.is_jump_target
            if each.opname == "LOAD_FAST_CHECK" or (each.opname == "DELETE_FAST" and not is_set):
                yield from {each.argval} & renamed


def _values_before(code: CodeType, instructions: Sequence[dis.Instruction]) -> list[frozenset[str]]:
    """Locals that certainly have a value before each instruction, arguments apart: those that every path to it sets.

    What no path leads to has all.
    """
    places = {each.offset: index for index, each in enumerate(instructions)}
    handlers = vars(dis.Bytecode(code))["exception_entries"]
    known: dict[int, frozenset[str]] = {}
    waiting: list[tuple[int, frozenset[str]]] = [(0, frozenset())]
    while waiting:
        index, values = waiting.pop()
        values &= known.get(index, values)
        if known.get(index) == values:
            continue
        known[index] = values
        each = instructions[index]
        after = values | {each.argval} if each.opname == "STORE_FAST" else values
        after = after - {each.argval} if each.opname == "DELETE_FAST" else after
        waiting += [(places[of.target], values & after) for of in handlers if of.start <= each.offset < of.end]
        if each.opcode in {*dis.hasjrel, *dis.hasjabs}:
            waiting.append((places[each.argval], after))
        if each.opname not in LEADS_ELSEWHERE:
            waiting.append((index + 1, after))
    return [known.get(index, frozenset(code.co_varnames)) for index in range(len(instructions))]


def _class_line(code: CodeType) -> int | None:
    """The number of its first line that the body of a class holds; ``None`` in other code, and before Python 3.13."""
    return code.co_firstlineno if _load_of_class_line(code) else None


def _load_of_class_line(code: CodeType) -> dis.Instruction | None:
    """The instruction that loads that number, if nothing else in the code uses the same constant."""
    if "__firstlineno__" not in code.co_names:
        return None
    instructions = list(instructions_of(code))
    for load, store in pairwise(instructions):
        if (store.opname, store.argval) == ("STORE_NAME", "__firstlineno__"):
            uses = [each for each in instructions if each.opcode in dis.hasconst and each.arg == load.arg]
            is_alone = load.opname == "LOAD_SMALL_INT" or (load.opcode in dis.hasconst and len(uses) == 1)
            return load if is_alone and load.argval == code.co_firstlineno else None
    return None


def _normalised(source: bytes, optimize: int, *, adds: bool) -> tuple[CodeType, Words]:
    """Compile a module with empty docstrings, at their places, and tell its words.

    Of the docstring of a class, the signature with which it may begin is kept: ``inspect.signature`` reads it as code.
    Positions are kept: the compiler emits instructions that only mark a line, such as those of ``pass``, which take time.

    Args:
        source: Of the module.
        optimize: Level of the compiler.
        adds: Whether everything gets a docstring that has none.
    """
    tree = ast.parse(source)
    docstrings: list[str | None] = []
    classes: list[str | None] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = _docstring(node.body)
        docstrings.append(text)
        if isinstance(node, ast.ClassDef):
            classes.append(text)
        if text is None and not adds:
            continue
        place: Any = node.body[0] if node.body else ast.Pass(lineno=1, col_offset=0)
        if adds and text is not None and len(node.body) > 1:
            place = node.body[1]
        signature = SIGNATURE.match(text) if text and isinstance(node, ast.ClassDef) else None
        kept = signature[0] if signature else ""
        empty = ast.Constant(kept, lineno=place.lineno, col_offset=place.col_offset)
        empty.end_lineno, empty.end_col_offset = place.lineno, place.col_offset
        node.body[: text is not None] = [ast.copy_location(ast.Expr(empty), empty)]
    code = compile(tree, "<normalised>", "exec", dont_inherit=True, optimize=optimize)
    return code, Words(tuple(docstrings), tuple(classes))


def _docstring(body: Sequence[ast.stmt]) -> str | None:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return first.value.value
    return None


def _nested(code: CodeType) -> Iterator[CodeType]:
    """A code object and all that are nested in it, in order."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _fingerprint(code: CodeType) -> tuple[Any, ...]:
    """Everything in a code object that its execution uses; of the functions nested in it, only what defining them uses.

    The number of its first line that the body of a class holds counts as a position.
    """
    instructions, constants = code.co_code, [*map(_constant, code.co_consts)]
    if load := _load_of_class_line(code):
        if load.opname == "LOAD_SMALL_INT":  # from Python 3.14 on
            instructions = instructions[: load.offset + 1] + b"\0" + instructions[load.offset + 2 :]
        else:
            constants[load.arg or 0] = ("first line",)
    return (
        *_shell(code),
        code.co_nlocals,
        code.co_stacksize,
        code.co_cellvars,
        code.co_names,
        instructions,
        code.co_exceptiontable,
        tuple(constants),
    )


def _shell(code: CodeType) -> tuple[Any, ...]:
    """What can be told of a function without executing it; of a generator, also what it needs before it begins."""
    frame = (code.co_nlocals, code.co_stacksize) if code.co_flags & CO_BEGINS_LATER else ()
    num_arguments = code.co_argcount + code.co_kwonlyargcount
    num_arguments += bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
    return (
        code.co_name,
        code.co_qualname,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_varnames[:num_arguments],
        code.co_freevars,
        frame,
    )


def _constant(value: Any) -> tuple[Any, ...]:
    """A constant with its type: ``1``, ``1.0`` and ``True`` are equal, and so are ``0.0`` and ``-0.0``.

    Numbers are told by their bits: as text, a NaN has no sign, and Python refuses an integer of more than 4,300 digits.
    """
    if isinstance(value, CodeType):
        return _shell(value) if _is_function(value) else _fingerprint(value)
    if isinstance(value, tuple):
        return ("tuple", *map(_constant, value))
    if isinstance(value, frozenset):
        return ("frozenset", *sorted(repr(_constant(item)) for item in value))
    if isinstance(value, slice):
        return ("slice", *map(_constant, (value.start, value.stop, value.step)))
    if isinstance(value, float):
        return "float", struct.pack(">d", value)
    if isinstance(value, complex):
        return "complex", struct.pack(">dd", value.real, value.imag)
    if isinstance(value, int):
        return type(value).__name__, hex(value)
    return type(value).__name__, repr(value)


def instructions_of(code: CodeType) -> Iterator[dis.Instruction]:
    """Instructions of a code object; ``None`` replaces constants that ``dis`` cannot write, such as integers of many digits."""
    constants = tuple(each if _has_text(each) else None for each in code.co_consts)
    return dis.get_instructions(code.replace(co_consts=constants))


def _has_text(constant: Any) -> bool:
    try:
        repr(constant)
    except ValueError:
        return False
    return True


def find_readers(source: bytes, differing: Iterable[str], *, is_beside: bool = False, optimize: int = 0) -> str:
    r"""Find what a module names by which it could read the words in which two modules differ.

    Args:
        source: Of the module.
        differing: What differs, as :func:`compare_modules` says; the text always does.
        is_beside: Whether the module lies beside the trees, so that its own folder is none of them.
        optimize: Level at which it is compiled.

    Returns:
        What it names, or why that is unknown; empty if it names nothing of the kind.

    Example:
        >>> find_readers(b"def f():\n    return f.__doc__\n", ["docstrings"])
        '__doc__'
        >>> find_readers(b"def f():\n    return f.__doc__\n", ["positions"])
        ''
    """
    kinds = {TEXT, *differing} & READERS.keys()
    names = frozenset().union(*(READERS[kind] for kind in kinds)) - (PLACES if is_beside else frozenset())
    builtins = frozenset().union(*(BUILTIN_READERS.get(kind, frozenset()) for kind in kinds))
    try:
        tree = ast.parse(source)
        code, _ = _normalised(source, optimize, adds=False)
        every = list(_nested(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return "code that does not compile"
    for each in every:
        if found := next(_named(each, names, builtins, is_beside=is_beside), ""):
            return found
    if kinds != {TEXT} and (getter := _built_name(tree)):
        return f"{getter} with a name that is built"
    if {"docstrings", "classes", CLASS_LINES} & {*differing} and _has_metaclass(tree):
        return "a metaclass, which is given the bodies of classes"
    return ""


def _named(code: CodeType, names: frozenset[str], builtins: frozenset[str], *, is_beside: bool) -> Iterator[str]:
    """What of the given names a code object names, without those nested in it."""
    for constant in code.co_consts:
        yield from find_words(constant, names)
    before, imported = "", ""
    for instruction in instructions_of(code):
        operation, name = instruction.opname, str(instruction.argval)
        if operation in WITHOUT_EFFECT:
            continue
        is_stored = operation.startswith("STORE_") and name in STORED_BY_CLASSES
        if instruction.opcode in dis.hasname and not is_stored:
            yield from (part for part in name.split(".") if part in names)
        if operation in GLOBAL_LOADS and name in builtins:
            yield name
        owner = imported if operation == "IMPORT_FROM" else before
        is_attribute = operation in ATTRIBUTE_LOADS
        if owner == "inspect" and not (is_attribute and name in HARMLESS_OF_INSPECT):
            yield f"inspect.{name}" if is_attribute else "inspect"
        if before == "import inspect" and operation not in {"IMPORT_FROM", "POP_TOP"} and name != "inspect":
            yield "inspect"
        if owner == "sys" and is_attribute and name in {"path", "monitoring"} and not is_beside:
            yield f"sys.{name}"
        imported = name if operation == "IMPORT_NAME" else imported
        is_load = operation.startswith("LOAD_") and not is_attribute
        before = f"import {name}" if operation == "IMPORT_NAME" else name if is_load else ""
    variables = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
    if "inspect" in variables or ("sys" in variables and {"path", "monitoring"} & {*code.co_names}):
        yield "a module that is imported by a function"  # how its attributes are loaded varies with the version of Python


def find_words(constant: Any, names: frozenset[str]) -> Iterator[str]:
    """What of the given names the words of a constant are."""
    if isinstance(constant, bytes):
        constant = constant.decode("latin-1")
    if isinstance(constant, str):
        is_name = DOTTED_NAME.fullmatch(constant) is not None
        yield from (
            word for word in WORD.findall(constant) if word in names and (is_name or word not in ORDINARY_WORDS)
        )
    elif isinstance(constant, tuple | frozenset):
        for item in constant:
            yield from find_words(item, names)


def _built_name(tree: ast.AST) -> str:
    """What is given the name of an attribute which is no constant, or is passed on; empty if there is none."""
    harmless: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := _name_of(node.func)) in ATTRIBUTE_GETTERS:
            harmless.add(id(node.func))
            wanted = node.args[ATTRIBUTE_GETTERS[name]]
            if not wanted or not all(map(_is_constant, wanted)):
                return name
        if isinstance(node, ast.Assign | ast.AnnAssign) and (node.value is None or _is_constant(node.value)):
            harmless |= {id(target) for target in (node.targets if isinstance(node, ast.Assign) else [node.target])}
    for node in ast.walk(tree):
        if id(node) in harmless:
            continue
        if isinstance(node, ast.alias):
            name = node.name if node.asname else ""
        elif isinstance(node, ast.Constant):
            name = str(node.value) if node.value in {*ATTRIBUTE_GETTERS, MATCHED} else ""
        else:
            name = _name_of(node)
        if name in ATTRIBUTE_GETTERS or (name == MATCHED and not isinstance(getattr(node, "ctx", None), ast.Load)):
            return name
    return ""


def _is_constant(node: ast.expr) -> bool:
    """Whether an expression is a constant, or a tuple of constants."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Tuple) and all(map(_is_constant, node.elts)))


def _name_of(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _has_metaclass(tree: ast.AST) -> bool:
    """Whether a module defines or uses a metaclass that could read the bodies of classes; that of abstract classes cannot.

    An attribute ``Meta`` is a class of options that another class holds; a traced run notices one that is a metaclass.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = {_name_of(base) for base in node.bases if getattr(base, "attr", "") != "Meta"}
            keywords = [_name_of(keyword.value) for keyword in node.keywords if keyword.arg in {"metaclass", None}]
            if any(name != "ABCMeta" for name in keywords) or any(
                name == "type" or name.endswith(("Meta", "Metaclass", "MetaClass", "EnumType")) for name in bases
            ):
                return True
    return False


def answer(question: Question) -> Answer:
    """Answer a question about modules.

    Args:
        question: Of the gate.

    Raises:
        OSError: If a module cannot be read.
    """
    differing: set[str] = set()
    changed: list[str] = []
    unbound = ""
    told = Answer(
        is_same_code=False, changed=[], differing=[], readers="", can_follow_calls=CAN_FOLLOW_CALLS, problem=""
    )
    for name in question["files"]:
        found = compare_modules(
            *(_read(os.path.join(tree, name)) for tree in question["trees"]), optimize=question["optimize"]
        )
        if found is None:
            return {**told, "problem": f"{name} does not compile"}
        changed += sorted(f"{name}::{function}" for function in found.changed)
        differing |= found.differing
        if found.unbound:
            unbound = unbound or f"an error would name {found.unbound}, which may have no value, in {name}"
    told = {
        **told,
        "is_same_code": not changed,
        "changed": changed,
        "differing": sorted(differing),
        "readers": unbound,
    }
    if unbound:
        return told
    for folder, is_beside in ((question["trees"][0], False), (question["beside"], True)):
        for path in _modules_in(folder):
            reader = find_readers(_read(path), differing, is_beside=is_beside, optimize=question["optimize"])
            if reader:
                return {**told, "readers": f"{reader} in {os.path.relpath(path, folder)}"}
        for path in _data_in(folder, is_beside=is_beside):
            if name := find_attribute(path, differing):
                return {**told, "readers": f"{name} in {os.path.relpath(path, folder)}"}
    return told


def _modules_in(folder: str) -> Iterator[str]:
    """Paths of all modules in a folder, in order."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        names = (name for name in sorted(files) if name.endswith(MODULES))
        yield from (os.path.join(place, name) for name in names if place != folder or not name.startswith(MADE_BY_UV))


def _data_in(folder: str, *, is_beside: bool) -> Iterator[str]:
    """Paths of all files of a folder in which a template could be, in order.

    Beside the trees, links lead to shared inputs, which may be large; no metadata of a tree is a template.
    """
    for place, folders, files in os.walk(folder):
        is_top = place == folder
        folders[:] = sorted(
            name for name in folders if name != "__pycache__" and not (is_top and name.endswith(".dist-info"))
        )
        for name in sorted(files):
            path = os.path.join(place, name)
            is_link = is_beside and os.path.islink(path)
            if not name.endswith(NO_DATA) and not is_link and os.path.isfile(path):
                yield path


def find_attribute(path: str, differing: Iterable[str]) -> str:
    """Find an attribute that a file of data names, as a template does, and that holds something in which two modules differ.

    Args:
        path: Of the file.
        differing: What differs, as :func:`compare_modules` says.

    Returns:
        Its name; empty if the file names none.

    Raises:
        OSError: If the file cannot be read.
    """
    names = [name.encode() for kind in sorted({*differing} & ATTRIBUTES.keys()) for name in sorted(ATTRIBUTES[kind])]
    if not names:
        return ""
    pattern = re.compile(rb"\b(?:" + b"|".join(names) + rb")\b")
    rest = b""
    with open(path, "rb") as stream:
        while block := stream.read(BLOCK):
            text = rest + block
            if any(name in text for name in names) and (found := pattern.search(text)):  # the first is far quicker
                return found[0].decode()
            rest = text[-max(map(len, names)) :]  # a name may begin in this block and end in the next one
    return ""


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
