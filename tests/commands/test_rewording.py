"""What differs in words only is proved unchanged, and nothing that could read the words is.

Every attack is a package whose behaviour depends on what the edit touches. The gate must measure each of them.
"""

import itertools
import sys
import textwrap
import zipfile
from typing import Any

import pytest

from mainstay.commands import rewording
from mainstay.commands.rewording import compare_runs, find_obstacle
from mainstay.records.executions import ALONE, INTERLEAVED, TRAINED
from mainstay.revisions.unchanged import WordComparison, compare_words
from mainstay.runner.ready_metrics import READY_METRICS, ReadyMetric
from mainstay.workers.fork_server import can_fork
from mainstay.workers.tracing import TracedRun
from tests.commands.two_trees import SPEED, WORKLOAD, edited, workloads_of
from tests.slow_cases import some_always

needs_servers = pytest.mark.skipif(not can_fork(sys.platform), reason="servers fork on Linux only")

MODEL = '''"""What the module does."""


def helper(value):
    """What the function does."""
    # how
    result = value + 1
    return result


class Thing:
    """What the class is."""

    def method(self):
        return 1


def run():
    return helper(1)
'''

WORDS = ("What the function does.", "What the function does, in a few more words.\n\n    And in another line.")
"""An edit of a docstring that moves all lines below it."""

NAME = ("result", "total")
"""An edit of the name of a local."""


IN_CLASSES = "class lines" if sys.version_info >= (3, 13) else "docstrings"
"""What the edit changes in the bodies of classes, by the name that is told first."""

HARMLESS = {
    "docstring": (WORDS,),
    "module docstring": (("What the module does.", "Everything."),),
    "docstring of a class": (("What the class is.", "A thing."),),
    "docstring dropped": (('    """What the function does."""\n', ""),),
    "comment": (("# how", "# how, and\n    # why"),),
    "local renamed": (NAME,),
    "reformatted": (("value + 1", "(\n        value + 1\n    )"),),
    "everything": (WORDS, NAME, ("# how", "# why")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMLESS)
def test_words_that_nothing_reads_are_unchanged(decide, name):
    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, *HARMLESS[name])})

    assert (proof.workloads, proof.note) == ({SPEED}, "")


PACKAGE = {"subject/model.py": MODEL, "subject-1.0.dist-info/METADATA": "Name: subject\n"}


def changed(old, new, *, model=MODEL, **files):
    """An attack that changes code."""
    return {**PACKAGE, "subject/model.py": model, **files}, {
        **PACKAGE,
        "subject/model.py": edited(model, (old, new)),
        **files,
    }


def added(**files):
    """An attack that changes files other than modules, or which modules there are."""
    files = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    return PACKAGE, {**PACKAGE, "subject/model.py": edited(MODEL, WORDS), **files}


def replaced(name, old, new):
    return {**PACKAGE, name: old}, {**PACKAGE, "subject/model.py": edited(MODEL, WORDS), name: new}


HEAD = "WIDTH = 1\n"
CODE_OR_FILES = {
    "module constant": changed("WIDTH = 1", "WIDTH = 2", model=MODEL + HEAD),
    "default": changed("def helper(value)", "def helper(value=3)"),
    "decorator": changed("def helper", "@staticmethod\ndef helper"),
    "base class": changed("class Thing:", "class Thing(dict):"),
    "metaclass": changed("class Thing:", "class Thing(metaclass=type):"),
    "init_subclass": changed("return 1", "return 2", model=MODEL + "\nclass B:\n    def __init_subclass__(cls):\n        return 1\n"),
    "monkeypatch elsewhere": changed("lambda v: v + 1", "lambda v: v + 2", model=MODEL + "\nhelper = lambda v: v + 1\n"),
    "lazy import": changed("import json", "import decimal", model=MODEL + "\ndef late():\n    import json\n"),
    "import order": changed("import json, re", "import re, json", model=MODEL + "\nimport json, re\n"),
    "module getattr": changed("return name", "return name * 2", model=MODEL + "\ndef __getattr__(name):\n    return name\n"),
    "assert": changed("return result", "assert result\n    return result"),
    "globals": changed("globals()['a'] = 1", "globals()['a'] = 2", model=MODEL + "\nglobals()['a'] = 1\n"),
    "exec of a string": changed("a = 1", "a = 2", model=MODEL + "\nexec('a = 1')\n"),
    "registry": changed("{'a': 1}", "{'a': 2}", model=MODEL + "\nREGISTRY = {'a': 1}\n"),
    "rare branch": changed("value - 1", "value - 2", model=MODEL + "\ndef rare(value):\n    return value - 1\n"),
    "rare lazy module": ({**PACKAGE, "subject/lazy.py": "A = 1\n"}, {**PACKAGE, "subject/lazy.py": "A = 2\n"}),
    "module by a built name": ({**PACKAGE, "subject/m1.py": "A = 1\n"}, {**PACKAGE, "subject/m1.py": "A = 1.0\n"}),
    "attribute by a built name": changed("a_1 = 0.0", "a_1 = -0.0", model=MODEL + "\na_1 = 0.0\n"),
    "dunder": changed("return 1", "return True"),
    "signature": changed("def helper(value)", "def helper(value, *rest)"),
    "signature in the docstring of a class": changed("What the class is.", "Thing(a, b)\n--\n\nWhat the class is."),
    "generator flag": changed("return result", "yield result"),
    "annotation of a dataclass": changed("size: int", "size: float", model=MODEL + "\nclass D:\n    size: int = 0\n"),
    "annotation that is evaluated": changed("x: int", "x: str", model=MODEL + "\ndef typed(x: int): ...\n"),
    "resource": replaced("subject/data.txt", "1", "2"),
    "template at import": replaced("subject/template.html", "<a>", "<b>"),
    "compiled extension": replaced("subject/_fast.so", "ELF1", "ELF2"),
    "library of ctypes": replaced("subject/lib/fast.dylib", "1", "2"),
    "entry points": replaced("subject-1.0.dist-info/entry_points.txt", "[a]\n", "[b]\n"),
    "metadata": replaced("subject-1.0.dist-info/METADATA", "Name: subject\n", "Name: subject\nSummary: x\n"),
    "file to list": added(subject__plugins__a_dot_txt=""),
    "file to exist": added(subject__marker=""),
    "path file": added(more_dot_pth="import os\n"),
    "sys.path": added(extra__thing_dot_py=""),
    "sitecustomize": added(sitecustomize_dot_py=""),
    "shadowing": added(json_dot_py=""),
    "absent import": added(subject___fast_dot_py=""),
    "find_spec": added(optional_dot_py=""),
    "namespace": added(space__sub_dot_py=""),
    "package beside a module": added(subject__model____init___dot_py=""),
    # more of our own
    "pass in a loop": changed("    result = value + 1\n", "    result = value + 1\n    pass\n    pass\n"),
    "strings in a loop": changed("    # how\n", '    "how"\n    "and why"\n'),
    "order of keyword arguments": changed("dict(a=1, b=2)", "dict(b=2, a=1)", model=MODEL + "\nx = dict(a=1, b=2)\n"),
    "sign of a complex zero": changed("0j", "-0j", model=MODEL + "\nx = 0j\n"),
    "local made global": changed("    result = value", "    global result\n    result = value"),
    "two locals merged": changed("b = a + 1", "a = a + 1", model=MODEL + "\ndef two(a):\n    b = a + 1\n    return a\n"),
    "argument renamed": changed("def helper(value):", "def helper(amount):", model=MODEL.replace("value + 1", "1")),
    "docstring made an f-string": changed('"""What the class is."""', 'f"""What {__name__} is."""'),
    "script that is no module": replaced("subject/tool", "1", "2"),
    "stub of types": replaced("subject/model.pyi", "a: int", "a: str"),
}  # fmt: skip


