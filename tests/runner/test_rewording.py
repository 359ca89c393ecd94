"""What counts as the same code, and which code could read its own words."""

import sys
import textwrap

import pytest

from mainstay.runner import rewording
from mainstay.runner.rewording import Question, answer, compare_modules, find_readers

MODULE = '''"""Old words."""

import functools

WIDTH = 1


def scaled(value, *, by=2):
    """Scale."""
    # a comment
    result = value * by
    if result > 10:
        result = 10
    return result


class Model:
    """A model."""

    size: int = 3

    @functools.cache
    def run(self, x):
        try:
            total = sum(part for part in x)
        except TypeError:
            total = 0
        return total
'''

HARMLESS = {
    "module docstring": ('"""Old words."""', '"""New words,\nmore of them."""'),
    "docstring dropped": ('    """Scale."""\n', ""),
    "docstring of a class": ('"""A model."""', '"""Another."""'),
    "comment": ("    # a comment\n", "    # two\n    # comments\n"),
    "blank lines": ("WIDTH = 1\n", "WIDTH = 1\n\n\n"),
    "parentheses": ("result = value * by", "result = (\n        value * by\n    )"),
    "quotes": ('"""A model."""', "'A model.'"),
    "local renamed": ("result", "scaled_value"),
    "loop variable renamed": ("part for part in x", "item for item in x"),
}

CHANGED = {
    "superfluous pass": ("        result = 10\n", "        result = 10\n        pass\n"),
    "superfluous text": ("        result = 10\n", "        result = 10\n        'ten'\n"),
    "constant": ("WIDTH = 1", "WIDTH = 2"),
    "type of a constant": ("WIDTH = 1", "WIDTH = 1.0"),
    "truth in place of a number": ("WIDTH = 1", "WIDTH = True"),
    "sign of zero": ("total = 0", "total = -0.0"),
    "default": ("by=2", "by=3"),
    "argument renamed": ("def scaled(value, *, by=2)", "def scaled(amount, *, by=2)"),
    "keyword made positional": ("value, *, by=2", "value, by=2"),
    "global renamed": ("WIDTH = 1", "BREADTH = 1"),
    "operator": ("value * by", "value + by"),
    "order of operands": ("value * by", "by * value"),
    "comparison": ("> 10", ">= 10"),
    "decorator": ("    @functools.cache\n", ""),
    "base class": ("class Model:", "class Model(dict):"),
    "annotation": ("size: int = 3", "size: float = 3"),
    "exception": ("except TypeError", "except ValueError"),
    "generator made a list": ("sum(part for part in x)", "sum([part for part in x])"),
    "attribute": ("size: int = 3", "width: int = 3"),
    "import": ("import functools", "import functools, json"),
    "function added": ("class Model:", "def more():\n    pass\n\n\nclass Model:"),
    "order of definitions": ("WIDTH = 1\n", "HEIGHT = 1\nWIDTH = 1\n"),
    "assertion": ("    return result\n", "    assert result\n    return result\n"),
    "not Python": ("WIDTH = 1", "WIDTH ="),
}


def compared(old, new):
    """In what the module differs from the one after an edit."""
    assert old in MODULE
    found = compare_modules(MODULE.encode(), MODULE.replace(old, new).encode())
    assert found is not None
    return found


def changed_in(baseline, candidate):
    """Functions whose bodies differ between two modules."""
    found = compare_modules(baseline.encode(), candidate.encode())
    assert found is not None
    return found.changed


@pytest.mark.parametrize("name", HARMLESS)
def test_words_do_not_count(name):
    old, new = HARMLESS[name]

    assert not compared(old, new).changed


@pytest.mark.parametrize("name", CHANGED)
def test_code_counts(name):
    old, new = CHANGED[name]
    assert old in MODULE

    found = compare_modules(MODULE.encode(), MODULE.replace(old, new).encode())

    assert found is None if name == "not Python" else found.changed


NOT_A_NUMBER = "1e999 - 1e999"
HEXADECIMAL = f"0x{'f' * 4000}"  # in decimal, more digits than Python converts to text


