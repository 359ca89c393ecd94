r"""Sanitised text from other sources for reports and errors: without control characters or commands to GitHub Actions.

- :func:`clean`: one line of bounded length, for every report.
- :func:`clean_lines`: a text with its lines, for errors and whatever else is only shown.

Names, subjects and exception texts come from the repository that is judged. Terminal escapes, control characters,
bidirectional overrides, invisible format characters and lone surrogates become visible escapes such as ``\x1b``. So does
a character of each workflow command, since GitHub Actions obeys ``::error::`` at the start of a line, where a report may
be wrapped, and ``##[error]`` anywhere in one.
Escaping for a language (HTML, Markdown, XML) is left to the report that writes it.
"""

from __future__ import annotations

import re

MAX_LENGTH = 300
"""Largest number of characters of a text that a report shows by default."""

NAME_LENGTH = 160
"""Largest number of characters of a name, such as the id of a metric."""

LINE_LENGTH = 500
"""Largest number of characters of a sentence or a line of output."""

_PLAIN = re.compile(r"[ -~]*")
_COMMAND = re.compile(r"(?<=##)\[|(?<!\S):(?=:)")
"""One character of each workflow command of GitHub Actions."""

_ACTING = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f\xad"  # control characters, soft hyphen
    "\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # invisible, line-breaking and direction-changing
    "\ud800-\udfff\ufdd0-\ufdef\ufff9-\uffff"  # lone surrogates, noncharacters, annotations
    "\U000e0000-\U000e0fff"  # tags
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)
"""Characters with an effect instead of a glyph; listed because Unicode categories differ between versions of Python."""

_COMBINING = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_TOWER = re.compile(f"({_COMBINING}{{4}}){_COMBINING}+")
"""So many combining marks in a row that they overlap other lines."""


def clean(text: str, *, at_most: int = MAX_LENGTH) -> str:
    r"""Sanitise a text from another source to one line.

    Args:
        text: Any text.
        at_most: Number of characters kept; a longer text loses its middle and states its length there.

    Returns:
        Text without line breaks, control, invisible or surrogate characters, and without long sequences of
        combining marks.

    Example:
        >>> clean("fix \x1b[31mred\x1b[0m\nand \u202eevil")
        'fix \\x1b[31mred\\x1b[0m and \\u202eevil'
        >>> clean("x" * 100_000, at_most=40)
        'xxxxxxx ... (100,000 characters) xxxxxxx'
    """
    shortened = _shorten(text, at_most=at_most) if len(text) > at_most else text
    if _PLAIN.fullmatch(shortened):
        return _COMMAND.sub(_escape, shortened)
    return _harmless(" ".join(shortened.split()))


def clean_lines(text: str) -> str:
    r"""Sanitise a text from another source, with its line breaks and tabs.

    Args:
        text: Any text.

    Example:
        >>> print(clean_lines("the build failed:\n::error::\x1b[2JPASS"))
        the build failed:
        \x3a:error::\x1b[2JPASS
    """
    return "\n".join("\t".join(map(_harmless, line.split("\t"))) for line in re.split(r"\r?\n", text))


def _harmless(line: str) -> str:
    """A line whose acting characters are visible escapes."""
    return _TOWER.sub(r"\1", _COMMAND.sub(_escape, _ACTING.sub(_escape, line)))


def _shorten(text: str, *, at_most: int) -> str:
    """Both ends of a text, with its length in between."""
    notice = f" ... ({len(text):,} characters) "
    ends = max(0, at_most - len(notice)) // 2
    return text[:ends] + notice + text[len(text) - ends :]


def _escape(match: re.Match[str]) -> str:
    """The escape that Python would write."""
    return f"\\x{ord(match[0]):02x}" if match[0] <= "\xff" else match[0].encode("ascii", "backslashreplace").decode()