@pytest.mark.parametrize("name", CODE_OR_FILES)
def test_other_code_and_other_files_are_measured(decide, name, monkeypatch):
    monkeypatch.setattr(rewording, "trace_workloads", None)  # nothing is run

    proof = decide(*CODE_OR_FILES[name])

    assert (proof.workloads, proof.note) == (frozenset(), "")


def reads(body, *edits, head="", workload=WORKLOAD, **files):
    """An attack whose code reads its own words."""
    first, _, rest = MODEL.partition("\n")
    model = f"{first}\n\n{head}\n{rest.replace('    return helper(1)', textwrap.indent(textwrap.dedent(body).strip(), '    '))}"
    return model, edits or (WORDS,), workload, files


READERS = {
    # text
    "getsource": reads("return len(inspect.getsource(helper))", head="import inspect"),
    "own file": reads("return len(open(__file__).read())"),
    "own file through another module": reads("return len(open(subject.__file__).read())", head="import subject"),
    "traceback as text": reads("""
        try:
            1 / 0
        except ZeroDivisionError:
            return len(traceback.format_exc())
        """, head="import traceback"),
    "bytecode": reads("return len(helper.__code__.co_consts[0] or '')"),
    "size of the bytecode": reads("return sys.getsizeof(helper.__code__)", NAME, head="import sys"),
    "stat": reads("return os.stat(__file__).st_size", head="import os"),
    "size of a file": reads("return os.path.getsize(subject.model.__file__)", head="import os, subject"),
    "jit keyed by source": reads("return hash(inspect.getsource(helper))", head="import inspect"),
    "cloudpickle": reads("return len(cloudpickle.dumps(helper))", head="cloudpickle = __import__('cloudpickle')"),
    "memory by the number of its field": reads(
        "return resource.getrusage(resource.RUSAGE_SELF)[2]", head="import resource"
    ),
    # lines
    "first line": reads("return helper.__code__.co_firstlineno"),
    "line of a traceback": reads("""
        try:
            1 / 0
        except ZeroDivisionError as error:
            return error.__traceback__.tb_lineno
        """),
    "line of a frame": reads("return sys._getframe().f_lineno", head="import sys"),
    "filter of warnings by line": reads(
        "warnings.filterwarnings('ignore', lineno=9)\nwarnings.warn('x')", head="import warnings"
    ),
    "line of a warning": reads("warnings.warn('x')", head="import warnings"),
    "record of logging": reads("logging.warning('x')", head="import logging\nlogging.basicConfig(format='%(lineno)d')"),
    "logger": reads("logging.getLogger('a').warning('x')", head="import logging"),
    "frame of a generator": reads("return str((each for each in ()).gi_frame)"),
    "frame of a coroutine": reads("return str(coroutine.cr_frame)"),
    "frame of an asynchronous generator": reads("return str(generator.ag_frame)"),
    "origin of a coroutine": reads("return coroutine.cr_origin"),
    "registry of warnings": reads("return __warningregistry__"),
    # docstrings
    "argparse": reads("return ArgumentParser(description=helper.__doc__)", head="from argparse import ArgumentParser"),
    "getdoc": reads("return inspect.getdoc(helper)", head="import inspect"),
    "docstring added": reads("return helper.__doc__", ('    """What the function does."""\n', "")),
    "docstring": reads("return len(helper.__doc__)"),
    "state of a method": reads("return len(str(staticmethod(helper).__getstate__()))"),
    "state of a class": reads("return len(str(object.__getstate__(Thing)))", ("What the class is.", "It.")),
    "parts of an object": reads("return len(str(types.DynamicClassAttribute(helper).__reduce_ex__(2)))", head="import types"),
    # names of locals
    "locals": reads("return helper(1)", NAME, workload=WORKLOAD, head="def other():\n    return locals()"),
    "locals of the caller": reads("return len(sys._getframe().f_locals)", NAME, head="import sys"),
    # by a built name
    "docstring by a built name": reads("return getattr(helper, '__' + str('doc') + '__')"),
    "line by a built name": reads("""
        try:
            1 / 0
        except ZeroDivisionError as error:
            return getattr(error.__traceback__, 'tb_' + str('lineno'))
        """),
    "name of a local in the text of an error": reads("""
        try:
            return result
            result = 1
        except NameError as error:
            return len(str(error))
        """, NAME),
    "name of a local in the text of any error": reads("""
        try:
            if helper(0):
                result = 1
            return result
        except Exception as error:
            return len(str(error))
        """, ("result", "answer")),
    # what a trace cannot follow
    "marshal": reads("return len(marshal.dumps(compile('1', '', 'eval')))", head="import marshal"),
    "pickle by name": reads("return pickle.loads(b'csubject.model\\nhelper\\n.')", head="import pickle"),
    "python -m": reads("subprocess.run([sys.executable, '-c', 'import json'])", head="import subprocess, sys"),
    "fork": reads("""
        if os.fork() == 0:
            os._exit(0)
        return os.wait()
        """, head="import os"),
    "spawn of multiprocessing": reads(
        "return multiprocessing.get_context('spawn').Process(target=print).start()", head="import multiprocessing"
    ),
    "call back of a native thread": reads("return ctypes.CDLL(None)", head="import ctypes"),
    "gc": reads("return len(gc.get_objects())", head="import gc"),
    "trace switched off": reads("sys.setprofile(None)", head="import sys"),
    "trace asked for": reads("return sys.getprofile()", head="import sys"),
    # threads
    "thread": reads("""
        thread = threading.Thread(target=lambda: helper.__doc__)
        thread.start()
        thread.join()
        """, head="import threading"),
    "raw thread": reads("_thread.start_new_thread(helper, (1,))", head="import _thread"),
    "exit": reads("atexit.register(lambda: helper.__doc__)", head="import atexit"),
    # more of our own
    "folder of modules": reads("return [entry.stat().st_size for entry in os.scandir(subject.__path__[0])]", head="import os, subject"),
    "hard link": reads("os.link(sys.modules[__name__].__spec__.origin, os.environ['TMPDIR'] + '/x')", head="import os, sys"),
    "source through the loader": reads("return len(__loader__.get_source(__name__))"),
    "source through pkgutil": reads("return pkgutil.get_data('subject', 'model.py')", head="import pkgutil"),
    "source through the search path": reads(
        "return [open(p + '/subject/model.py').read() for p in sys.path if os.path.exists(p + '/subject/model.py')]",
        head="import os, sys",
    ),
    "dictionary of a class": reads(
        "return [len(str(v)) for v in Thing.__dict__.values()]", ("What the class is.", "What it is.")
    ),
    "members": reads("return len(str(dict(inspect.getmembers(helper))))", head="import inspect"),
    "variables of a module": reads(
        "return len(str(vars(sys.modules[__name__])))", ("What the module does.", "Words."), head="import sys"
    ),
    "globals of a function": reads(
        "return len(str(helper.__globals__))", ("What the module does.", "What it does. It is one.")
    ),
    "globals of the caller": reads(
        "return len(str(sys._getframe(0).f_globals))", ("What the module does.", "What it does. It is one."), head="import sys"
    ),
    "record of the installation": reads(
        "return importlib.metadata.distribution('subject').read_text('RECORD')",
        head="import importlib.metadata",
        **{"subject-1.0.dist-info/METADATA": "Name: subject\n", "subject-1.0.dist-info/RECORD": "subject/model.py,,\n"},
    ),
    "record of the installation as a file": reads(
        "return sum(len(open(path).read()) for path in glob.glob(os.environ['PYTHONPATH'].split(':')[0] + '/*.dist-info/R*'))",
        head="import glob, os",
        **{"subject-1.0.dist-info/RECORD": "subject/model.py,,\n"},
    ),
    "metaclass that is given docstrings": reads(
        "return LENGTHS",
        ("What the class is.", "What it is."),
        head="LENGTHS = []\n\n\nclass Meta(type):\n    def __new__(m, n, b, space):\n        LENGTHS.append(len(str(space)))\n"
        "        return type.__new__(m, n, b, space)\n\n\nclass Made(metaclass=Meta):\n    \"\"\"What the class is.\"\"\"\n",
    ),
    "pattern that matches a docstring": reads("""
        match helper:
            case types.FunctionType(__doc__=text):
                return len(text)
        """, head="import types"),
    "format of a docstring": reads("return '{0.__doc__}'.format(helper)"),
    "getter of an attribute": reads(
        "return operator.attrgetter('__' + str('doc') + '__')(helper)", head="import operator"
    ),
    "object of builtins": reads("return __builtins__['ge' 'tattr'](helper, '__d' + str('oc__'))"),
    "compiled by an own compiler": reads("return exec('import json')"),
    "frame of the caller in a comprehension": reads("return inspect.stack()", head="import inspect"),
    "text of a line": reads("return linecache.getline('x', 1)", head="import linecache"),
    "template that is no module": reads(
        "return open(os.environ['PYTHONPATH'].split(':')[0] + '/subject/help.txt').read().format(helper)",
        head="import os",
        **{"subject/help.txt": "{0.__doc__}"},
    ),
    "workload that reads": reads("return helper(1)", workload=WORKLOAD + "\nLENGTH = len(subject.model.helper.__doc__)\n"),
    "workload that reads the source": reads(
        "return helper(1)", workload="import inspect\n" + WORKLOAD + "\nLENGTH = inspect.getsource(subject.model)\n"
    ),
    "extension in both trees": reads("return helper(1)", **{"subject/_fast.so": "ELF"}),
    "module without a source": reads("return helper(1)", **{"subject/_old.pyc": "x"}),
    "module that does not compile": reads("return helper(1)", **{"subject/_old.py": "print 1"}),
}  # fmt: skip


