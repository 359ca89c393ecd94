"""The training loop: one generator, which yields a record after every epoch and displays nothing.

It is used for every recipe. Options that a recipe does not use have no effect: without augmentation, penalty,
validation and mixed precision, this is the article's loop, bit for bit. For curves, histograms or a progress bar,
iterate over the records and read the model between two of them.

- :func:`train`: the epochs, and the decisions between them.
- :func:`train_epoch`: the steps of an epoch.
- :class:`TrainingState`: the state between two epochs, from which an interrupted training run can continue.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mnist_reference.data.augment import drawn_movements, moved
from mnist_reference.data.datasets import Split, held_out, require_trainable, require_type_of, scaled_pixels
from mnist_reference.errors import DataError, DivergenceError
from mnist_reference.models.evaluate import negative_log_likelihood, predict, top1_accuracy
from mnist_reference.models.networks import number_lost
from mnist_reference.seeding import generator, seeded
from mnist_reference.training.distributed import ALONE, DataParallelGroup
from mnist_reference.training.fast import as_it_is, faster
from mnist_reference.training.losses import Loss, loss_by_name, penalised
from mnist_reference.training.memory import within_memory
from mnist_reference.training.optimizers import Optimizer, optimizer_by_name
from mnist_reference.training.recipes import Recipe
from mnist_reference.training.schedules import schedule_by_name

Compiler = str | Callable[..., Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Scores of a model on one split.

    Attributes:
        top1_accuracy: Fraction of correct answers.
        negative_log_likelihood: Negative log-likelihood in nat.
    """

    top1_accuracy: float
    negative_log_likelihood: float


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRecord:
    """Record of one epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        train_loss: Mean loss over the batches of the epoch, each before its step, including penalties, in nat.
        learning_rate: Learning rate of the last step.
        train_time_s: Wall time of the epoch without its evaluation.
        test: Scores on the test split after the epoch; ``None`` if no test split was given.
        validation: Scores on the held-out part of the training split; ``None`` if nothing is held out.
    """

    epoch: int
    train_loss: float
    learning_rate: float
    train_time_s: float
    test: Scores | None
    validation: Scores | None = None


@dataclass(kw_only=True, slots=True)
class TrainingState:
    """State of a training run between two epochs, from which it can continue with the same bits.

    The loop updates it before each yield. Its tensors are those that are trained: save them before you request the next
    record.

    Attributes:
        records: Records of the completed epochs.
        weights: Weights of the model, including buffers.
        optimizer: State of the optimiser.
        best_weights: Weights after the epoch with the best validation loss; empty if they are not used.
        num_threads: Number of threads with which the last epoch was trained; with another number, the bits would
            differ. 0 before the first epoch.
    """

    records: list[EpochRecord] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    num_threads: int = 0

    def keep(self, record: EpochRecord, model: nn.Module, optimizer: Optimizer, *, is_choosing: bool) -> None:
        """Update the state after an epoch.

        Args:
            record: Record of the epoch.
            model: Model after the epoch.
            optimizer: Optimiser after the epoch.
            is_choosing: Whether to keep the best weights, too.
        """
        self.records.append(record)
        self.num_threads = torch.get_num_threads()
        self.weights, self.optimizer = model.state_dict(), optimizer.state_dict()
        if is_choosing and best_epoch(self.records) == record.epoch:
            self.best_weights = {name: tensor.clone() for name, tensor in self.weights.items()}