@pytest.mark.parametrize(
    "constant", [NOT_A_NUMBER, f"({NOT_A_NUMBER}) * 1j", "-0.0", "0j", "1 - 0j", f"(1, {NOT_A_NUMBER})", "-1e999"]
)
def test_signs_of_constants_count(constant):
    words = changed_in(f"X = {constant}\n", f"X = {constant}  # why\n")
    sign = changed_in(f"X = {constant}\n", f"X = -({constant})\n")

    assert (words, sign) == (frozenset(), {"<module>"})


@pytest.mark.parametrize("statement", ["X = {}", "X = (1, {})", "X = y in {{1, {}}}", "class A: x = {}"])
def test_an_integer_of_many_digits_is_a_constant_as_any_other(statement):
    baseline, candidate = (statement.format(number) for number in (HEXADECIMAL, f"{HEXADECIMAL}0"))

    assert not changed_in(baseline, f"{baseline}  # why")
    assert changed_in(baseline, candidate)
    assert not find_readers(baseline.encode(), EVERYTHING)


def test_a_reader_is_found_beside_an_integer_of_many_digits():
    assert find_readers(f"X = {HEXADECIMAL}\nY = f.__doc__\n".encode(), EVERYTHING) == "__doc__"


SIGNATURES = {
    "added": ("A model.", "Model(a, b)\n--\n\nA model.", True),
    "changed": ("Model(a)\n--\n\nA model.", "Model(b)\n--\n\nA model.", True),
    "indented": ("A model.", "Model(a)\n    --\n\n    A model.", True),
    "words after it": ("Model(a)\n--\n\nA model.", "Model(a)\n--\n\nAnother.", False),
    "line without a signature": ("A model.", "A model.\n\n--\n\nOf a kind.", False),
    "of no class": ("Scale.", "scaled(a)\n--\n\nScale.", False),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signature_in_the_docstring_of_a_class_counts_as_code(name):
    old, new, is_code = SIGNATURES[name]
    baseline = MODULE if old in MODULE else MODULE.replace("A model.", old)

    changed = changed_in(baseline, baseline.replace(old, new))

    assert changed == ({"<module>"} if is_code else frozenset())


CLASS_MOVES = {"positions", "class lines"} if sys.version_info >= (3, 13) else {"positions"}

DIFFERING = {
    "same length": ("Old words", "New words", {"docstrings"}),
    "longer": ("Old words.", "New words,\nmore of them.", {"docstrings", *CLASS_MOVES}),
    "dropped": ('    """Scale."""\n', "", {"docstrings", "presence", *CLASS_MOVES}),
    "line below the head of a class": ("    size: int", "\n    size: int", {"positions"}),
    "emptied": ('"""Scale."""', '""', {"docstrings", "presence"}),
    "of a class": ("A model.", "The model.", {"docstrings", "classes"}),
    "comment": ("# a comment", "# another", set()),
    "comment on two lines": ("# a comment", "# two\n    # lines", CLASS_MOVES),
    "local": ("total", "whole", {"locals"}),
}


@pytest.mark.parametrize("name", DIFFERING)
def test_it_is_told_in_what_modules_differ(name):
    old, new, differing = DIFFERING[name]

    assert compared(old, new).differing == differing


UNBOUND = {
    "in one branch": ("if a:\n    result = 1\nreturn result", True),
    "in both branches": ("if a:\n    result = 1\nelse:\n    result = 2\nreturn result", False),
    "after a loop": ("for result in a:\n    pass\nreturn result", True),
    "within a loop": ("for b in a:\n    result = b\n    print(result)\nreturn b", False),
    "before a loop that sets it": ("result = 0\nwhile a:\n    result += 1\nreturn result", False),
    "after a loop without end": ("while True:\n    result = a()\n    if result:\n        break\nreturn result", False),
    "an error may come first": ("try:\n    result = a()\nexcept E:\n    pass\nreturn result", True),
    "set after an error": ("try:\n    result = a()\nexcept E:\n    result = 1\nreturn result", False),
    "the error is raised": ("try:\n    result = a()\nexcept E:\n    raise\nreturn result", False),
    "in a final clause": ("try:\n    result = a()\nfinally:\n    print(result)", True),
    "name of an error": ("try:\n    a()\nexcept E as result:\n    print(result)", False),
    "after the error has no name": ("try:\n    a()\nexcept E as result:\n    pass\nreturn result", True),
    "deleted": ("result = 1\ndel result\nreturn result", True),
    "deleted where it is set": ("result = 1\ndel result\nreturn a", False),
    "deleted after one branch has set it": (
        "try:\n    if a:\n        result = 1\n    del result\nexcept E:\n    pass",
        True,
    ),
    "deleted after a loop": ("for b in a:\n    result = b\ndel result", True),
    "deleted after an error": ("try:\n    a()\n    result = 1\nexcept E:\n    del result", True),
    "another name that has no value": ("result = 1\nif a:\n    b = result\nreturn b", False),
}


@pytest.mark.parametrize("name", UNBOUND)
def test_a_renamed_local_that_may_have_no_value_is_told(name):
    body, is_told = UNBOUND[name]
    source = "def f(a):\n" + textwrap.indent(body, "    ")

    found = compare_modules(source.encode(), source.replace("result", "answer").encode())

    assert found is not None
    assert found.differing == {"locals"}
    assert found.unbound == ("result" if is_told else "")


BODIES = {
    "operator": ("value * by", "value + by", {"scaled"}),
    "method": ("total = 0", "total = 1", {"Model.run"}),
    "another number of lines": ("    result = value * by\n", "    result = value\n    result *= by\n", {"scaled"}),
    "expression in a generator": ("part for part in x", "part + 1 for part in x", {"Model.run"}),
    "function within a function": ("    return result\n", "    return (lambda: result)()\n", {"scaled"}),
    "default": ("by=2", "by=3", {"<module>"}),
    "annotation": ("value, *, by=2", "value: int, *, by=2", {"<module>"}),
    "argument renamed": ("def scaled(value, *, by=2)", "def scaled(amount, *, by=2)", {"<module>", "scaled"}),
    "made a generator": ("return result", "yield result", {"<module>", "scaled"}),
    "body of a class": ("size: int = 3", "size: int = 4", {"<module>"}),
    "decorator": ("    @functools.cache\n", "", {"<module>"}),
    "function added": ("class Model:", "def more():\n    pass\n\n\nclass Model:", {"<module>", "more"}),
    "two functions": ("result", "self.total", {"scaled"}),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_functions_whose_bodies_differ_are_named(name):
    old, new, changed = BODIES[name]

    assert compared(old, new).changed == changed


def test_words_of_functions_whose_bodies_differ_do_not_count():
    on_the_line = compared("total = 0", "rest = total = 0")
    with_a_line = compared("result = value * by", "result = rest = 0\n    result = value * by")

    assert (on_the_line.changed, on_the_line.differing) == ({"Model.run"}, frozenset())
    assert (with_a_line.changed, with_a_line.differing) == ({"scaled"}, CLASS_MOVES)


def test_functions_of_one_name_are_told_apart():
    twice = "def outer():\n    global f\n    def f(): return {}\ndef f(): return {}\n"
    moved = "def outer():\n    global f\ndef f(): return {}\n"

    assert changed_in(twice.format(1, 2), twice.format(1, 3)) == {"f"}
    assert changed_in(twice.format(1, 2), moved.format(1)) == {"outer", "f"}


EVERYTHING = ("docstrings", "positions", "locals")

IN_A_FUNCTION = "a module that is imported by a function"

READS = {
    "inspect.stack()": "inspect.stack",
    "from inspect import stack": "inspect.stack",
    "import inspect as i": "inspect",
    "import sys\nsys.path": "sys.path",
    "from sys import monitoring": "sys.monitoring",
    "eval('1')": "eval",
    "x = '__do' + 'c__'": "__doc__",
    "x = '%(lineno)d'": "lineno",
    "x = b'__doc__'": "__doc__",
    "x = ('f_locals', 1)": "f_locals",
    "x = 'traceback'": "traceback",
    "import importlib.resources": "resources",
    "x = attrgetter(name)": "attrgetter with a name that is built",
    "x = map(attrgetter, names)": "attrgetter with a name that is built",
    "x = attrgetter(name, 'shape')": "attrgetter with a name that is built",
    "x = methodcaller(name, 1)": "methodcaller with a name that is built",
    "from operator import attrgetter as get": "attrgetter with a name that is built",
    "x = getattr(operator, 'attrgetter')": "attrgetter with a name that is built",
    "class A: __match_args__ = (name,)": "__match_args__ with a name that is built",
    "class A: __match_args__ += names": "__match_args__ with a name that is built",
    "class A: __match_args__: tuple = names": "__match_args__ with a name that is built",
    "A.__match_args__ = names": "__match_args__ with a name that is built",
    "setattr(A, '__match_args__', names)": "__match_args__ with a name that is built",
    "class A(metaclass=M): pass": "a metaclass, which is given the bodies of classes",
    "class A(type): pass": "a metaclass, which is given the bodies of classes",
    "class A(Meta): pass": "a metaclass, which is given the bodies of classes",
    "class A(library.ModelMeta): pass": "a metaclass, which is given the bodies of classes",
    "class A(**options): pass": "a metaclass, which is given the bodies of classes",
    "def f():\n    import inspect\n    return inspect.stack()": "inspect.stack",
    "def f():\n    import inspect as i\n    return i": "inspect",
    "def f():\n    import sys\n    g(sys, sys.path)": "sys.path" if sys.version_info < (3, 13) else IN_A_FUNCTION,
    "def f():\n    import sys\n    g((sys, a.path))": IN_A_FUNCTION,
    "x = (": "code that does not compile",
}


@pytest.mark.parametrize("source", READS)
def test_what_could_read_words_is_found(source):
    assert find_readers(source.encode(), EVERYTHING) == READS[source]


@pytest.mark.parametrize(
    "source",
    [
        "import inspect\nx = inspect.signature(f)",
        "from inspect import isclass",
        "import inspect, sys\nx = inspect.isclass(sys)",
        "model.eval()",
        "mode = 'eval'",
        "x = getattr(a, name)",
        "x = attrgetter('shape')",
        "from operator import attrgetter, itemgetter as get",
        "x = methodcaller('reshape', size)",
        "class A: __match_args__ = ('x', 'y')",
        "class A: __match_args__: ClassVar[tuple[str, ...]] = ('x', 'y')",
        "class A: __match_args__: tuple",
        "class Recipe(Model):\n    class Meta(Model.Meta): pass",
        "x = len(A.__match_args__)",
        "x = 'see the traceback'",
        "def tokenize(text): return text.split()",  # tokenize.open opens a file, which a traced run sees
        "from subject.text import tokenize",
        '"""On __doc__ and f_locals."""',
        "class A(metaclass=ABCMeta): pass",
    ],
)
def test_what_reads_no_words_is_not_taken_for_it(source):
    assert find_readers(source.encode(), EVERYTHING) == ""


@pytest.mark.parametrize("name", ["__globals__", "f_globals", "f_builtins"])
def test_the_names_of_a_module_are_a_way_to_its_docstrings(name):
    assert find_readers(f"def f(g):\n    return str(g.{name})\n".encode(), ["docstrings"]) == name


def test_a_line_break_counts_where_the_compiler_loads_two_variables_of_a_line_at_once():
    is_joined = sys.version_info >= (3, 13)

    assert bool(compared("value * by", "(\n        value\n        * by\n    )").changed) is is_joined


@pytest.mark.skipif(sys.version_info < (3, 13), reason="classes hold no number of a line")
@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        pytest.param("class A: pass\n", "\nclass A: pass\n", True, id="moved"),
        pytest.param("@d\nclass A: pass\n", "@d  # why\n\nclass A: pass\n", True, id="moved-from-its-decorator"),
        pytest.param("class A: x = 1\n", "\nclass A: x = 2\n", False, id="constant-that-is-its-line"),
        pytest.param("class A: x = 1\n", "class A: x = 2\n", False, id="constant-that-was-its-line"),
        pytest.param("__firstlineno__ = 1\n", "__firstlineno__ = 2\n", False, id="global-of-that-name"),
    ],
)
def test_the_line_that_a_class_holds_counts_as_a_position(before, after, is_same):
    assert (not changed_in(before, after)) is is_same