def sides(attack):
    model, edits, workload, files = attack
    return {"subject/model.py": model, **files}, {"subject/model.py": edited(model, *edits), **files}, workload


NEED_TRACED_RUNS = {
    "spawn of multiprocessing",
    "docstring by a built name",
    "line of a warning",
    "logger",
    "fork",
    "record of the installation",
    "record of the installation as a file",
}
"""Slow, since no search finds them; of such attacks two, and those of ``ALWAYS_TRACED``, run always."""


@pytest.mark.parametrize("name", some_always(READERS, READERS.keys() - NEED_TRACED_RUNS))
def test_code_that_could_read_its_words_is_measured(decide, name):
    baseline, candidate, workload = sides(READERS[name])

    proof = decide(baseline, candidate, workload=workload)

    assert not proof.workloads
    assert "measured nevertheless, since" in proof.note


SEEN_BY_THE_TRACE = {
    "template that is no module",
    "getsource",
    "own file",
    "traceback as text",
    "bytecode",
    "stat",
    "size of a file",
    "first line",
    "line of a warning",
    "logger",
    "getdoc",
    "pickle by name",
    "docstring by a built name",
    "line by a built name",
    "python -m",
    "fork",
    "gc",
    "trace switched off",
    "raw thread",
    "spawn of multiprocessing",
    "folder of modules",
    "hard link",
    "source through the loader",
    "size of the bytecode",
    "source through pkgutil",
    "source through the search path",
    "workload that reads the source",
    "call back of a native thread",
    "frame of the caller in a comprehension",
    "record of the installation",
    "record of the installation as a file",
}
"""Attacks that a traced run notices where no search of the modules has."""

ALWAYS_TRACED = {
    "own file",
    "fork",
    "docstring by a built name",
    "line of a warning",
    "raw thread",
}


