"""What counts as the same code, and what never does."""

import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from mainstay.revisions import unchanged
from mainstay.revisions.unchanged import (
    TreeComparison,
    WordComparison,
    compare_trees,
    compare_wheels,
    compare_words,
    find_native_code,
    find_records,
    names_in_wheels,
)

MODULE = '"""Old words."""\n\nWIDTH = 1\n'


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

    assert compare_trees(*trees) == TreeComparison()


def test_the_text_of_modules_may_differ_in_words_only_and_is_named(trees):
    (trees[1] / "subject/model.py").write_text(MODULE.replace("Old words", "New words"))

    assert compare_trees(*trees) == TreeComparison(files=("subject/model.py",), is_text_of_modules=True)


def compared(trees, beside, **variables):
    return compare_words(Path(sys.executable), trees, compare_trees(*trees).files, beside=beside, variables=variables)


def test_words_are_compared_by_the_compiler_of_the_revisions(trees, tmp_path):
    (trees[1] / "subject/model.py").write_text(MODULE.replace("Old words", "New words"))
    found = compared(trees, tmp_path)
    (trees[1] / "subject/model.py").write_text(MODULE.replace("1", "2"))
    changed = compared(trees, tmp_path)

    can_follow = sys.version_info >= (3, 12)
    assert found == WordComparison(is_same_code=True, differing=frozenset({"docstrings"}), can_follow_calls=can_follow)
    assert changed == WordComparison(
        is_same_code=False, changed=("subject/model.py::<module>",), can_follow_calls=can_follow
    )


def test_code_that_only_an_optimising_compiler_leaves_out_counts_where_that_is_not_used(trees, tmp_path):
    (trees[1] / "subject/model.py").write_text(f"{MODULE}assert WIDTH\n")

    assert not compared(trees, tmp_path).is_same_code
    assert compared(trees, tmp_path, PYTHONOPTIMIZE="1").is_same_code


@pytest.mark.parametrize("place", ["tree", "workloads"])
def test_what_could_read_the_words_is_named_with_its_place(trees, tmp_path, place):
    (trees[1] / "subject/model.py").write_text(MODULE.replace("Old words", "New words"))
    beside = tmp_path / "measure"
    beside.mkdir()
    for file in [beside / "test_a.py"] if place == "workloads" else [tree / "subject/help.py" for tree in trees]:
        file.write_text("def f(g):\n    return g.__doc__\n")

    found = compared(trees, beside)

    where = "test_a.py" if place == "workloads" else "subject/help.py"
    assert (found.is_same_code, found.readers) == (True, f"__doc__ in {where}")


def test_words_that_cannot_be_compared_count_as_other_code(trees, tmp_path):
    (trees[1] / "subject/model.py").write_text("print 1")

    assert not compared(trees, tmp_path).is_same_code
    assert not compare_words(Path("/absent"), trees, ["subject/model.py"], beside=tmp_path, variables={}).is_same_code


def test_modules_of_any_number_are_compared(trees, tmp_path):
    names = [f"subject/{'long_name_' * 6}{number}.py" for number in range(2_500)]  # more than fit in an argument
    for tree, text in zip(trees, ("# old\n", "# new\n"), strict=True):
        for name in names:
            (tree / name).write_text(text)

    found = compared(trees, tmp_path)

    assert (found.is_same_code, found.problem) == (True, "")


def test_a_comparison_that_fails_says_why(trees, tmp_path, monkeypatch):
    (trees[1] / "subject/model.py").write_text(MODULE.replace("Old words", "New words"))
    crashed = compare_words(Path("/absent"), trees, ["subject/model.py"], beside=tmp_path, variables={})
    monkeypatch.setattr(unchanged, "COMPARE_SECONDS", 0.0)
    late = compared(trees, tmp_path)
    monkeypatch.undo()
    homeless = compared(trees, tmp_path / "absent")
    (trees[1] / "subject/model.py").write_text("print 1")
    unreadable = compared(trees, tmp_path)

    assert [each.problem for each in (crashed, late, homeless, unreadable)] == [
        "comparing their code failed with status 127",
        "comparing their code took longer than 0 s",
        "their code could not be compared: No such file or directory",
        "subject/model.py does not compile",
    ]
    assert not any(each.is_same_code for each in (crashed, late, homeless, unreadable))


def test_files_about_the_installation_are_found_but_for_those_of_bundled_packages(trees):
    bundled = trees[0] / "subject/_vendor/tool-1.0.dist-info/RECORD"
    bundled.parent.mkdir(parents=True)
    bundled.write_text("")

    assert find_records(trees[0]) == ("subject-1.0.dist-info/RECORD",)


def test_compiled_code_of_a_tree_is_found(trees):
    assert find_native_code(trees[0]) == "subject/_fast.so"


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


def edit_record_of_a_bundled_package(tree):
    (tree / "subject/_vendor/tool-1.0.dist-info").mkdir(parents=True)
    (tree / "subject/_vendor/tool-1.0.dist-info/RECORD").write_text("tool.py,sha256=1,2\n")


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
        edit_record_of_a_bundled_package,
        turn_into_link,
    ],
    ids=lambda edit: edit.__name__,
)
def test_whatever_else_differs_is_a_difference_and_named(trees, edit):
    edit(trees[1])

    comparison = compare_trees(*trees)

    assert comparison.files
    assert not comparison.is_text_of_modules


def test_a_compiled_module_without_source_counts(trees):
    (trees[1] / "subject/_sourceless.pyc").write_bytes(b"compiled")

    assert compare_trees(*trees) == TreeComparison(files=("subject/_sourceless.pyc",))


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
    assert names_in_wheels([baseline]) == set(FILES)


@pytest.mark.parametrize(
    ("files", "more", "differing"),
    [
        pytest.param({"subject/__init__.py": "A = 2\n"}, {}, ("subject/__init__.py",), id="content"),
        pytest.param(
            {"subject-1.0.data/scripts/run": "#!python\n"}, {}, ("subject-1.0.data/scripts/run",), id="script"
        ),
        pytest.param({"subject-1.0.dist-info/WHEEL": "1"}, {}, ("subject-1.0.dist-info/WHEEL",), id="metadata"),
        pytest.param(
            {"subject/_vendor/a-1.dist-info/RECORD": "1"},
            {},
            ("subject/_vendor/a-1.dist-info/RECORD",),
            id="record-of-a-bundled-package",
        ),
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
