"""What a user asks a gate for is matched as pytest matches it, and said as it was typed."""

import pytest

from mainstay.records.selections import Selection


@pytest.mark.parametrize(
    ("place", "name", "is_reached"),
    [
        ("benchmarks", "benchmarks/test_a.py::test_a", True),
        ("benchmarks/test_a.py", "benchmarks/test_a.py::test_a", True),
        ("benchmarks/test_a.py", "benchmarks/test_a.py", True),
        ("benchmarks/test_a.py", "benchmarks/test_ab.py::test_a", False),
        ("benchmarks/sub", "benchmarks/test_a.py::test_a", False),
        ("benchmarks/test_a.py::test_a", "benchmarks/test_a.py::test_a", True),
        ("benchmarks/test_a.py::test_a", "benchmarks/test_a.py::test_a[1]", True),
        ("benchmarks/test_a.py::test_a", "benchmarks/test_a.py::test_ab", False),
        ("benchmarks/test_a.py::test_a[1]", "benchmarks/test_a.py::test_a[10]", False),
        ("benchmarks/test_a.py::TestA", "benchmarks/test_a.py::TestA::test_a", True),
        ("benchmarks/test_a.py::test_a", "benchmarks/test_a.py", True),
        ("benchmarks/test_a.py::test_a", "benchmarks", True),
        ("benchmarks/test_a.py::test_a", "benchmarks/test_b.py", False),
        (".", "benchmarks/test_a.py::test_a", True),
    ],
)
def test_a_place_reaches_what_lies_in_it_and_the_files_that_hold_it(place, name, is_reached):
    assert Selection(places=("elsewhere", place)).reaches(name) is is_reached


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(), ""),
        (Selection(keyword="mlp"), "-k mlp"),
        (
            Selection(keyword="a or b", marks="not slow", places=("b.py", "c d.py")),
            "-k 'a or b' -m 'not slow' b.py 'c d.py'",
        ),
    ],
    ids=str,
)
def test_a_selection_is_said_as_it_was_typed(selection, said):
    assert str(selection) == said
    assert bool(selection) is bool(said)