@pytest.mark.parametrize("name", some_always(sorted(SEEN_BY_THE_TRACE), ALWAYS_TRACED))
def test_a_traced_run_notices_what_a_search_has_missed(decide, name, monkeypatch):
    baseline, candidate, workload = sides(READERS[name])
    found = compare_words
    monkeypatch.setattr(
        rewording,
        "compare_words",
        lambda *given, **named: WordComparison(
            is_same_code=True, differing=found(*given, **named).differing | {"docstrings", "positions", "locals"}
        ),
    )

    proof = decide(baseline, candidate, workload=workload)

    assert not proof.workloads
    assert "measured nevertheless, since" in proof.note


DEPENDENCY = """
import copy
import functools
import inspect
import operator
import pathlib
import pickle
import sys
import types

copy.copy(types.DynamicClassAttribute(lambda self: 1))


def tuple_of_names(function):
    return [getattr(function, name) for name in ("__name__", "__doc__")]


def built_name(function, name="doc"):
    return getattr(function, f"__{name}__")


def getter(function, name="doc"):
    return operator.attrgetter(f"__{name}__")(function)


def static(function, name="doc"):
    return inspect.getattr_static(function, f"__{name}__")


def pickled(function):
    return pickle.dumps(types.DynamicClassAttribute(function))


def template(function):
    return "{0.__name__}: {0.__doc__}".format(function)


def template_of_names(function, names=("name", "doc")):
    return " ".join(f"{{0.__{name}__}}" for name in names).format(function)


def wrapped(function):
    return functools.wraps(function)(lambda: function)


def template_that_is_compiled(function, language={"TOOL": "tool.__doc__"}):
    path = pathlib.Path(function.__globals__["__spec__"].origin).with_name("help.txt")
    variables = {"tool": function}
    exec(compile(path.read_text().replace("TOOL", language["TOOL"]), path, "exec"), variables)


class Command:
    def __init_subclass__(cls):
        if sys._getframe(1).f_globals["__name__"] == cls.__module__:
            describe(cls)


def describe(cls):
    return cls.__doc__


def add_metaclass(metaclass, cls):
    return metaclass(cls.__name__, cls.__bases__, dict(cls.__dict__))


class Named:
    def __getattr__(self, name):
        return sys._getframe(1).f_globals["__name__"]


named = Named()
"""

OPERATION = """

class Operation:
    def __init__(self, function):
        functools.update_wrapper(self, function)
        del self.__wrapped__


class Registry(type(object)):
    def __new__(kind, name, bases, space):
        return super().__new__(kind, name, bases, {"length": len(str(space))})
"""

BY_DEPENDENCIES = {
    "tuple_of_names": "docstrings could be read by",
    "built_name": "docstrings could be read by getattr of __doc__",
    "getter": "docstrings could be read by attrgetter in dependency.py::getter",
    "static": "docstrings could be read by getattr_static of __doc__",
    "pickled": "docstrings could be read by the state of an object of DynamicClassAttribute",
    "template": "docstrings could be read by a template with __doc__",
    "template_of_names": "docstrings could be read by a template with __doc__",
    "template_that_is_compiled": "docstrings could be read by help.txt::<module>",
    "object": "docstrings could be read by update_wrapper of an object of Operation",
    "object_of_a_wrapper": "docstrings could be read by update_wrapper of an object of Operation",
    "class_statement": "docstrings could be read by dependency.py::describe",
    "remade_class": f"{IN_CLASSES} could be read by model.py::Registry.__new__, which is given the body of a class",
    "caller_of_getattr": "nobody can tell what was read: a frame of the trace was looked at in dependency.py",
    "archive": "docstrings could be read by zipped.py::read",
    "shared": "nobody can tell what was read: code of a shared input was executed, cases.py",
}
"""What a workload uses to read a docstring that no module of the package names, and what is told of it."""

USES_DEPENDENCIES = """
import sys

sys.path.append({shared!r})

import dependency
import subject.model
""" + "".join(
    f"\n\ndef test_{name}(benchmark):\n    benchmark(dependency.{name}, subject.model.helper)\n"
    for name in BY_DEPENDENCIES
    if f"def {name}(" in DEPENDENCY
) + """

def test_object(benchmark):
    benchmark(subject.model.Operation, subject.model.helper)


def test_object_of_a_wrapper(benchmark):
    benchmark(lambda: subject.model.Operation(dependency.wrapped(subject.model.helper)))


def test_class_statement(benchmark):
    def make():
        class Serve(dependency.Command):
            "Words."

    benchmark(make)


def test_remade_class(benchmark):
    benchmark(dependency.add_metaclass, subject.model.Registry, subject.model.Thing)


def test_caller_of_getattr(benchmark):
    benchmark(lambda: getattr(dependency.named, "name"))


def test_archive(benchmark):
    sys.path.append(__file__.replace("test_w.py", "helpers.zip"))
    import zipped

    benchmark(zipped.read, subject.model.helper)


def test_shared(benchmark):
    import cases

    benchmark(sum, range(cases.SIZE))
"""  # fmt: skip


def test_a_docstring_that_no_module_of_the_package_names_could_be_read(decide, place, tmp_path, monkeypatch):
    monkeypatch.setattr(rewording, "MOST_NAMED", len(BY_DEPENDENCIES))
    (tmp_path / "dependency/dependency.py").write_text(DEPENDENCY)
    with zipfile.ZipFile(place / "measure/benchmarks/helpers.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zipped.py", "def read(function):\n    return function.__doc__\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/cases.py").write_text("SIZE = 10\n")
    (place / "measure/data").symlink_to(tmp_path / "shared")
    model = f"import functools\n\n{MODEL}{OPERATION}"
    files = {"subject/help.txt": "TOOL"}

    proof = decide(
        {"subject/model.py": model, **files},
        {"subject/model.py": edited(model, WORDS), **files},
        workload=USES_DEPENDENCIES.format(shared=str(place / "measure/data")),
        workloads=workloads_of(**{f"test_{name}": (INTERLEAVED, "call_time") for name in BY_DEPENDENCIES}),
    )

    assert not proof.workloads
    for name, why in BY_DEPENDENCIES.items():
        assert f"benchmarks/test_w.py::test_{name}: {why}" in proof.note