def train(
    model: nn.Module,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    test: Split | None = None,
    state: TrainingState | None = None,
    group: DataParallelGroup = ALONE,
    compiler: Compiler | None = None,
) -> Generator[EpochRecord]:
    """Train a model in place, on the device that it is on.

    The same seed on the same machine gives the same bits with the same number of threads. The splits are kept on the
    device and batched by index.

    Args:
        model: Model that takes float32 images in [0, 1] and gives logits.
        split: Examples to train on.
        recipe: Recipe of the training run.
        seed: Seed of the order of the examples, their augmentation, dropout, and the choice of validation examples.
        test: Examples that are scored after every epoch, if given; nothing is chosen on them.
        state: State of an interrupted training run with the same arguments, from which to continue; it is updated in
            every epoch.
        group: The processes that share each batch; the result equals that of one process except for rounding and for
            dropout, which each process draws independently.
        compiler: Backend of ``torch.compile``, such as ``"inductor"``, or a function that is one; with ``None``, the
            model is not compiled.

    Yields:
        One record for each epoch. Between two records the model may be used, but not changed. If training stops early,
        the model has its best weights after the last record.

    Raises:
        DataError: If the examples do not fit the model, or their labels do not fit: scores need classes, and
            distillation needs a teacher's logits.
        RecipeError: If the batches cannot be shared evenly among the processes.
        DivergenceError: If the loss of a step is not finite, or a weight or an answer after an epoch; the message says
            where.
        MemoryExhaustedError: If a batch does not fit in the memory; the message names a batch size that does.
    """
    require_trainable(split, num_inputs=recipe.model.num_inputs, num_outputs=recipe.model.num_outputs)
    require_type_of(model, split.images)
    require_fitting_labels(recipe, split, test)
    group.require_even_shares(recipe.batch_size)
    state = state or TrainingState()
    device = next(model.parameters()).device
    split = split.to(device)
    split, validation = held_out(split, recipe.validation_share, seed=seed)
    test = test.to(device) if test else None
    optimizer = optimizer_by_name(recipe.optimizer, model.parameters(), learning_rate=recipe.learning_rate)
    loss_function = loss_of(recipe, model)
    rates = learning_rates(recipe, num_examples=len(split.labels))
    shuffling = generator(seed, "shuffling")
    if state.records:
        model.load_state_dict(state.weights)
        optimizer.load_state_dict(state.optimizer)
    for _ in state.records:
        torch.randperm(
            len(split.labels), generator=shuffling
        )  # the next epoch continues the random stream as if it had not been interrupted
    forward = in_precision(recipe.precision, device, compiled(group.sharing(model), compiler))
    quicken = faster(model, recipe, optimizer, split) if group.size == 1 and compiler is None else as_it_is
    model.train()
    while not is_over(recipe, state.records):
        epoch = len(state.records) + 1
        started = time.perf_counter()
        order = torch.randperm(len(split.labels), generator=shuffling).to(device)
        shares = [group.share(batch) for batch in order.split(recipe.batch_size)]
        epoch_rates = rates[(epoch - 1) * len(shares) : epoch * len(shares)]
        movements = movements_of(recipe, split, seed=seed, epoch=epoch)
        plain = partial(train_batches, forward, loss_function, optimizer, split, movements=movements)
        with seeded(seed, f"dropout of epoch {epoch}, process {group.rank}", device):
            losses = within_memory(
                partial(quicken(plain), shares, epoch_rates),
                partial(try_batch, model, recipe, optimizer, split, movements),
                batch_size=len(shares[0]),
            )
        losses = group.mean(losses)
        require_finite(losses, epoch=epoch)
        require_finite_weights(model, epoch=epoch)
        record = EpochRecord(
            epoch=epoch,
            train_loss=float(losses.mean()),
            learning_rate=epoch_rates[-1],
            train_time_s=time.perf_counter() - started,
            test=score(model, test) if test else None,
            validation=score(model, validation) if validation else None,
        )
        state.keep(record, model, optimizer, is_choosing=recipe.patience > 0)
        yield record
    if recipe.patience:
        model.load_state_dict(state.best_weights)


class Batch(NamedTuple):
    """Data of one step, on the device of the model.

    Attributes:
        inputs: Inputs in the form that the model takes.
        labels: Labels or targets.
        learning_rate: Size of the step.
    """

    inputs: Tensor
    labels: Tensor
    learning_rate: float


