"""Selections: the part of the workloads that a user asks a gate for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The user's selection, in pytest's own terms; everything if all parts are empty.

    Attributes:
        keyword: Expression of pytest's ``-k``.
        marks: Expression of pytest's ``-m``.
        places: Files, folders and node ids, relative to the project.

    Example:
        >>> str(Selection(keyword="mlp and not slow", places=("benchmarks/test_a.py",)))
        "-k 'mlp and not slow' benchmarks/test_a.py"
    """

    keyword: str = ""
    marks: str = ""
    places: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether less than everything was selected."""
        return bool(self.keyword or self.marks or self.places)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the command line."""
        options = {"-k": self.keyword, "-m": self.marks}
        return (*(word for name, value in options.items() if value for word in (name, value)), *self.places)

    def __str__(self) -> str:
        """The arguments as a shell reads them."""
        return shlex.join(self.arguments)

    def reaches(self, name: str) -> bool:
        """Whether a node id, or a file that could not be collected, lies in one of the places or contains one.

        Args:
            name: The node id or path, relative to the project.

        Example:
            >>> chosen = Selection(places=("benchmarks/test_a.py::test_a", "other"))
            >>> names = ("benchmarks/test_a.py::test_a[1]", "benchmarks/test_a.py", "other/test_c.py::test", "benchmarks/test_b.py")
            >>> [chosen.reaches(name) for name in names]
            [True, True, True, False]
        """
        return not self.places or any(_meet(place, name) for place in self.places)


def _meet(place: str, name: str) -> bool:
    """Whether one of two names of files, folders or tests contains the other."""
    files = [PurePosixPath(each.partition("::")[0]) for each in (place, name)]
    if files[0] != files[1]:
        return files[1].is_relative_to(files[0]) or files[0].is_relative_to(files[1])
    chosen, test = (each.partition("::")[2] for each in (place, name))
    return not chosen or not test or test == chosen or test.startswith((f"{chosen}[", f"{chosen}::"))


EVERYTHING = Selection()
"""The selection of all workloads, which is the default."""