IMPORTED_FOR_UNNAMED = """
import enum
import operator
import os
import pickle
import types
import warnings

LENGTHS = []


class Registry(type(object)):
    def __new__(kind, name, bases, space):
        LENGTHS.append(len(str(space)))
        return super().__new__(kind, name, bases, space)


class Maker:
    def __init__(self, *arguments):
        LENGTHS.append(len(str(arguments)))


class Replaced:
    def __mro_entries__(self, bases):
        return (BASE,)


BASE = Registry("Base", (), {})

class Static(staticmethod):
    def __getnewargs__(self):
        return (print,)
"""

UNNAMED = {
    "frame": ("str(getattr((each for each in ()), 'gi_' + str('frame')))", "code of subject/model.py was looked at"),
    "warning": ("open(os.devnull)", "positions could be read by a warning in subject.model"),
    "ignored_warning": (
        "warnings.filterwarnings('ignore', '', ResourceWarning)\nopen(os.devnull)",
        "positions could be read by a warning in subject.model",
    ),
    "metaclass": (
        'class Made(BASE):\n    "Words."',
        f"{IN_CLASSES} could be read by model.py::Registry.__new__, which is given the body of a class",
    ),
    "instance_as_a_base": (
        'class Made(Maker()):\n    "Words."',
        f"{IN_CLASSES} could be read by model.py::Maker.__init__, which is given the body of a class",
    ),
    "bases_that_are_replaced": (
        'class Made(Replaced()):\n    "Words."',
        f"{IN_CLASSES} could be read by model.py::Registry.__new__, which is given the body of a class",
    ),
    "getter": (
        "getattr(operator, 'attr' + str('getter'))('__' + str('doc') + '__')(helper)",
        f"{IN_CLASSES} could be read by getattr of attrgetter",
    ),
    "first_pickle": (
        "pickle.dumps(types.DynamicClassAttribute(helper))",
        "docstrings could be read by the state of an object of DynamicClassAttribute",
    ),
    "another_pickle": (
        "pickle.dumps(types.DynamicClassAttribute(helper))",
        "docstrings could be read by the state of an object of DynamicClassAttribute",
    ),
    "pickle_by_compiled_code": (
        "list(map(pickle.dumps, [enum.property(helper)]))",
        "docstrings could be read by the state of an object of property",
    ),
    "old_pickle": (
        "pickle.dumps(types.DynamicClassAttribute(helper), 0)",
        "docstrings could be read by the state of an object of DynamicClassAttribute",
    ),
    "pickle_of_a_method": (
        "pickle.dumps(Static(helper))",
        "docstrings could be read by the state of an object of Static",
    ),
}
"""Bodies of functions that read words under no name, and what is told of each."""

WRITTEN = {
    "attribute_written": "subject.model.helper.DOC",
    "variable_written": "str([*vars(subject.model.Thing).values()])",
    "getter_written": "operator.attrgetter('__' + str('doc') + '__')(subject.model.helper)",
    "own_getter_written": "object.__getattribute__(subject.model.helper, '__' + str('doc') + '__')",
}
"""Names of modules that a workload writes, and an expression by which each reads a docstring."""

IMPORTS_WHAT_IT_WROTE = """
import sys

import subject.model


def length_in(folder, name, expression):
    expression = expression.replace("DOC", "__" + str("doc") + "__")
    (folder / f"{name}.py").write_text(f"import operator, subject.model\\nLENGTH = len({expression})\\n")
    sys.path.append(str(folder))
    return __import__(name).LENGTH
""" + "".join(
    f"\n\ndef test_{name}(benchmark, tmp_path):\n    benchmark(range, length_in(tmp_path, {name!r}, {text!r}))\n"
    for name, text in WRITTEN.items()
)


def test_words_that_are_read_under_no_name_are_noticed_by_the_trace(decide, monkeypatch):
    monkeypatch.setattr(rewording, "MOST_NAMED", len(UNNAMED) + len(WRITTEN))
    functions = (
        f"\n\ndef {name}():\n{textwrap.indent(textwrap.dedent(body), '    ')}\n" for name, (body, _) in UNNAMED.items()
    )
    model = "\n".join((IMPORTED_FOR_UNNAMED, MODEL, *functions))
    workload = "\n".join(
        (IMPORTS_WHAT_IT_WROTE, *(f"def test_{n}(benchmark): benchmark(subject.model.{n})" for n in UNNAMED))
    )
    told = {name: why for name, (_, why) in UNNAMED.items()}

    proof = decide(
        {"subject/model.py": model},
        {"subject/model.py": edited(model, WORDS)},
        workload=workload,
        workloads=workloads_of(**{f"test_{name}": (INTERLEAVED, "call_time") for name in [*told, *WRITTEN]}),
    )

    assert not proof.workloads
    for name, why in told.items():
        assert f"benchmarks/test_w.py::test_{name}: {why}" in proof.note
    for name in WRITTEN:
        assert f" could be read by {name}.py::<module>" in proof.note


ASKS_FOR_A_NAME = """
import sys


def parent_frame_namespace():
    return sys._getframe(2).f_code.co_name == "<module>"


class Model:
    def __init_subclass__(cls):
        parent_frame_namespace()
"""

ITS_NAME_IS_ASKED_FOR = """

from pydantic._internal import _typing_extra


class Asked(_typing_extra.Model):
    pass
"""

GETS_AN_ATTRIBUTE = """
import operator


def get(value):
    return max([value], key=operator.attrgetter("real", "imag"))
"""

READS_NOTHING = """
import asyncio
import contextlib
import copy
import dataclasses
import functools
import inspect
import pickle

import getting
import subject.model
from benchmarks import cases


class Held:
    \"\"\"Says nothing of __doc__.\"\"\"

    def __init__(self, function):
        functools.update_wrapper(self, function)


def own():
    \"\"\"Nor does this.\"\"\"


@contextlib.contextmanager
def manager():
    \"\"\"Nor this.\"\"\"
    yield Held(own)


@dataclasses.dataclass
class Point:
    \"\"\"Nor this.\"\"\"

    x: int

    @functools.cached_property
    def twice(self):
        \"\"\"Nor this.\"\"\"
        return 2 * self.x

    def __getstate__(self):
        return self.x

    def __setstate__(self, x):
        self.x = x


@functools.wraps(subject.model.helper)
def wrapped(value):
    return subject.model.helper(value)


async def answer():
    return subject.model.helper(1)


def run():
    asyncio.run(answer())
    with manager():
        copy.deepcopy(Point(1)), pickle.dumps([Point(2).twice, inspect.signature(Point)])
        told = "{0.__name__}, {1[a]:{2}}".format(subject.model.helper, {"a": 1}, 8)
        return told, getting.get(1), wrapped(1), functools.cache(wrapped)(cases.SIZE)


def test_speed(benchmark):
    benchmark(run)
"""


