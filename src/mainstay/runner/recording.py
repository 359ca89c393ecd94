"""Recording of a workload of accuracy or evaluation.

- :class:`Trial`: the recorder of such a workload.
- :func:`one_number`, :func:`json_number`: check that a recorded value is a single number, and convert it for JSON.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsFloat

from .digests import RecordingError, TreeDigest
from .examples import DIGEST_LENGTH, ExampleTable, as_labels, as_list, choose_block
from .protocol import WHOLE, JsonNumber, Recorded, RecordedPredictions

MAX_CLASSES = 256
"""Largest number of classes, since each prediction is sent as one byte."""

ImageSource = Callable[[list[int]], Sequence[bytes]]
"""Function that gives the PNG files of the requested examples."""


class RecordedValues:
    """Values of a workload by name.

    Attributes:
        values: The values recorded so far.
    """

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def record(self, **values: SupportsFloat) -> None:
        """Record metrics by name; a name is recorded once.

        Raises:
            RecordingError: If a name is recorded twice or a value is not a single number.
        """
        for name, value in values.items():
            if name in self.values:
                raise RecordingError(f"{name} was recorded twice")
            self.values[name] = one_number(name, value)


class Trial(RecordedValues):
    """One execution of a workload of accuracy or evaluation, which gives the seed and records the results.

    Args:
        seed: The seed that the workload must use for everything random.
        block: Shares of the items between which those of this trial lie, in the order drawn from the seed.

    Example:
        >>> trial = Trial(seed=7)
        >>> trial.record(top1_accuracy=0.977)
        >>> trial.values
        {'top1_accuracy': 0.977}
    """

    def __init__(self, seed: int, block: tuple[float, float] = WHOLE) -> None:
        super().__init__()
        self.seed = seed
        self._block = block
        self._tables: dict[str, ExampleTable] = {}
        self._chosen: dict[str, list[str]] = {}
        self._num_offered, self._offered = 0, TreeDigest()
        self.series: dict[str, list[float]] = {}
        self.context: dict[str, str | int | float | bool] = {}
        self.predictions: RecordedPredictions | None = None
        self._images: ImageSource | None = None
        self._tree: TreeDigest | None = None

    def record_series(self, name: str, values: Iterable[float]) -> None:
        """Record a learning curve, with one value for each epoch."""
        if name in self.series:
            raise RecordingError(f"series {name} was recorded twice")
        self.series[name] = [one_number(name, value) for value in values]

    def record_context(self, **context: str | float | bool) -> None:
        """Record context that must be equal in both revisions, such as the data set and its checksum.

        Raises:
            RecordingError: If a value is no text or finite number, or differs from one recorded under the same name.
        """
        for name, value in context.items():
            if not isinstance(value, (str, int, float, bool)):
                raise RecordingError(f"context {name} must be text or a number, not {type(value).__qualname__}")
            if isinstance(value, float) and not math.isfinite(value):
                raise RecordingError(f"context {name} is {value}, which is not equal to itself")
            if self.context.setdefault(name, value) != value:
                raise RecordingError(f"context {name} was recorded twice, with different values: use a name for each")

    def record_predictions(
        self, predicted: Iterable[int], labels: Iterable[int], images: ImageSource | None = None
    ) -> None:
        """Record the predicted and the true class of every test example, in the order of the test set.

        Args:
            predicted: Predicted classes, shape (N,), integers in [0, 255].
            labels: True classes, shape (N,).
            images: Function that gives PNG files for a list of indices; called for at most 100 examples that flipped.

        Raises:
            RecordingError: If lengths differ, a class does not fit one byte, or predictions were recorded before.
        """
        if self.predictions is not None:
            raise RecordingError("predictions were recorded twice")
        predicted_bytes, label_bytes = _classes("predicted", predicted), _classes("labels", labels)
        if len(predicted_bytes) != len(label_bytes):
            raise RecordingError(f"{len(predicted_bytes)} predictions for {len(label_bytes)} labels")
        self.predictions = {
            "predicted": base64.b64encode(predicted_bytes).decode(),
            "labels": base64.b64encode(label_bytes).decode(),
            "labels_digest": hashlib.sha256(label_bytes).hexdigest(),
        }
        self._images = images

    def choose(self, ids: Any, *, cluster: Any = None, task: Any = None) -> list[int]:
        """Choose the items that are to be scored now, so that a gate can look before all are scored.

        Args:
            ids: Id of each item, text or whole numbers, unique within its task.
            cluster: Label of each item's cluster, such as its passage; clusters are scored as a whole.
            task: Task of each item, or one for all.

        Returns:
            Ascending positions of the chosen items; all of them under plain pytest.

        Raises:
            RecordingError: If labels are missing, or an id comes twice in its task.

        Example:
            >>> Trial(seed=7).choose(["a", "b"])
            [0, 1]
        """
        count = len(as_list("ids", ids))
        names = as_labels("ids", ids, count)
        clusters, tasks = as_labels("cluster", cluster, count), as_labels("task", task, count)
        seen: set[tuple[str, str]] = set()
        for each in zip(tasks, names, strict=True):
            if each in seen:
                raise RecordingError(f"the id {each[1]!r} comes twice")
            seen.add(each)
        chosen = choose_block(names, clusters, tasks, seed=self.seed, block=self._block)
        self._num_offered += count
        self._offered.update([names, clusters, tasks])
        self._chosen = {
            name: [column[position] for position in chosen]
            for name, column in (("ids", names), ("cluster", clusters), ("task", tasks))
        }
        return chosen

    def record_examples(
        self,
        metric: str,
        scores: Any,
        *,
        ids: Any = None,
        cluster: Any = None,
        task: Any = None,
        repeat: Any = None,
        inputs: Any = None,
        outputs: Any = None,
        errors: Any = None,
    ) -> None:
        """Record the scores of items, one row for each item and repeat; several calls add up.

        Every argument but the first takes a sequence, an array or a tensor with one entry for each row.

        Args:
            metric: Name of the score, as in its marker ``evaluation``.
            scores: Numbers; ``None`` or NaN where the item has no score, which counts as the worst one.
            ids: Id of each item, text or whole numbers; those of the latest :meth:`choose` if ``None``.
            cluster: Label of each item's cluster; those given to :meth:`choose` if ``ids`` is ``None``.
            task: Task of each item, or one for all; those given to :meth:`choose` if ``ids`` is ``None``.
            repeat: Number of each repeat, from 0, if an item is scored more than once; repeats are averaged.
            inputs: What each item asks, the same for both revisions; shown for items that flipped.
            outputs: What the model gave, before it was scored: anything that :meth:`record_digest` takes. Equal outputs
                pass without statistics; text and numbers are shown for items that flipped.
            errors: Why a score is missing.

        Raises:
            RecordingError: If a column has another length, an entry cannot be used, or a row comes twice.

        Example:
            >>> trial = Trial(seed=7)
            >>> trial.record_examples("accuracy", [1, 0, 1], ids=["a", "b", "c"])
            >>> trial.recorded()["examples"]["accuracy"]["scores"]
            [1.0, 0.0, 1.0]
        """
        given = {"ids": ids, "cluster": cluster, "task": task}
        if ids is None:
            if not self._chosen:
                raise RecordingError(f"the scores of {metric} need ids, unless choose() was called")
            given = {name: self._chosen[name] if value is None else value for name, value in given.items()}
        table = self._tables.get(metric) or ExampleTable(metric)
        table.add(scores, **given, repeat=repeat, inputs=inputs, outputs=outputs, errors=errors)
        self._tables[metric] = table

    def record_digest(self, tree: Any) -> None:
        """Record everything that must be equal, bit for bit, for the change to count as exact.

        Args:
            tree: Nested mappings and sequences of numbers, text, bytes, arrays and tensors: at least the final
                parameters and buffers. Recorded metrics, series and predictions are added by the worker.

        Raises:
            RecordingError: If the tree is empty, or contains something that is not data.
        """
        if self._tree is not None:
            raise RecordingError("the digest was recorded twice")
        digest = TreeDigest()
        digest.update(tree)
        if digest.num_leaves == 0:
            raise RecordingError("the digest is empty: it holds no number, text or array")
        self._tree = digest

    @property
    def digest(self) -> str:
        """Digest of the recorded tree together with all other records; empty if no tree was recorded."""
        if self._tree is None:
            return ""
        whole = TreeDigest()
        whole.update([self._tree.hexdigest(), self.values, self.series, self.predictions])
        return whole.hexdigest()

    def recorded(self) -> Recorded:
        """Content of the event that goes to the gate."""
        return {
            "values": {name: json_number(value) for name, value in self.values.items()},
            "series": {name: [json_number(value) for value in values] for name, values in self.series.items()},
            "context": self.context,
            "predictions": self.predictions,
            "digest": self.digest,
            "examples": {name: table.recorded(**self._choice()) for name, table in self._tables.items()},
        }

    def _choice(self) -> dict[str, Any]:
        """What the recorded items were chosen from."""
        offered = self._offered.hexdigest()[:DIGEST_LENGTH] if self._num_offered else ""
        return {"chosen_of": self._num_offered, "offered": offered}

    def images(self, indices: list[int]) -> list[bytes]:
        """PNG files of the requested examples; empty if the workload gave no source."""
        return [bytes(image) for image in self._images(indices)] if self._images else []


def one_number(name: str, value: Any) -> float:
    """A recorded value as a float; anything but a single number is refused."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordingError(f"{name} must be one number, not {type(value).__qualname__}") from error


def _classes(name: str, values: Any) -> bytes:
    """Classes as one byte each."""
    numbers = values.tolist() if hasattr(values, "tolist") else list(values)
    try:
        return bytes(numbers)
    except (TypeError, ValueError) as error:
        raise RecordingError(f"{name} must be whole numbers from 0 to {MAX_CLASSES - 1}, one an example") from error


def json_number(value: float) -> JsonNumber:
    """A number for JSON; NaN and the infinities become text."""
    return value if math.isfinite(value) else repr(value)