def train_epoch(
    forward: Callable[[Tensor], Tensor], loss_function: Loss, optimizer: Optimizer, batches: Iterable[Batch]
) -> Tensor:
    """One pass over some batches of a split.

    Args:
        forward: The model.
        loss_function: The loss to minimise.
        optimizer: Optimiser of the parameters of the model.
        batches: One batch for each step.

    Returns:
        The loss of each batch before its step, (number of batches,), on the device of the model.
    """
    # --8<-- [start:loop]
    losses = []
    for batch in batches:
        loss = loss_function(forward(batch.inputs), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = batch.learning_rate
        optimizer.step()
        losses.append(loss.detach())
    # --8<-- [end:loop]
    return torch.stack(losses)


def train_batches(  # noqa: PLR0917 - the last two are what changes from call to call
    forward: Callable[[Tensor], Tensor],
    loss_function: Loss,
    optimizer: Optimizer,
    split: Split,
    batches: Sequence[Tensor],
    rates: Sequence[float],
    *,
    movements: Tensor | None = None,
) -> Tensor:
    """One pass over some or all batches of an epoch, given by index.

    Args:
        forward: The model.
        loss_function: The loss to minimise.
        optimizer: Optimiser of the parameters of the model.
        split: Examples on the device of the model.
        batches: Indices of the examples of each batch.
        rates: Learning rate of each step.
        movements: Movement of every image of the split, as :func:`mnist_reference.data.augment.moved` takes it.

    Returns:
        The loss of each batch before its step, (number of batches,), on the device of the model.
    """
    steps = iter_batches(split, batches, rates[: len(batches)], movements)
    return train_epoch(forward, loss_function, optimizer, steps)


def iter_batches(
    split: Split, batches: Sequence[Tensor], rates: Sequence[float], movements: Tensor | None
) -> Iterator[Batch]:
    """The batches of one epoch.

    Args:
        split: Examples on the device of the model.
        batches: Indices of the examples of each batch.
        rates: Learning rate of each step.
        movements: Movement of every image of the split, as :func:`mnist_reference.data.augment.moved` takes it.
    """
    for batch, rate in zip(batches, rates, strict=True):
        inputs = scaled_pixels(split.images[batch])
        if movements is not None:
            inputs = moved(inputs, movements[batch])
        yield Batch(inputs, split.labels[batch], rate)


def movements_of(recipe: Recipe, split: Split, *, seed: int, epoch: int) -> Tensor | None:
    """Movement of every image of a split in an epoch, on its device; ``None`` if the recipe does not move images."""
    if not recipe.augmentation:
        return None
    stream = generator(seed, f"augmentation of epoch {epoch}")
    return drawn_movements(len(split.images), recipe.augmentation, stream).to(split.images.device)


def loss_of(recipe: Recipe, model: nn.Module) -> Loss:
    """The loss that a recipe minimises, with its penalties on the weights of a model, without biases."""
    loss = loss_by_name(recipe.loss, label_smoothing=recipe.label_smoothing)
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    return penalised(loss, weights, l1=recipe.l1_penalty, l2=recipe.l2_penalty)


def learning_rates(recipe: Recipe, *, num_examples: int) -> list[float]:
    """The learning rate of every step of a training run that does not stop early.

    Example:
        >>> from mnist_reference.training.recipes import article
        >>> set(learning_rates(article(), num_examples=60_000))
        {0.001}
    """
    num_steps = recipe.num_epochs * math.ceil(num_examples / recipe.batch_size)
    schedule = schedule_by_name(recipe.schedule)
    return [recipe.learning_rate * schedule(step, num_steps) for step in range(num_steps)]


def is_over(recipe: Recipe, records: Sequence[EpochRecord]) -> bool:
    """Whether the last epoch is done, or the best validation loss is older than the recipe's patience allows."""
    if len(records) >= recipe.num_epochs:
        return True
    return bool(recipe.patience and records) and len(records) - best_epoch(records) >= recipe.patience


def best_epoch(records: Sequence[EpochRecord]) -> int:
    """The number of the first epoch with the smallest validation loss; all records must have one."""
    losses = [record.validation.negative_log_likelihood for record in records if record.validation]
    return losses.index(min(losses)) + 1


def compiled(model: nn.Module, compiler: Compiler | None) -> Callable[[Tensor], Tensor]:
    """A model, compiled if a backend of ``torch.compile`` is named; parameters and dropout are the same."""
    if not compiler:
        return model
    # otherwise inductor draws from a stream of its own
    options: dict[str, Any] | None = {"fallback_random": True} if compiler == "inductor" else None
    return torch.compile(model, backend=compiler, options=options)


def in_precision(
    precision: str, device: torch.device, forward: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """A forward pass, in mixed precision with float32 outputs if requested."""
    if precision == "float32":
        return forward

    def mixed(images: Tensor) -> Tensor:
        with torch.autocast(device.type, getattr(torch, precision)):
            outputs = forward(images)
        return outputs.float()

    return mixed


def try_batch(  # noqa: PLR0917 - the last one is what changes from call to call
    model: nn.Module, recipe: Recipe, optimizer: Optimizer, split: Split, movements: Tensor | None, size: int
) -> None:
    """Allocate the memory that training on batches of a size needs, by two steps of length zero, which move no weight.

    Two, because the buffers that the faster way makes in the first are there beside those of the plain way in the second.
    The model is tried without the wrapper that waits for the gradients of other processes, because those do not try.
    """
    batch = torch.arange(size, device=split.images.device)
    forward = in_precision(recipe.precision, split.images.device, model)
    plain = partial(train_batches, forward, loss_of(recipe, model), optimizer, split, movements=movements)
    faster(model, recipe, optimizer, split)(plain)([batch] * 2, [0.0, 0.0])


def require_fitting_labels(recipe: Recipe, split: Split, test: Split | None) -> None:
    """Refuse labels that do not fit the loss of a recipe, and labels that are numbers if scores are requested.

    Raises:
        DataError: If labels do not fit; the message says what to do.
    """
    if recipe.loss == "distillation" and not split.labels.is_floating_point():
        raise DataError(
            "the loss distillation wants a teacher's logits, and the labels are classes",
            next_step="call mnist_reference.using.compress.distilled with a teacher, or choose another loss",
        )
    if recipe.validation_share and split.labels.is_floating_point():
        raise DataError(
            "what is held out for validation cannot be scored: its labels are numbers, not classes",
            next_step="set validation_share and patience to 0",
        )
    if test and test.labels.is_floating_point():
        raise DataError(
            "the test examples cannot be scored: their labels are numbers, not classes",
            next_step="leave them out, and score with mnist_reference.models.evaluate.predict",
        )


def require_finite(losses: Tensor, *, epoch: int) -> None:
    """Refuse an epoch in which the loss of a step was NaN or infinite.

    Raises:
        DivergenceError: If there is one; the message names the step and the last finite loss.
    """
    is_finite = losses.isfinite()
    if is_finite.all():
        return
    step = int(is_finite.int().argmin())
    last = f"; the loss before was {losses[step - 1]:.4g}" if step else ""
    raise DivergenceError(
        f"the loss is {losses[step].item()} at step {step + 1} of epoch {epoch}{last}",
        next_step="try a smaller learning rate",
    )


def require_finite_weights(model: nn.Module, *, epoch: int) -> None:
    """Refuse a model in which the last step of an epoch left NaN or infinity, although its loss was finite.

    Raises:
        DivergenceError: If there is one; the message names the weight.
    """
    lost = number_lost(model.state_dict())
    if lost:
        raise DivergenceError(f"{lost} after epoch {epoch}", next_step="try a smaller learning rate")


def score(model: nn.Module, split: Split) -> Scores:
    """Both scores of a model on a split."""
    logits = predict(model, split.images)
    return Scores(
        top1_accuracy=top1_accuracy(logits, split.labels),
        negative_log_likelihood=negative_log_likelihood(logits, split.labels),
    )