@pytest.mark.slow
def test_wrappers_and_templates_that_read_no_words_are_unchanged(decide, place, tmp_path):
    (tmp_path / "shared").mkdir()
    (place / "measure/data").symlink_to(tmp_path / "shared")
    (place / "measure/benchmarks/cases.py").write_text("SIZE = 10\n")
    (tmp_path / "dependency/pydantic/_internal").mkdir(parents=True)
    (tmp_path / "dependency/pydantic/__init__.py").touch()  # ahead of pydantic itself
    (tmp_path / "dependency/pydantic/_internal/_typing_extra.py").write_text(ASKS_FOR_A_NAME)
    (tmp_path / "dependency/getting.py").write_text(GETS_AN_ATTRIBUTE)
    model, files = MODEL + ITS_NAME_IS_ASKED_FOR, {"subject/help.txt": "{0.__name__}"}

    proof = decide(
        {"subject/model.py": model, **files},
        {"subject/model.py": edited(model, WORDS, NAME), **files},
        workload=READS_NOTHING,
    )

    assert (proof.workloads, proof.note) == ({SPEED}, "")


SPEED_SEEN: Any = {"unknown": [], "touched": [], "introspected": [], "readers": {}, "executed": [], "chance": []}


def run_of(executed=("a.py::f",), touched=(), **result):
    """A traced run of one workload."""
    seen: Any = {**SPEED_SEEN, "executed": list(executed), "touched": list(touched)}
    recorded = {"outcome": "completed", "cause": "", "values": {"a": 1.0}, "digest": "x", **result}
    return TracedRun(collection=SPEED_SEEN, workloads={SPEED: seen}, results={SPEED: recorded})


OTHERWISE = {
    "another function": run_of(executed=("a.py::f", "a.py::g")),
    "a function less": run_of(executed=()),
    "another file": run_of(touched=("data.txt",)),
    "another value": run_of(values={"a": 2.0}),
    "another digest": run_of(digest="y"),
    "a failure": run_of(outcome="failed"),
    "a record more": run_of(names={"a": ["b"]}),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_candidate_that_does_otherwise_in_the_control_run_is_measured(name, decide, monkeypatch):
    runs = iter([run_of(), run_of(), OTHERWISE[name]])
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: next(runs))

    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)})

    assert not proof.workloads
    assert "in the control run" in proof.note


def test_what_differs_between_two_runs_of_the_baseline_need_not_be_equal():
    first, again = run_of(executed=["f", "g"], digest="x"), run_of(executed=["f"], digest="y")

    assert not compare_runs(first, again, run_of(executed=["f"], digest="z"))
    assert compare_runs(first, again, run_of(executed=["g"], digest="x"))
    assert compare_runs(first, again, run_of(executed=["f"], digest="x", values={"a": 2.0}))


SEEN: dict[str, Any] = {
    "something unknown": {"unknown": ["os.fork"]},
    "a changed module opened": {"touched": ["subject/model.py"]},
    "the folder of a changed module": {"touched": ["subject"]},
    "the whole tree": {"touched": ["."]},
    "compiled code": {"touched": ["subject/__pycache__/other.pyc"]},
    "code of a changed module": {"introspected": ["subject/model.py"]},
    "a reader of what differs": {"readers": {"docstrings": ["cli.py::main"]}},
}


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize("position", range(3))
def test_what_any_of_the_three_runs_saw_can_have_everything_measured(name, position, decide, monkeypatch):
    runs = [run_of(), run_of(), run_of()]
    seen: Any = {**SPEED_SEEN, **SEEN[name]}
    runs[position] = TracedRun(collection=seen, workloads=runs[0].workloads, results=runs[0].results)
    waiting = iter(runs)
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: next(waiting))

    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)})

    assert not proof.workloads
    assert "measured nevertheless, since" in proof.note


def test_what_is_equal_may_be_looked_at():
    words = WordComparison(is_same_code=True, differing=frozenset({"positions"}))
    seen: Any = {
        **SPEED_SEEN,
        "touched": ["subject/data.txt", "subject/model.pyi"],
        "introspected": ["subject/other.py"],
        "readers": {"docstrings": ["cli.py::main"], "presence": ["dataclasses.py::dataclass"]},
    }

    assert find_obstacle(seen, words, ["subject/model.py"]) == ""


TWO = """
import os

import subject.model


def test_speed(benchmark):
    benchmark(subject.model.run)


def test_fork(benchmark):
    benchmark(os.getpid if os.fork() else lambda: os._exit(0))
"""


@pytest.mark.slow
def test_a_workload_that_cannot_be_followed_is_measured_and_the_others_are_not(decide):
    workloads = workloads_of(test_speed=(INTERLEAVED, "call_time"), test_fork=(INTERLEAVED, "call_time"))

    proof = decide(
        {"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)}, workload=TWO, workloads=workloads
    )

    assert proof.workloads == {SPEED}
    assert "measured in part, since benchmarks/test_w.py::test_fork: nobody can tell what was read" in proof.note


TWO_THAT_SHARE = """
import functools
import warnings

import pytest

import subject.model


@functools.cache
def once():
    warnings.warn("this is told once in a process")


@pytest.mark.parametrize("number", range(2))
def test_first(benchmark, number):
    once()
    benchmark(subject.model.run)


def test_speed(benchmark):
    benchmark(subject.model.run)
"""


@pytest.mark.parametrize("num_rounds", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_what_happens_once_in_a_process_keeps_only_those_from_being_proved_that_share_it(
    decide, monkeypatch, num_rounds
):
    monkeypatch.setattr(rewording, "MAX_ROUNDS", num_rounds)
    names = *(f"test_first[{number}]" for number in range(2)), "test_speed"

    proof = decide(
        {"subject/model.py": MODEL},
        {"subject/model.py": edited(MODEL, WORDS)},
        workload=TWO_THAT_SHARE,
        workloads=workloads_of(**dict.fromkeys(names, (INTERLEAVED, "call_time"))),
    )

    assert proof.workloads == ({SPEED} if num_rounds == 3 else set())
    is_told = "since each of 1 traces found another workload that has to be measured" in proof.note
    assert is_told is (num_rounds == 1)
    assert "positions could be read by warnings.warn" in proof.note


@pytest.mark.parametrize("is_read", [pytest.param(False, marks=pytest.mark.slow), True], ids=["set", "set-and-read"])
def test_a_dependency_may_set_docstrings_but_not_read_them(decide, tmp_path, is_read):
    made = "made.__doc__ = made.__doc__ + name" if is_read else "made.__doc__ = 'Made for ' + name"
    (tmp_path / "dependency" / "maker.py").write_text(
        f"def make(name):\n    def made():\n        'Words.'\n    {made}\n    return made\n"
    )
    workload = f"import maker\nmaker.make('it')\n{WORKLOAD}"

    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)}, workload=workload)

    assert proof.workloads == (set() if is_read else {SPEED})
    assert ("docstrings could be read by maker.py::make" in proof.note) is is_read


