"""Docstrings as the site shows them: roles become links, and a link that leads nowhere is a warning.

The docstrings name other objects by Sphinx's roles, such as ``:func:`~mainstay.stats.paired.paired_interval```, which
editors know too. This extension of griffe looks each name up where it is used and turns it into a link; as the site is
built strictly, a name that griffe cannot resolve ends the build.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|data|func|meth|mod|attr|exc):`(~?)([\w.]+)`")
LITERAL_BLOCK = re.compile(r"^(.*)::\n(?=\n +)", re.MULTILINE)
EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)

PACKAGES = ("mainstay", "mnist_reference")

logger = griffe.get_logger("griffe.roles")


class SphinxRoles(griffe.Extension):
    """Rewrites every docstring once its package is loaded."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Visit all objects of a package."""
        _visit(pkg)


def _visit(parent: griffe.Object) -> None:
    if parent.docstring:
        parent.docstring.value = to_markdown(parent.docstring.value, resolver(parent))
    for member in parent.members.values():
        if isinstance(member, griffe.Object):
            _visit(member)


def to_markdown(docstring: str, resolve: Callable[[str], str | None]) -> str:
    r"""Return a docstring in Markdown.

    Args:
        docstring: In Google style, with roles and literal blocks of Sphinx.
        resolve: Gives the full path of a name.

    Example:
        >>> print(to_markdown("See :func:`~stats.mean`::\n\n    mean([1])", {"stats.mean": "a.stats.mean"}.get))
        See [`mean`][a.stats.mean]:
        <BLANKLINE>
            mean([1])
    """

    def linked(match: re.Match[str]) -> str:
        name = match[2]
        shown = f"`{name.rpartition('.')[2] if match[1] else name}`"
        target = resolve(name)
        return f"[{shown}][{target}]" if target else shown

    text = ROLE.sub(linked, docstring)
    text = LITERAL_BLOCK.sub(lambda match: f"{match[1].rstrip()}:\n" if match[1].strip() else "", text)
    return EXAMPLE.sub(r"\1Examples:", text)


def resolver(place: griffe.Object) -> Callable[[str], str | None]:
    """Return a function that looks a name up from where an object stands."""

    def resolve(name: str) -> str | None:
        first, dot, rest = name.partition(".")
        if first in PACKAGES and dot:
            return name  # whether there is such an object is seen when the page is made
        try:
            return f"{place.resolve(first)}{dot}{rest}"
        except griffe.NameResolutionError:
            if first not in sys.stdlib_module_names:
                logger.warning("%s: %s is not known", place.path, name)
            return None

    return resolve
