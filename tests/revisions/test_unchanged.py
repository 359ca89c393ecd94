"""What counts as the same code, and what never does."""

import os
import shutil
import zipfile

import pytest

from mainstay.revisions.unchanged import Sameness, TreeComparison, compare_trees, compare_wheels, is_reworded

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
    "parentheses": ("result = value * by", "result = (\n        value\n        * by\n    )"),
    "quotes": ('"""A model."""', "'A model.'"),
    "superfluous pass": ("        result = 10\n", "        result = 10\n        pass\n"),
    "local renamed": ("result", "scaled_value"),
    "loop variable renamed": ("part for part in x", "item for item in x"),
}

CHANGED = {
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


@pytest.mark.parametrize("name", HARMLESS)
def test_words_do_not_count(name):
    old, new = HARMLESS[name]
    assert old in MODULE

    assert is_reworded(MODULE.encode(), MODULE.replace(old, new).encode())


@pytest.mark.parametrize("name", CHANGED)
def test_code_counts(name):
    old, new = CHANGED[name]
    assert old in MODULE

    assert not is_reworded(MODULE.encode(), MODULE.replace(old, new).encode())


def test_names_of_locals_count_where_something_could_see_them():
    renamed = MODULE.replace("result", "scaled_value").encode()

    assert not is_reworded(MODULE.encode(), renamed, compare_names_of_locals=True)


@pytest.fixture
def trees(tmp_path):
    """Two installed trees, equal so far."""
    place = tmp_path / "base"
    for name, text in {
        "subject/__init__.py": "",
        "subject/model.py": MODULE,
        "subject/weights.bin": "\x00\x01",
        "subject/_fast.so": "ELF",
        "top_level.py": "A = 1\n",
        "subject-1.0.dist-info/METADATA": "Name: subject\n",
        "subject-1.0.dist-info/RECORD": "subject/model.py,sha256=1,2\n",
        "subject-1.0.dist-info/entry_points.txt": "[console_scripts]\n",
        "subject/__pycache__/model.pyc": "compiled at one time",
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    shutil.copytree(place, tmp_path / "cand")
    return place, tmp_path / "cand"


def test_equal_trees_are_identical_whatever_installers_and_compilers_noted(trees):
    (trees[1] / "subject-1.0.dist-info/RECORD").write_text("other")
    (trees[1] / "subject/__pycache__/model.pyc").write_text("compiled at another time")
    os.utime(trees[1] / "subject/model.py", (1, 1))

    assert compare_trees(*trees).sameness is Sameness.IDENTICAL


def test_words_of_a_module_make_a_tree_reworded_and_are_named(trees):
    file = trees[1] / "subject/model.py"
    file.write_text(MODULE.replace("Old words", "New words"))

    comparison = compare_trees(*trees)

    assert (comparison.sameness, comparison.files) == (Sameness.REWORDED, ("subject/model.py",))


def test_a_renamed_local_is_a_change_where_a_module_asks_for_its_locals(trees):
    (trees[0] / "top_level.py").write_text("def f():\n    return locals()\n")
    (trees[1] / "top_level.py").write_text("def f():\n    return locals()\n")
    (trees[1] / "subject/model.py").write_text(MODULE.replace("result", "scaled_value"))

    assert compare_trees(*trees).sameness is Sameness.DIFFERENT


def edit_resource(tree):
    (tree / "subject/weights.bin").write_bytes(b"\x00\x02")


def edit_native_code(tree):
    (tree / "subject/_fast.so").write_bytes(b"ELF2")


def edit_metadata(tree):
    (tree / "subject-1.0.dist-info/METADATA").write_text("Name: subject\nVersion: 2\n")


def edit_entry_points(tree):
    (tree / "subject-1.0.dist-info/entry_points.txt").write_text("[console_scripts]\na = b:c\n")


def add_module(tree):
    (tree / "subject/_native.py").write_text("")


def add_path_file(tree):
    (tree / "more.pth").write_text("import os\n")


def drop_module(tree):
    (tree / "top_level.py").unlink()


def turn_module_into_package(tree):
    (tree / "top_level.py").unlink()
    (tree / "top_level").mkdir()
    (tree / "top_level/__init__.py").write_text("A = 1\n")


def make_executable(tree):
    (tree / "subject/model.py").chmod(0o755)


def turn_into_link(tree):
    (tree / "subject/weights.bin").unlink()
    (tree / "subject/weights.bin").symlink_to("_fast.so")


@pytest.mark.parametrize(
    "edit",
    [
        edit_resource,
        edit_native_code,
        edit_metadata,
        edit_entry_points,
        add_module,
        add_path_file,
        drop_module,
        turn_module_into_package,
        make_executable,
        turn_into_link,
    ],
    ids=lambda edit: edit.__name__,
)
def test_whatever_else_differs_is_a_difference_and_named(trees, edit):
    edit(trees[1])

    comparison = compare_trees(*trees)

    assert comparison.sameness is Sameness.DIFFERENT
    assert comparison.files


def test_a_compiled_module_without_source_counts(trees):
    (trees[1] / "subject/_sourceless.pyc").write_bytes(b"compiled")

    assert compare_trees(*trees) == TreeComparison(sameness=Sameness.DIFFERENT, files=("subject/_sourceless.pyc",))


def wheel(place, files, *, stamp=(1980, 1, 1, 0, 0, 0), mode=0o644):
    """A wheel with some files, in their order."""
    place.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(place, "w") as archive:
        for name, text in files.items():
            member = zipfile.ZipInfo(name, stamp)
            member.external_attr = mode << 16
            archive.writestr(member, text)
    return place


FILES = {"subject/__init__.py": "A = 1\n", "subject-1.0.dist-info/METADATA": "Name: subject\n"}
NAME = "subject-1.0-py3-none-any.whl"


def test_order_time_stamps_and_the_list_of_files_of_a_wheel_do_not_count(tmp_path):
    baseline = wheel(tmp_path / "base" / NAME, {**FILES, "subject-1.0.dist-info/RECORD": "one"})
    files = {"subject-1.0.dist-info/RECORD": "two", **dict(reversed(FILES.items()))}
    candidate = wheel(tmp_path / "cand" / NAME, files, stamp=(2026, 1, 1, 0, 0, 0))

    assert compare_wheels([baseline], [candidate]) == ()


@pytest.mark.parametrize(
    ("files", "more", "differing"),
    [
        pytest.param({"subject/__init__.py": "A = 2\n"}, {}, ("subject/__init__.py",), id="content"),
        pytest.param(
            {"subject-1.0.data/scripts/run": "#!python\n"}, {}, ("subject-1.0.data/scripts/run",), id="script"
        ),
        pytest.param({"subject-1.0.dist-info/WHEEL": "1"}, {}, ("subject-1.0.dist-info/WHEEL",), id="metadata"),
        pytest.param(
            {"subject/__pycache__/x.pyc": "1"}, {}, ("subject/__pycache__/x.pyc",), id="compiled-in-the-wheel"
        ),
        pytest.param({}, {"mode": 0o755}, tuple(sorted(FILES)), id="mode"),
    ],
)
def test_whatever_a_wheel_holds_counts_and_is_named(tmp_path, files, more, differing):
    baseline = wheel(tmp_path / "base" / NAME, FILES)
    candidate = wheel(tmp_path / "cand" / NAME, {**FILES, **files}, **more)

    assert compare_wheels([baseline], [candidate]) == differing


def test_a_wheel_that_only_one_revision_has_counts(tmp_path):
    own = [wheel(tmp_path / side / NAME, FILES) for side in ("base", "cand")]
    library = wheel(tmp_path / "cand" / "library-1.0-py3-none-any.whl", {"library.py": ""})

    assert compare_wheels(own[:1], [own[1], library]) == ("library.py",)