def test_import_time_and_memory_are_measured(decide, monkeypatch):
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: run_of())
    files = {"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)}
    size = (ALONE, "peak_memory")

    both = decide(*files, workloads=workloads_of(test_speed=(INTERLEAVED, "call_time"), test_size=size))
    neither = decide(*files, workloads=workloads_of(test_size=size, test_import=(INTERLEAVED, "import_time")))

    assert both.workloads == {SPEED}
    assert both.note.endswith("measured in part, since the text of a module affects peak_memory")
    assert not neither.workloads
    assert neither.note.endswith("measured nevertheless, since the text of a module affects peak_memory, import_time")


@pytest.mark.parametrize(
    ("execution", "module", "is_proved"),
    [
        pytest.param(INTERLEAVED, "subject/model.py", False, id="timed"),
        pytest.param(INTERLEAVED, "subject/other.py", True, id="timed-import-of-what-is-equal"),
        pytest.param(TRAINED, "subject/model.py", True, id="training"),
    ],
)
def test_a_timed_workload_is_measured_if_it_imports_what_differs(decide, monkeypatch, execution, module, is_proved):
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: run_of([f"{module}::<module>"]))

    proof = decide(
        {"subject/model.py": MODEL},
        {"subject/model.py": edited(MODEL, WORDS)},
        workloads=workloads_of(test_speed=(execution, "own")),
    )

    assert proof.workloads == ({SPEED} if is_proved else set())
    assert ("test_speed: subject/model.py was imported by a timed workload" in proof.note) is not is_proved


def test_a_timed_workload_is_measured_if_only_a_later_run_imports_what_differs(decide, monkeypatch):
    runs = iter([run_of(), run_of(["subject/model.py::<module>"]), run_of()])
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: next(runs))

    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)})

    assert not proof.workloads
    assert proof.note.endswith("since subject/model.py was imported by a timed workload")


@pytest.mark.parametrize(
    ("module", "again", "is_proved"),
    [
        pytest.param("subject/model.py", {"startup": 2.0}, False, id="own-time"),
        pytest.param("subject/model.py", {"startup": 1.0, "seconds": 2.0}, True, id="time-that-is-not-gated"),
        pytest.param("subject/other.py", {"startup": 2.0}, True, id="import-of-what-is-equal"),
    ],
)
def test_a_training_whose_metric_varies_is_measured_if_it_imports_what_differs(
    decide, monkeypatch, module, again, is_proved
):
    values = ({"startup": 1.0, "seconds": 1.0}, again, again)
    runs = iter([run_of([f"{module}::<module>"], values=each) for each in values])
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: next(runs))

    proof = decide(
        {"subject/model.py": MODEL},
        {"subject/model.py": edited(MODEL, WORDS)},
        workloads=workloads_of(test_speed=(TRAINED, "startup")),
    )

    assert proof.workloads == ({SPEED} if is_proved else set())
    told = "test_speed: subject/model.py was imported, and what it gates differs between two runs of the baseline"
    assert (told in proof.note) is not is_proved


STARTUP = (TRAINED, "startup")
WHICH_IMPORT = {
    "two trainings": ({"test_first": STARTUP, "test_second": STARTUP}, set()),
    "a training first": ({"test_first": (TRAINED, "accuracy"), "test_speed": (INTERLEAVED, "call_time")}, {"test_first"}),
    "two equal trainings": ({"test_first": (TRAINED, "accuracy"), "test_second": (TRAINED, "accuracy")}, {"test_first", "test_second"}),
}  # fmt: skip
"""Workloads each of which would import a module that differs, and those that are proved."""


@pytest.mark.parametrize("name", WHICH_IMPORT)
def test_no_workload_hides_from_another_that_it_imports_what_differs(decide, monkeypatch, name):
    startup = itertools.count()

    def trace(spec, workloads, *_, **__):
        """The first of a process imports."""
        recorded = {"startup": next(startup), "accuracy": 1.0}
        runs = {
            each: run_of(["subject/model.py::<module>"] if position == 0 else [], values=recorded)
            for position, each in enumerate(workloads)
        }
        return TracedRun(
            collection=SPEED_SEEN,
            workloads={each: run.workloads[SPEED] for each, run in runs.items()},
            results={each: run.results[SPEED] for each, run in runs.items()},
        )

    monkeypatch.setattr(rewording, "trace_workloads", trace)
    workloads, proved = WHICH_IMPORT[name]

    proof = decide(
        {"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)}, workloads=workloads_of(**workloads)
    )

    assert {each.rpartition("::")[2] for each in proof.workloads} == proved


TIMED_IMPORT = """
import importlib
import sys


def load():
    sys.modules.pop("subject.model", None)
    return importlib.import_module("subject.model")


def test_speed(benchmark):
    benchmark(load)
"""

ANOTHER_BODY = ("return 1", "return 2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "proof"),
    [
        pytest.param(WORDS, "unchanged", id="words"),
        pytest.param(
            ANOTHER_BODY,
            "executed",
            id="function-that-is-not-executed",
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="calls cannot be followed"),
        ),
    ],
)
def test_an_import_that_is_timed_is_measured(decide, edit, proof):
    files = {"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, edit)}

    decided = decide(*files, workload=TIMED_IMPORT, proof=proof)

    assert not decided.workloads
    assert "subject/model.py was imported by a timed workload" in decided.note


@pytest.mark.parametrize("row", [{}, {"ignores_words": True}], ids=["silent", "says-so"])
def test_a_new_ready_metric_is_proved_only_if_its_row_says_that_it_ignores_words(decide, monkeypatch, row):
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: run_of())
    new = ReadyMetric(kind="performance", unit="B", direction="lower", margin=0.05, meaning="code loaded", **row)
    monkeypatch.setitem(READY_METRICS, "code_size", new)

    proof = decide(
        {"subject/model.py": MODEL},
        {"subject/model.py": edited(MODEL, WORDS)},
        workloads=workloads_of(test_speed=(INTERLEAVED, "code_size")),
    )

    assert proof.workloads == ({SPEED} if row else set())


