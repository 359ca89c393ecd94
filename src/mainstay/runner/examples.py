"""Examples of an evaluation: the items that a look asks for, and the table of their scores.

- :func:`choose_block`: the items whose clusters lie in one part of the order drawn for each task.
- :class:`ExampleTable`: scores of items, checked row by row, with digests of inputs and outputs.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .digests import RecordingError, TreeDigest
from .protocol import RecordedExamples

MAX_TEXT = 2_000
"""Largest number of characters of an input or an output that is kept for a report."""

MAX_TEXTS = 8_000_000
"""Largest number of characters of all inputs and outputs of a score that are kept together."""

DIGEST_LENGTH = 32
"""Hexadecimal digits that are kept of a digest: 128 bits."""


def choose_block(
    ids: Sequence[str], clusters: Sequence[str], tasks: Sequence[str], *, seed: int, block: tuple[float, float]
) -> list[int]:
    """Positions of the items of one block, ascending.

    The clusters of each task are put in an order drawn from the seed; a block is the part of it between two shares.
    The order depends on nothing but the seed and the labels, so both revisions choose the same items.

    Args:
        ids: Id of each item.
        clusters: Label of each item's cluster; an item with an empty label is a cluster of its own.
        tasks: Task of each item.
        seed: Seed of the order.
        block: Share of the clusters before the block, and up to its end.

    Example:
        >>> choose_block(list("abcd"), [""] * 4, [""] * 4, seed=7, block=(0.0, 0.5))
        [1, 2]
        >>> choose_block(list("abcd"), [""] * 4, [""] * 4, seed=7, block=(0.5, 1.0))
        [0, 3]
    """
    members: dict[str, dict[tuple[str, str], list[int]]] = {}
    for position, (id_, cluster, task) in enumerate(zip(ids, clusters, tasks, strict=True)):
        label = ("cluster", cluster) if cluster else ("item", id_)
        members.setdefault(task, {}).setdefault(label, []).append(position)
    chosen: list[int] = []
    for task, by_label in members.items():
        order = sorted(by_label, key=lambda label, task=task: _drawn(seed, task, *label))  # type: ignore[misc]
        first, last = (math.ceil(share * len(order)) for share in block)
        chosen += [position for label in order[first:last] for position in by_label[label]]
    return sorted(chosen)


def _drawn(seed: int, *parts: str) -> bytes:
    """Key that sorts the clusters of a task into the drawn order."""
    text = "\0".join((str(seed), *parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class ExampleTable:
    """Scores of items under one name, one row for each item and repeat.

    Example:
        >>> table = ExampleTable("accuracy")
        >>> table.add([1, 0, None], ids=["a", "b", "c"], errors=["", "", "timed out"])
        >>> table.recorded()["scores"]
        [1.0, 0.0, None]
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows: list[tuple[str, str, int]] = []
        self._known: set[tuple[str, str, int]] = set()
        self._columns: dict[str, list[Any]] = {
            name: [] for name in ("scores", "clusters", "errors", "digests", "prompts", "inputs", "outputs")
        }

    def add(
        self,
        scores: Any,
        *,
        ids: Any,
        cluster: Any = None,
        task: Any = None,
        repeat: Any = None,
        inputs: Any = None,
        outputs: Any = None,
        errors: Any = None,
    ) -> None:
        """Add rows; see :meth:`mainstay.runner.recording.Trial.record_examples`.

        Raises:
            RecordingError: If a column has another length, a score is not a number, or a row comes twice.
        """
        values = as_list(f"the scores of {self._name}", scores)
        names = as_labels("ids", ids, len(values))
        tasks = as_labels("task", task, len(values))
        repeats = _whole_numbers("repeat", repeat, len(values))
        causes = as_labels("errors", errors, len(values))
        given, told = (
            None if column is None else _column(name, column, len(values))
            for name, column in (("inputs", inputs), ("outputs", outputs))
        )
        for row in zip(tasks, names, repeats, strict=True):
            if row in self._known:
                raise RecordingError(f"item {row[1]!r}{_of(row[0])} was scored twice (repeat {row[2]}) as {self._name}")
            self._known.add(row)
        for number, value in enumerate(values):
            score, cause = _score(self._name, value)
            self._columns["scores"].append(score)
            self._columns["errors"].append("" if score is not None else causes[number] or cause)
            row = (tasks[number], names[number], repeats[number])
            self._columns["digests"].append("" if told is None else _digest([*row, score, told[number]]))
            self._columns["outputs"].append("" if told is None else _shown(told[number]))
            self._columns["prompts"].append("" if given is None else _digest(given[number]))
            self._columns["inputs"].append("" if given is None else _shown(given[number]))
        self._columns["clusters"] += as_labels("cluster", cluster, len(values))
        self._rows += zip(tasks, names, repeats, strict=True)

    def recorded(self, *, chosen_of: int = 0, offered: str = "") -> RecordedExamples:
        """The table as it is sent to the gate; a column whose entries are all empty is sent as an empty list.

        Args:
            chosen_of: Number of items that these were chosen of; 0 if none were chosen.
            offered: Digest of the labels of those items.
        """
        shared = MAX_TEXTS // (2 * max(len(self._rows), 1))
        texts = {
            name: [text if len(text) <= shared else f"{text[:shared]}..." for text in self._columns[name]]
            for name in ("inputs", "outputs")
        }
        return {
            "chosen_of": chosen_of,
            "offered": offered,
            "ids": [id_ for _, id_, _ in self._rows],
            "scores": self._columns["scores"],
            "tasks": _unless_empty([task for task, _, _ in self._rows]),
            "repeats": _unless_empty([repeat for _, _, repeat in self._rows]),
            "clusters": _unless_empty(self._columns["clusters"]),
            "errors": _unless_empty(self._columns["errors"]),
            "digests": _unless_empty(self._columns["digests"]),
            "prompts": _unless_empty(self._columns["prompts"]),
            "inputs": _unless_empty(texts["inputs"]),
            "outputs": _unless_empty(texts["outputs"]),
        }


