"""Errors of the reference model, each with the exit status it leads to.

::

    ModelError                 1   fact, where it was looked for, what to do next
    ├── UnknownNameError       2   a recipe, an optimiser or a data set that does not exist
    ├── RecipeError            2   a setting of a recipe has no possible value
    ├── DataError              1   a data set is missing, altered, unfit for a model, or cannot be fetched
    ├── CheckpointError        1   a file is not a checkpoint, or could not be written
    ├── PictureError           1   a file is not a picture, or contains no digit
    ├── DeviceError            1   the requested device does not exist
    ├── OutputError            1   a requested file could not be written, or does not compute what the model does
    ├── MissingExtraError      1   the libraries of an optional part are not installed
    ├── MemoryExhaustedError   1   a batch does not fit in the memory of its device
    └── DivergenceError        1   the loss, a weight or an answer stopped being a finite number

Library code raises these and never prints or exits; the command line is the one handler.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelError(Exception):
    """A failure that is explained to the user.

    Args:
        fact: What was found, with the value; lower case, no final stop.
        looked_in: Where the program looked, if a place can be named.
        next_step: What the user can do now.

    Example:
        >>> print(DataError("no MNIST", looked_in="a folder", next_step="python -m mnist_reference fetch"))
        no MNIST
          looked in: a folder
          next: python -m mnist_reference fetch
    """

    exit_status = 1

    def __init__(self, fact: str, *, looked_in: str | None = None, next_step: str | None = None) -> None:
        super().__init__(fact)
        self.fact = fact
        self.looked_in = looked_in
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [self.fact]
        if self.looked_in:
            lines.append(f"  looked in: {self.looked_in}")
        if self.next_step:
            lines.append(f"  next: {self.next_step}")
        return "\n".join(lines)


class UnknownNameError(ModelError):
    """A name given by the user does not exist."""

    exit_status = 2


class RecipeError(ModelError):
    """A setting of a recipe has no possible value."""

    exit_status = 2


class DataError(ModelError):
    """A data set is missing, altered, unfit for a model, or cannot be fetched."""


class CheckpointError(ModelError):
    """A file is not a checkpoint of this model, or could not be written."""


class PictureError(ModelError):
    """A picture cannot be read or holds no digit."""


class DeviceError(ModelError):
    """The requested device does not exist."""


class OutputError(ModelError):
    """A requested file cannot be written, or does not compute what the model does."""


class MissingExtraError(ModelError):
    """An optional part needs libraries that are not installed."""


class MemoryExhaustedError(ModelError):
    """A batch does not fit in the memory of its device."""


class DivergenceError(ModelError):
    """The training loss, a weight or an answer stopped being a finite number."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known word closest to a mistyped one, or else all known words.

    Example:
        >>> nearest("artcle", ["article", "digits"])
        'did you mean article?'
    """
    words = sorted(known)
    close = difflib.get_close_matches(name, words, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(words)}"
