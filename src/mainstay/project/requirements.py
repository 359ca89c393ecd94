"""Names of packages as PEP 503 compares them.

Pure functions of text.

- :func:`normal_name`: the normalised name of a package or an extra.
- :func:`requirement_name`: that of the package that a requirement asks for.
"""

from __future__ import annotations

import re


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