def as_list(name: str, values: Any) -> list[Any]:
    """A sequence, an array or a tensor as a list of its entries.

    Args:
        name: What the values are, for the error.
        values: Any ordered collection except text and mappings.

    Raises:
        RecordingError: If it is something else.
    """
    if isinstance(values, (str, bytes, Mapping)):
        raise RecordingError(f"{name}: one entry for each item is needed, not {type(values).__qualname__}")
    if hasattr(values, "tolist"):
        values = values.tolist()
    elif not isinstance(values, Iterable):
        numpy = sys.modules.get("numpy")
        try:
            is_array = numpy is not None and hasattr(values, "__array_interface__")
            values = numpy.asarray(values).tolist() if is_array and numpy else memoryview(values).tolist()
        except TypeError:
            raise RecordingError(
                f"{name}: one entry for each item is needed, not {type(values).__qualname__}"
            ) from None
    if not isinstance(values, Iterable):  # an array without a dimension
        raise RecordingError(f"{name}: one entry for each item is needed, not one number")
    return list(values)


def as_labels(name: str, values: Any, length: int) -> list[str]:
    """Text or whole numbers as labels, one for each item; ``None`` gives empty labels, and one task stands for all.

    Raises:
        RecordingError: If their number is not that of the items, or an entry is neither text nor a whole number.
    """
    if values is None:
        return [""] * length
    if isinstance(values, str) and name == "task":
        return [values] * length
    entries = _sized(name, as_list(name, values), length)
    labels = []
    for value in entries if name == "ids" else ("" if entry is None else entry for entry in entries):
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise RecordingError(f"{name} are text or whole numbers, not {value!r}")
        labels.append(str(value))
    if name == "ids" and "" in labels:
        raise RecordingError("ids: an id is empty")
    return labels


def _column(name: str, values: Any, length: int) -> list[Any]:
    """Inputs or outputs, one for each row; rows of an array stay arrays."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise RecordingError(f"{name}: one entry for each item is needed, not {type(values).__qualname__}")
    return _sized(name, list(values), length)


def _sized(name: str, values: list[Any], length: int) -> list[Any]:
    if len(values) != length:
        raise RecordingError(f"{name}: {len(values)} entries for {length} scores or items")
    return values


def _whole_numbers(name: str, values: Any, length: int) -> list[int]:
    """Numbers of repeats; 0 if there are none."""
    if values is None:
        return [0] * length
    numbers = _sized(name, as_list(name, values), length)
    if wrong := [value for value in numbers if isinstance(value, bool) or not isinstance(value, int) or value < 0]:
        raise RecordingError(f"{name} are whole numbers from 0, not {wrong[0]!r}")
    return numbers


def _score(name: str, value: Any) -> tuple[float | None, str]:
    """A score, or ``None`` with the reason why it is missing."""
    if value is None:
        return None, ""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordingError(f"a score of {name} must be one number or None, not {value!r}") from error
    if math.isinf(number):  # it has no place in any range, and counting it as missing could hide a loss
        raise RecordingError(f"a score of {name} is {number}: record None if the item has no score")
    return (None, "the score is nan") if math.isnan(number) else (number, "")


def _digest(tree: Any) -> str:
    digest = TreeDigest()
    digest.update(tree)
    return digest.hexdigest()[:DIGEST_LENGTH]


def _shown(value: Any) -> str:
    """Text of an input or output for a report; empty for arrays and other data that is not read by people."""
    if isinstance(value, str):
        text = value
    elif value is None or isinstance(value, (bool, int, float)):
        text = repr(value)
    elif isinstance(value, (list, tuple, dict)) and len(value) <= MAX_TEXT:
        text = str(value)
    else:
        return ""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def _unless_empty(column: list[Any]) -> list[Any]:
    return column if any(column) else []


def _of(task: str) -> str:
    return f" of {task}" if task else ""
