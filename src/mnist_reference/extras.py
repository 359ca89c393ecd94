"""Optional parts: what is imported from an extra is imported here and now, or the extra is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mnist_reference.errors import MissingExtraError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around imports that only an extra of this distribution brings.

    Args:
        name: Of the extra, as it stands in ``pyproject.toml``.

    Raises:
        MissingExtraError: In place of a ``ModuleNotFoundError``; it names the package and the extra.

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