@pytest.mark.parametrize("name", ["more.pth", "_virtualenv.py", "the plugin p of pytest"])
def test_code_that_runs_before_the_trace_has_everything_measured(decide, monkeypatch, name):
    monkeypatch.setattr(rewording, "names_in_wheels", lambda wheels: {name})

    proof = decide(
        {"subject/model.py": MODEL},
        {"subject/model.py": edited(MODEL, WORDS)},
        startup={"pyvenv.cfg": "a", **({} if name.startswith("_") else {name: "b"})},
    )

    assert not proof.workloads
    assert proof.note.endswith(f"code that runs at start-up is not traced ({name})")


@pytest.mark.parametrize(
    ("folder", "is_measured"),
    [
        ("", True),
        ("subject-1.0.data/purelib/", True),
        ("subject-1.0.data/platlib/", True),
        ("subject-1.0.data/data/lib/python3.11/site-packages/", True),
        ("subject/", False),
    ],
)
def test_a_module_named_like_one_of_every_environment_counts_if_a_wheel_installs_it_there(
    decide, monkeypatch, folder, is_measured
):
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: run_of())
    monkeypatch.setattr(rewording, "names_in_wheels", lambda wheels: {f"{folder}_virtualenv.py"})

    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)})

    assert proof.workloads == (set() if is_measured else {SPEED})
    assert ("code that runs at start-up is not traced" in proof.note) is is_measured


def test_a_trace_without_an_end_has_everything_measured(decide):
    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)}, seconds=0.0)

    assert not proof.workloads
    assert "more than their share of the time budget" in proof.note


def test_a_worker_that_dies_has_everything_measured(decide):
    workload = WORKLOAD + "\n\nimport os\nos._exit(3)\n"

    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)}, workload=workload)

    assert not proof.workloads
    assert "a traced run came to its end: the worker exited with status 3" in proof.note


@pytest.mark.slow
def test_the_record_of_the_installation_is_known_to_differ(decide):
    baseline, candidate, workload = sides(READERS["record of the installation"])

    proof = decide(baseline, candidate, workload=workload)

    assert not proof.workloads
    assert "the file subject-1.0.dist-info/RECORD was looked at" in proof.note


@pytest.mark.parametrize(
    ("folder", "is_proved"), [("subject-1.0.data/purelib/", True), ("subject-1.0.data/scripts/", False)]
)
def test_modules_of_a_wheel_are_known_by_where_they_are_installed(decide, monkeypatch, folder, is_proved):
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: run_of())

    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)}, wheel_folder=folder)

    assert proof.workloads == ({SPEED} if is_proved else set())


def test_a_comparison_that_fails_has_everything_measured_and_a_note_says_why(decide, monkeypatch):
    failed = WordComparison(is_same_code=False, problem="comparing their code took longer than 120 s")
    monkeypatch.setattr(rewording, "compare_words", lambda *_, **__: failed)

    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)})

    assert not proof.workloads
    assert proof.note == f"only the text of modules differs; measured nevertheless, since {failed.problem}"


PATCH = """
import os

import subject.model


def read():
    return len(getattr(subject.model.helper, "__" + str("doc") + "__"))


{}
"""
PRELOADED = {
    "at import": ("subject.accelerate", "read()"),
    "after the fork": ("subject.accelerate", "os.register_at_fork(after_in_child=read)"),
    "by another module": ("subject.all", "read()"),
}


@needs_servers
@pytest.mark.parametrize("name", some_always(PRELOADED, {"at import"}))
def test_modules_of_the_package_that_are_preloaded_have_everything_measured(decide, name):
    module, statement = PRELOADED[name]
    others = {"subject/accelerate.py": PATCH.format(statement), "subject/all.py": "import subject.accelerate\n"}

    proof = decide(
        {"subject/model.py": MODEL, **others}, {"subject/model.py": edited(MODEL, WORDS), **others}, preload=[module]
    )

    assert not proof.workloads
    assert "nobody can tell what was read: subject was imported before the trace" in proof.note


@pytest.mark.slow
@needs_servers
def test_other_modules_may_be_preloaded(decide):
    proof = decide({"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, WORDS)}, preload=["decimal"])

    assert (proof.workloads, proof.note) == ({SPEED}, "")


TRAINING = """
import pytest

import subject.model


@pytest.mark.accuracy(metric="accuracy", margin=0.1)
def test_train(trial):
    trial.record(accuracy=subject.model.train(trial.seed))
"""

NETWORK = '''"""A network."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class Sizes:
    """Sizes."""

    width: int = 8


class Network(torch.nn.Module):
    """Layers."""

    def __init__(self, sizes):
        super().__init__()
        self.first = torch.nn.Linear(4, sizes.width)
        self.last = torch.nn.Linear(sizes.width, 2)

    def forward(self, x):
        """What the function does."""
        hidden = F.relu(self.first(x))
        return self.last(hidden)


@torch.no_grad()
def evaluate(network, x, y):
    network.eval()
    return (network(x).argmax(1) == y).float().mean().item()


def train(seed):
    torch.manual_seed(seed)
    network = Network(Sizes())
    optimizer = torch.optim.AdamW(network.parameters())
    x, y = torch.randn(32, 4), torch.randint(0, 2, (32,))
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8, shuffle=True)
    for inputs, labels in data:
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
    return evaluate(network, x, y)
'''

COMPILED = edited(NETWORK, ("network = Network(Sizes())", "network = torch.compile(Network(Sizes()), backend='eager')"))


@pytest.mark.slow
@pytest.mark.parametrize(("model", "is_proved"), [(NETWORK, True), (COMPILED, False)], ids=["eager", "compiled"])
def test_a_training_with_torch_is_proved_unless_its_code_is_compiled(decide, model, is_proved):
    pytest.importorskip("torch")
    workloads = workloads_of(test_train=(TRAINED, "accuracy"))

    proof = decide(
        {"subject/model.py": model},
        {"subject/model.py": edited(model, WORDS, ("hidden", "inner"))},
        workload=TRAINING,
        workloads=workloads,
        seconds=4000.0,  # importing torch three times takes its time on a busy machine
    )

    assert bool(proof.workloads) is is_proved, proof.note
