"""Places in the source: the line of a project that called into a library, as counts name it.

- :class:`Place`: a line of a file.
- :class:`PlaceFinder`: finds the innermost line that is neither of a library that counts nor of the standard library.
"""

from __future__ import annotations

import functools
import linecache
import os
import sys
import threading
from types import FrameType
from typing import NamedTuple

MAX_CODE = 100
"""Largest number of characters of a line's text."""

SITE_PACKAGES = ("site-packages", "dist-packages")
"""Folders of third-party packages, which may lie inside that of the standard library."""


class Place(NamedTuple):
    """A line of a file.

    Attributes:
        file: File relative to the folder that it was imported from; empty if the place is unknown.
        function: Qualified name of the function.
        line: Number of the line, from 1; 0 if unknown.
        code: Text of the line.
    """

    file: str = ""
    function: str = ""
    line: int = 0
    code: str = ""


NOWHERE = Place()
"""The place of what no line of the project called."""


class PlaceFinder:
    """Finds the line that called into a library; made in the thread whose lines are meant.

    Args:
        passed_over: Folders whose files are passed over, in addition to this package and the standard library.
    """

    def __init__(self, *passed_over: str) -> None:
        standard_library = os.path.dirname(os.__file__)
        self._passed_over = tuple(os.path.join(f, "") for f in (*passed_over, os.path.dirname(__file__)))
        self._standard_library = os.path.join(standard_library, "")
        self._packages = tuple(os.path.join(standard_library, name, "") for name in SITE_PACKAGES)
        self._thread = threading.get_ident()
        self._is_passed_over = functools.cache(self._belongs_to_a_library)

    def here(self) -> Place:
        """The innermost line, of this thread or else of the one that waits for it."""
        own = self._first(sys._getframe(1))
        if own is None and threading.get_ident() != self._thread:
            own = self._first(
                sys._current_frames().get(self._thread)
            )  # autograd has threads of its own on accelerators
        if own is None:
            return NOWHERE
        return place_of(own.f_code.co_filename, own.f_code.co_qualname, own.f_lineno)

    def _first(self, frame: FrameType | None) -> FrameType | None:
        while frame is not None and self._is_passed_over(frame.f_code.co_filename):
            frame = frame.f_back
        return frame

    def _belongs_to_a_library(self, file: str) -> bool:
        if file.startswith(("<", *self._passed_over)):
            return True
        return file.startswith(self._standard_library) and not file.startswith(self._packages)


@functools.cache
def place_of(file: str, function: str, line: int) -> Place:
    """A line of a file, which is named as it was imported, without the folders of this machine."""
    return Place(_relative_path(file), function, line, linecache.getline(file, line).strip()[:MAX_CODE])


def _relative_path(file: str) -> str:
    """The file relative to the innermost folder that modules are imported from; its name if it is in none."""
    for folder in sorted(filter(None, sys.path), key=len, reverse=True):
        if file.startswith(os.path.join(folder, "")):
            return os.path.relpath(file, folder).replace(os.sep, "/")
    return os.path.basename(file)
