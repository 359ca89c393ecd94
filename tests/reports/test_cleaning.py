import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.reports.cleaning import MAX_LENGTH, clean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain text, 5 %", "plain text, 5 %", id="plain"),
        pytest.param("naïve café 数字 😀", "naïve café 数字 😀", id="other-scripts"),
        pytest.param("a\r\n\tb", "a b", id="line-break"),
        pytest.param("\x1b[31m", "\\x1b[31m", id="terminal-escape"),
        pytest.param("\u202eevil", "\\u202eevil", id="direction-override"),
        pytest.param("a\x00b\x7f\x9b", "a\\x00b\\x7f\\x9b", id="control"),
        pytest.param("\ud800", "\\ud800", id="lone-surrogate"),
        pytest.param("\U000e0041", "\\U000e0041", id="tag"),
        pytest.param("see ::add-mask::x", "see \\x3a:add-mask::x", id="command-where-a-line-may-be-wrapped"),
        pytest.param("fix ##[stop-commands]x", "fix ##\\x5bstop-commands]x", id="old-command"),
        pytest.param("\u00fc ##[group]x", "\u00fc ##\\x5bgroup]x", id="old-command-after-other-scripts"),
        pytest.param("test_a.py::test_b", "test_a.py::test_b", id="node-id"),
        pytest.param("Z" + "\u0351" * 90, "Z" + "\u0351" * 4, id="tower"),
    ],
)
def test_acting_characters_become_visible(text, expected):
    assert clean(text) == expected


@given(st.text(st.characters(), max_size=1000))
def test_clean_text_is_one_bounded_line_and_stays_clean(text):
    line = clean(text)

    assert len(line.splitlines()) <= 1
    assert len(line) <= 10 * MAX_LENGTH
    assert line == line.encode("utf-8").decode()
    assert clean(line, at_most=len(line)) == line


def test_long_text_keeps_both_ends_and_says_how_long_it_was():
    line = clean("begin" + "x" * 99_990 + "enden")

    assert line.startswith("begin")
    assert line.endswith("enden")
    assert "(100,000 characters)" in line
    assert len(line) <= MAX_LENGTH
