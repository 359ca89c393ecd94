"""Imports from extras: a missing package becomes an error that names the extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mnist_reference.errors import MissingExtraError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Context for imports of packages that belong to an extra of this distribution.

    Args:
        name: Name of the extra in ``pyproject.toml``.

    Raises:
        MissingExtraError: Instead of a ``ModuleNotFoundError``; it names the package and the extra.

    Example:
        >>> with extra("explain"):
        ...     import no_such_module
        Traceback (most recent call last):
        mnist_reference.errors.MissingExtraError: no_such_module is not installed
          next: pip install 'mainstay[explain]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "a library").partition(".")[0]
        raise MissingExtraError(f"{package} is not installed", next_step=f"pip install 'mainstay[{name}]'") from error
