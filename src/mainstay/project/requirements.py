"""Names of packages as PEP 503 compares them.

Pure functions of text.

- :func:`normal_name`: the normalised name of a package or an extra.
- :func:`requirement_name`, :func:`names_of`: those of the packages that requirements ask for.
- :func:`any_version`: a requirement without its version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def normal_name(name: str) -> str:
    """Normalised name of a package or an extra.

    Example:
        >>> normal_name("Typing_Extensions")
        'typing-extensions'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    """Normalised name of the package that a requirement asks for; empty where it names none.

    Example:
        >>> requirement_name("Pytest_Benchmark[x]>=5 ; python_version > '3'")
        'pytest-benchmark'
    """
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return normal_name(match[1]) if match else ""


def names_of(requirements: Iterable[str]) -> set[str]:
    """Normalised names of the packages that some requirements ask for.

    Example:
        >>> sorted(names_of(["Tool==1.0", "tool>=1", "own @ libs/own"]))
        ['own', 'tool']
    """
    return {requirement_name(each) for each in requirements}


def any_version(requirement: str) -> str:
    """The same requirement, with its extras and its marker, of any version; unchanged where it names no package.

    Example:
        >>> any_version("pytest-benchmark[x] >=5 ; python_version > '3'")
        "pytest-benchmark[x]; python_version > '3'"
        >>> any_version("own @ https://host/own.whl")
        'own'
    """
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?[^;]*(;.*)?", requirement)
    return "".join(part or "" for part in match.groups()) if match else requirement
