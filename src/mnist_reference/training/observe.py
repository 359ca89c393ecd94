"""Observation of a training run: event files for TensorBoard, and a trace of the profiler.

Both functions take the records of a training run and yield the same records, so they can be combined; neither changes
a bit of the model.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mnist_reference.data.datasets import Split
from mnist_reference.errors import OutputError
from mnist_reference.extras import extra
from mnist_reference.files import output
from mnist_reference.models.evaluate import predict
from mnist_reference.training.train import EpochRecord

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

MAX_MISCLASSIFIED = 32
"""Largest number of images shown; those with the highest probability come first."""

NUM_TRACED = 100
"""Number of traced steps: enough to see the pattern, in a file of about ten megabytes that opens quickly."""


def logged(records: Iterator[EpochRecord], model: nn.Module, split: Split, folder: Path) -> Iterator[EpochRecord]:
    """Write event files for TensorBoard during a training run.

    After each epoch, every number of its record and a histogram of every parameter are written; after the last one, the
    images that the model misclassifies, each named by its index, its label and the answer.

    Args:
        records: Records of the training run.
        model: The model that is trained.
        split: Examples of which the misclassified images are shown.
        folder: Folder of the event files; it is created if it does not exist, and extended if it does.

    Yields:
        The same records.

    Raises:
        MissingExtraError: If the extra ``tensorboard`` is not installed.
        OutputError: If the folder cannot be written.
    """
    with extra("tensorboard"):
        from torch.utils.tensorboard import SummaryWriter
    with _explained(folder):
        writer = SummaryWriter(folder)
    epoch = 0
    try:
        for record in records:
            epoch = record.epoch
            with _explained(folder):
                for name, value in flattened(asdict(record)).items():
                    writer.add_scalar(name, value, epoch)
                for name, parameter in model.named_parameters():
                    writer.add_histogram(name, parameter.detach(), epoch)
            yield record
        with _explained(folder):
            _add_misclassified(writer, model, split, epoch)
    finally:
        with _explained(folder):
            writer.close()


def flattened(facts: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a nested mapping by their path, without the epoch, which is the axis, and without other values.

    Example:
        >>> flattened({"epoch": 3, "train_loss": 0.5, "test": {"top1_accuracy": 0.9}, "validation": None})
        {'train_loss': 0.5, 'test/top1_accuracy': 0.9}
    """
    numbers: dict[str, float] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            numbers |= flattened(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "epoch":
            numbers[prefix + name] = value
    return numbers


def _add_misclassified(writer: SummaryWriter, model: nn.Module, split: Split, epoch: int) -> None:
    """Add the misclassified images of a split, those with the highest probability first."""
    probabilities = predict(model, split.images).softmax(1).cpu()  # (N, 10)
    confidences, answers = probabilities.max(1)
    labels = split.labels.cpu()
    wrong = (answers != labels).nonzero().squeeze(1)
    for index in wrong[confidences[wrong].argsort(descending=True)][:MAX_MISCLASSIFIED].tolist():
        tag = f"misclassified/{index:05}: {labels[index]} read as {answers[index]}"
        writer.add_image(tag, split.images[index].cpu(), epoch, dataformats="HW")


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn a system error while event files are written into one that names the folder."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"event files cannot be written: {error.strerror or error}",
            looked_in=str(folder),
            next_step="free some space, or name a folder elsewhere",
        ) from error


def profiled(records: Iterator[EpochRecord], model: nn.Module, path: Path) -> Iterator[EpochRecord]:
    """Trace the first steps of a training run by operator, for https://ui.perfetto.dev or ``chrome://tracing``.

    Args:
        records: Records of a training run that has not begun. The trace makes its first epoch slower.
        model: The model that is trained: :data:`NUM_TRACED` of its calls are traced, or the first epoch if that has
            fewer.
        path: File of the trace, in Chrome's JSON; gzipped if its name ends in ``.gz``, which Perfetto reads too.

    Yields:
        The same records.

    Raises:
        OutputError: If the trace cannot be written; then no step is made.
    """
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with output(path, "the trace") as temporary:
        profiler = torch.profiler.profile(activities=activities, record_shapes=True)
        with _called_before_call(NUM_TRACED + 1, model, profiler.stop) as is_over:
            profiler.start()
            first = next(records, None)
            if not is_over():
                profiler.stop()
        profiler.export_chrome_trace(str(temporary))
        if path.suffix == ".gz":
            temporary.write_bytes(gzip.compress(temporary.read_bytes(), mtime=0))
    if first is not None:
        yield first
        yield from records


@contextmanager
def _called_before_call(number: int, model: nn.Module, function: Callable[[], object]) -> Iterator[Callable[[], bool]]:
    """Within the block, call a function just before the model's call of the given number.

    Yields:
        Whether the function has been called.
    """
    num_calls = 0

    def count(*_: object) -> None:
        nonlocal num_calls
        if torch.compiler.is_compiling():  # a compiled model calls no hooks, so its whole first epoch is traced
            return
        num_calls += 1
        if num_calls == number:
            function()

    hook = model.register_forward_pre_hook(count)
    try:
        yield lambda: num_calls >= number
    finally:
        hook.remove()
