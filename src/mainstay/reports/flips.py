"""The flipped examples of a workload as the HTML report shows them: a gallery, the confusion change, counts by seed.

The gallery shows one seed, the one whose images were recorded. The confusion change is the sum over all seeds, since
changes at a single seed are mostly due to chance.

- :func:`flip_part`: the whole part, a :class:`FlipPart`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mainstay.records.runs import FlippedExample, FlipSummary

_MAX_CLASSES = 20
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_MAX_IMAGE = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfusionCell:
    """How one cell of the confusion matrix changed.

    Attributes:
        text: The change with its sign; empty if there is none.
        tone: Class of the cell: better, worse or none.
    """

    text: str
    tone: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip:
    """One flipped example.

    Attributes:
        caption: Label and both predictions.
        index: Position in the test set.
        image: URL of the image, or empty.
    """

    caption: str
    index: int
    image: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FlipPart:
    """The examples on which the trained models of a workload differ.

    Attributes:
        num_seeds: Number of seeds compared.
        num_examples: Size of the test set.
        right_to_wrong: Mean number of flips from right to wrong over the seeds.
        wrong_to_right: Mean number of flips from wrong to right over the seeds.
        confusion: Change of each cell by true class, summed over the seeds; empty if there are too many classes.
        gallery_seed: Seed of the gallery; ``None`` if there is no gallery.
        gallery: Title and examples of right to wrong, then of wrong to right.
        rows: Counts by seed.
    """

    num_seeds: int
    num_examples: int
    right_to_wrong: str
    wrong_to_right: str
    confusion: tuple[tuple[ConfusionCell, ...], ...]
    gallery_seed: int | None
    gallery: tuple[tuple[str, tuple[Flip, ...]], ...]
    rows: tuple[tuple[str, ...], ...]


def flip_part(summaries: Sequence[FlipSummary]) -> FlipPart | None:
    """Gallery, confusion change and counts; ``None`` if nothing was compared.

    Args:
        summaries: Comparison at each seed.
    """
    if not summaries:
        return None
    shown = next((summary for summary in summaries if summary.examples), None)
    return FlipPart(
        num_seeds=len(summaries),
        num_examples=summaries[0].num_examples,
        right_to_wrong=_mean([summary.right_to_wrong for summary in summaries]),
        wrong_to_right=_mean([summary.wrong_to_right for summary in summaries]),
        confusion=_confusion(summaries),
        gallery_seed=shown.seed if shown else None,
        gallery=_gallery(shown) if shown else (),
        rows=tuple((str(s.seed), str(s.right_to_wrong), str(s.wrong_to_right), f"{s.p_value:.2g}") for s in summaries),
    )


def _mean(counts: Sequence[int]) -> str:
    """A mean count, with one decimal if it is not an integer.

    Example:
        >>> _mean([3]), _mean([3, 4])
        ('3', '3.5')
    """
    return f"{sum(counts) / len(counts):.1f}".removesuffix(".0")


def _gallery(summary: FlipSummary) -> tuple[tuple[str, tuple[Flip, ...]], ...]:
    """The examples that were lost, then those that were gained."""
    lost = tuple(_flip(example) for example in summary.examples if example.baseline == example.label)
    won = tuple(_flip(example) for example in summary.examples if example.candidate == example.label)
    titled = (
        (_title("Right to wrong", len(lost), summary.right_to_wrong), lost),
        (_title("Wrong to right", len(won), summary.wrong_to_right), won),
    )
    return tuple((title, flips) for title, flips in titled if flips)


def _title(what: str, num_shown: int, count: int) -> str:
    """The number of examples, and the number shown if not all are."""
    return f"{what}: {count}" if num_shown == count else f"{what}: {num_shown} of {count}"


def _flip(example: FlippedExample) -> Flip:
    """One example with its image, if that is a PNG file."""
    is_image = len(example.image) <= _MAX_IMAGE and _BASE64.fullmatch(example.image) is not None
    return Flip(
        caption=f"label {example.label}: {example.baseline} → {example.candidate}",
        index=example.index,
        image=f"data:image/png;base64,{example.image}" if is_image else "",
    )


def _confusion(summaries: Sequence[FlipSummary]) -> tuple[tuple[ConfusionCell, ...], ...]:
    """Summed change of the predictions for each true class; empty if the matrices are too large or differ in size."""
    sides = [matrix for summary in summaries for matrix in (summary.baseline_confusion, summary.candidate_confusion)]
    shapes = {tuple(map(len, matrix)) for matrix in sides}
    num_classes = len(sides[0])
    if not 0 < num_classes <= _MAX_CLASSES or shapes != {(num_classes,) * num_classes}:
        return ()
    labels = range(num_classes)
    return tuple(
        tuple(_confusion_cell(_change(summaries, label, guess), is_right=guess == label) for guess in labels)
        for label in labels
    )


def _change(summaries: Sequence[FlipSummary], label: int, predicted: int) -> int:
    """How many more examples of a class get this prediction from the candidate."""
    return sum(s.candidate_confusion[label][predicted] - s.baseline_confusion[label][predicted] for s in summaries)


def _confusion_cell(change: int, *, is_right: bool) -> ConfusionCell:
    """One cell; more right answers are better, more wrong ones worse."""
    if not change:
        return ConfusionCell(text="", tone="diagonal" if is_right else "")
    return ConfusionCell(text=f"{change:+d}", tone="better" if (change > 0) is is_right else "worse")