@pytest.mark.parametrize(
    "source", ["x = A.__dict__", "x = vars(A)", "class A:\n    x = locals()", "class A(type): pass"]
)
def test_the_body_of_a_class_may_not_be_read_where_it_holds_another_line(source):
    assert find_readers(source.encode(), ["class lines"])
    assert not find_readers(source.encode(), ["positions"])


@pytest.mark.parametrize("source", ["f.__doc__ = 'Words.'", "__doc__ = 'Words.'", "class A:\n    __doc__ = 'Words.'"])
def test_a_docstring_may_be_set_but_not_extended(source):
    assert find_readers(source.encode(), EVERYTHING) == ""
    assert find_readers(source.replace("=", "+=").encode(), EVERYTHING) == "__doc__"


def test_what_does_not_differ_may_be_read():
    assert find_readers(b"def f(g):\n    return g.__doc__, locals()\n", ["positions"]) == ""


def test_workloads_may_ask_for_their_own_folder():
    source = b"DATA = open(__file__)"

    assert find_readers(source, ["positions"], is_beside=True) == ""
    assert find_readers(source, ["positions"]) == "__file__"


@pytest.fixture
def ask(tmp_path):
    """What could read the docstrings in which two trees differ, given further files of the baseline and of the workloads."""

    def ask(files):
        for side in ("base", "cand"):
            (tmp_path / side / "subject").mkdir(parents=True)
            (tmp_path / side / "subject/model.py").write_text(f'def run():\n    """For the {side}."""\n')
        for name, text in {"base/subject/py.typed": b"", "workloads/test_w.py": b"", **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(text)
        trees = [str(tmp_path / side) for side in ("base", "cand")]
        beside = str(tmp_path / "workloads")
        return answer(Question(trees=trees, files=["subject/model.py"], beside=beside, optimize=0))["readers"]

    return ask


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("base/subject/help.txt", b"{{ tool.__doc__ }}"),
        ("base/help.html", b"{f.__name__}: {f.__doc__}"),
        ("workloads/data/cases.bin", b"\x00\xff__doc__\x00"),
    ],
)
def test_a_template_that_names_an_attribute_could_read_it(ask, file, text):
    assert ask({file: text}) == f"__doc__ in {file.partition('/')[2]}"


@pytest.mark.parametrize("size", [7, 8, 9, 40])
def test_a_name_is_found_wherever_a_file_is_divided(ask, size, monkeypatch):
    monkeypatch.setattr(rewording, "BLOCK", size)

    assert ask({"base/subject/help.txt": b"# Help\n{{ tool.__doc__ }}\n"}) == "__doc__ in subject/help.txt"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("base/subject/help.txt", b"{{ tool.__name__ }}, {{ error.tb_lineno }}, my__doc__"),
        ("base/subject/model.pyi", b"__doc__: str"),
        ("base/subject-1.0.dist-info/METADATA", b"Description: It prints `__doc__`."),
        ("base/subject/__pycache__/model.cpython-311.pyc", b"__doc__"),
    ],
)
def test_files_that_name_nothing_that_differs_and_files_that_are_no_data_do_not_count(ask, file, text):
    assert ask({file: text}) == ""


def test_shared_inputs_are_not_searched(ask, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/cases.txt").write_text("__doc__")
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads/data").symlink_to(tmp_path / "shared")
    (tmp_path / "workloads/cases.txt").symlink_to(tmp_path / "shared/cases.txt")

    assert ask({}) == ""
