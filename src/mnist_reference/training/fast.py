"""Faster steps of a perceptron: the arithmetic of the plain loop, without autograd and without allocation.

The plain loop of :mod:`mnist_reference.training.train` remains the definition of training. The code here replaces it
only if it makes the same steps except for rounding, which is checked on a few batches in every epoch. So if a change to
the loop, to the model or to the optimiser has a larger effect than the rounding of float32, the fast code does not hide
it: training then uses the plain loop.

On one thread of a CPU, both ways call the same kernels on the same shapes in the same order and give weights and losses
of the same bits, if each layer has two units or more: products with a matrix of one row or column are products of
vectors, whose order of summation depends on how the matrix lies in memory. On several threads and on an accelerator,
products are split differently. Their sums are then rounded differently: see :data:`ROUNDING`.

- :func:`faster`: make a faster way to train an epoch from the plain one; :func:`as_it_is` returns the plain one.
- :func:`agrees`: whether both ways make the same steps.
- :func:`is_fit`: whether a recipe uses only what is implemented here.
- :class:`Steps`: forward pass, gradients by hand and Adam.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mnist_reference.data.datasets import Split
from mnist_reference.models.networks import Perceptron
from mnist_reference.training.memory import is_exhaustion
from mnist_reference.training.optimizers import Adam, Optimizer
from mnist_reference.training.recipes import Recipe

NUM_TRIED = 2
"""Number of batches at the start of an epoch that are trained both ways, in addition to the last one."""

UNIT_ROUNDOFF = torch.finfo(torch.float32).eps / 2
"""Largest relative error of one operation in float32, 6e-8."""

ROUNDING = 1e-5
"""Largest relative difference of the losses and gradients of both ways after one step from equal weights.

Both ways sum the same products in different orders. The rounding error of a sum of n products grows like the root of n:
it is 28 units of roundoff for the 784 pixels, 1.7e-6, and the passes through three layers and back chain six such sums:
1e-5. Steps are compared one at a time, each from equal weights, because differences grow from step to step without
bound: the first steps of Adam follow the sign of a gradient, so a weight whose gradient is zero except for rounding may
move in either direction.
"""

MAX_UPDATE_ERROR = 16
"""Largest error of a weight and of its movement, in units of roundoff: the sum over the dozen operations of Adam."""

NUM_LOOKED_UP = 1024
"""Examples whose pixels are looked up and scaled by one call: enough for all threads; their 3 MB fit in a cache."""

CACHE_LINE = 64
"""Size of a cache line in bytes; new tensors start at a multiple of it."""

LEAST_SHARED_OUT = 2**16
"""Number of weights of the first layer from which several threads share its products; for fewer, this would not pay."""

SMALLEST_MEAN = 2.0**-100
"""Size below which a mean of gradients is set to zero, in units of the gradient.

If a gradient becomes zero for good, as for a pixel that is seldom inked, its mean decays by a tenth in every step, until
it lies below the smallest normal number, 2 ** -126. Many processors calculate far more slowly with such numbers. Adam
divides by at least 1e-8, so a mean of this size moves a weight by less than 1e-21 of the learning rate. While the gradient
stays zero, no weight above 1e-13 of it changes in float32.
"""

NUM_UNTIL_SMALL = 128
"""Steps between two searches for such means; from 2 ** -100 to 2 ** -126, a mean decays in 171 steps."""

NUM_WARM = 3
"""Number of launches of a step before it is captured as a CUDA graph, during which libraries allocate their state."""

ADAM = {"amsgrad": False, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0, "eps": 1e-8, "maximize": False}
"""Arguments that :class:`mnist_reference.training.optimizers.Adam` passes to the same kernel."""

MEAN, NO_CLASS = 1, -100
"""The kernel's code for the mean over a batch, and the class that it ignores, which stands for no class."""

Way = Callable[[Sequence[Tensor], Sequence[float]], Tensor]
"""Function that trains on batches of indices, each at its learning rate, and gives the losses before the steps."""


try:  # not part of torch's documented interface; looking up an overload takes as long as calling it
    fill_nll_loss = torch.ops.aten.nll_loss_forward.output
    fill_relu_slopes = torch.ops.aten.threshold_backward.grad_input
    fill_logit_slopes = torch._log_softmax_backward_data
    step_by_adam = torch._fused_adam_
    drop_small = torch.ops.aten.hardshrink.out
except AttributeError:
    HAS_KERNELS = False
else:
    HAS_KERNELS = True  # if one is missing, the plain way is used

try:  # oneDNN uses AVX-512 on every processor, and shares such small products among threads evenly
    shared_product = torch.ops.mkldnn._linear_pointwise.default
except AttributeError:
    HAS_SHARED_PRODUCT = False  # PyTorch was built without oneDNN
else:
    HAS_SHARED_PRODUCT = True


def faster(model: nn.Module, recipe: Recipe, optimizer: Optimizer, split: Split) -> Callable[[Way], Way]:
    """Make a function that replaces the plain way to train an epoch by the fastest one with the same steps.

    Args:
        model: The model to train.
        recipe: Recipe of the training run.
        optimizer: Optimiser of the parameters of the model.
        split: Images and labels on the device of the model.

    Returns:
        Function of the way that trains ``model`` by ``optimizer`` on ``split``; :func:`as_it_is` if no way is faster.
    """
    if not (is_fit(model, recipe) and isinstance(optimizer, Adam) and can_vary(recipe, split.images.device)):
        return as_it_is
    return Steps(optimizer, split).in_place_of


def as_it_is(plain: Way) -> Way:
    """Return the plain way unchanged."""
    return plain


def is_fit(model: nn.Module, recipe: Recipe) -> bool:
    """Whether a recipe is cross-entropy and Adam on a perceptron, with any schedule, and uses nothing else.

    It is false if torch lacks an operator that is called here.

    Example:
        >>> from dataclasses import replace
        >>> from mnist_reference.models.networks import initialised
        >>> from mnist_reference.training.recipes import article, digits
        >>> perceptron = initialised(article().model, seed=0)
        >>> is_fit(perceptron, digits()), is_fit(perceptron, replace(digits(), label_smoothing=0.1))
        (True, False)
    """
    simple = Recipe(
        name=recipe.name,
        model=recipe.model,
        learning_rate=recipe.learning_rate,
        schedule=recipe.schedule,
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
    )
    return HAS_KERNELS and type(model) is Perceptron and recipe == simple and _is_ordinary(model)


def can_vary(recipe: Recipe, device: torch.device) -> bool:
    """Whether the learning rate may vary on a device: a CUDA graph always uses the rate with which it was captured."""
    return recipe.schedule == "constant" or device.type != "cuda"


def _is_ordinary(model: Perceptron) -> bool:
    """Whether the model has only layers of weight and bias: no dropout, masks, parametrisations or hooks."""
    with torch.device("meta"):
        ordinary = Perceptron(model.config)
    modules = [*model.modules()]
    return (
        model.config.dropout == 0
        and [*map(type, modules)] == [*map(type, ordinary.modules())]
        and [*model.state_dict()] == [*ordinary.state_dict()]
        and not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    )


def agrees(plain: Way, steps: Steps, batches: Sequence[Tensor], rates: Sequence[float]) -> bool:
    """Whether the faster way makes the same steps as the plain one on the first batches of an epoch and the last.

    Args:
        plain: The plain way.
        steps: The faster way, on the same weights, which are restored.
        batches: Indices of the examples of each batch of the epoch.
        rates: Learning rate of each step.
    """
    before = copies(steps.state)
    last = len(batches) - 1
    tried = [*range(min(NUM_TRIED, last)), last]
    try:
        return all(_is_same_step(plain, steps, batches[number], rates[number]) for number in tried)
    except RuntimeError as error:  # torch raises it if the arguments of an operator have changed
        if is_exhaustion(error):
            raise
        return False
    finally:
        put_back(before, steps.state)


def _is_same_step(plain: Way, steps: Steps, batch: Tensor, rate: float) -> bool:
    """Whether both ways make the same step on a batch from the current weights; the plain one makes the step."""
    before = copies(steps.state)
    loss, after = plain([batch], [rate]), copies(steps.state)
    put_back(before, steps.state)
    loss_of_steps, after_steps = steps.run([batch], [rate]), copies(steps.state)
    put_back(after, steps.state)
    start, end, end_of_steps = map(_AdamState.of, (before, after, after_steps))
    return (
        torch.allclose(loss_of_steps, loss, rtol=ROUNDING, atol=ROUNDING)
        and all(map(torch.equal, end.num_steps, end_of_steps.num_steps))
        and all(map(_moved_alike, start.means, end.means, end_of_steps.means))
        and all(map(_moved_alike, start.squares, end.squares, end_of_steps.squares))
        and all(_moved_by_adam(old, *new, rate=rate) for old, *new in zip(start.parameters, *end, strict=True))
    )


class _AdamState(NamedTuple):
    """State that a step of Adam changes, with one tensor for every parameter."""

    parameters: Sequence[Tensor]
    means: Sequence[Tensor]
    squares: Sequence[Tensor]
    num_steps: Sequence[Tensor]

    @classmethod
    def of(cls, state: Sequence[Tensor]) -> _AdamState:
        """The same tensors, which are in this order."""
        num_each = len(state) // len(cls._fields)
        return cls(*(state[start : start + num_each] for start in range(0, len(state), num_each)))


def _moved_alike(start: Tensor, end: Tensor, other: Tensor) -> bool:
    """Whether a moment moved from the start to two ends that are equal except for rounding.

    A moment takes up a gradient or its square, so this compares gradients. The moment itself is rounded, too. Means that
    may be set to zero do not count, since the square of :data:`SMALLEST_MEAN` is zero in float32.
    """
    allowed = ROUNDING * (end - start).norm() + MAX_UPDATE_ERROR * UNIT_ROUNDOFF * end.norm()
    return bool((other - end).norm() <= allowed)


def _moved_by_adam(
    start: Tensor, parameter: Tensor, mean: Tensor, square: Tensor, num_steps: Tensor, *, rate: float
) -> bool:
    """Whether a parameter moved as the rule of Adam prescribes for the moments, except for rounding.

    This compares how both ways use a gradient: the fast way steps by that rule. The weights themselves cannot be
    compared, because a gradient of nearly zero makes a step of full size in either direction.
    """
    n = float(num_steps.flatten()[0])
    mean_share, square_share = 1 - ADAM["beta1"] ** n, 1 - ADAM["beta2"] ** n
    movement = rate / mean_share * mean / (square.sqrt() / math.sqrt(square_share) + ADAM["eps"])
    allowed = MAX_UPDATE_ERROR * UNIT_ROUNDOFF * (start.abs() + movement.abs())
    return bool(((start - movement - parameter).abs() <= allowed).all())


class Steps:
    """Steps of Adam along the gradient of the mean cross-entropy, on buffers that are allocated once for each batch size.

    Args:
        optimizer: Optimiser of the weight and bias of each layer from the input to the output: (outputs, inputs) and
            (outputs,). All of its tensors are trained in place.
        split: Images and labels on the same device.
    """

    def __init__(self, optimizer: Adam, split: Split) -> None:
        self._optimizer = optimizer
        self._images, self._labels = split.images.flatten(1), split.labels
        parameters = [parameter.detach() for parameter in optimizer.parameters]
        self._weights, self._biases = parameters[0::2], parameters[1::2]
        self._transposed = [weight.mT for weight in self._weights]
        gradients = [torch.empty_like(parameter) for parameter in parameters]
        self._weight_gradients, self._bias_gradients = gradients[0::2], gradients[1::2]
        self._adam = [parameters, gradients, [*optimizer.means], [*optimizer.squares]]
        self._num_steps = torch.zeros((), device=self._images.device)  # the same for all, so it is incremented once
        self._one = torch.ones_like(self._num_steps)
        self._buffers: dict[int, _Buffers] = {}
        self._examples: dict[torch.Size, _Examples] = {}
        self._graphs: dict[int, _Graph] = {}

    @property
    def state(self) -> list[Tensor]:
        """Everything that a step changes."""
        optimizer = self._optimizer
        return [*optimizer.parameters, *optimizer.means, *optimizer.squares, *optimizer.num_steps]

    def in_place_of(self, plain: Way) -> Way:
        """A way that trains an epoch by these steps if they agree with the plain way, and otherwise by that."""

        def run(batches: Sequence[Tensor], rates: Sequence[float]) -> Tensor:
            return (self.run if agrees(plain, self, batches, rates) else plain)(batches, rates)

        return run

    @torch.inference_mode()
    def run(self, batches: Sequence[Tensor], rates: Sequence[float]) -> Tensor:
        """One step for each batch.

        Args:
            batches: Indices of the examples of each batch, (N,).
            rates: Learning rates of the steps, at least as many as there are batches. On a CUDA device they must
                be equal.

        Returns:
            The loss of each batch before its step, (number of batches,).
        """
        losses = torch.empty(len(batches), device=self._images.device)
        self._num_steps.copy_(self._optimizer.num_steps[0])
        start = 0
        for size, group in groupby(batches, key=len):
            alike = torch.stack([*group])
            run_alike = self._replay if self._images.is_cuda else self._compute
            end = start + len(alike)
            run_alike(size, alike, rates[start:end], losses[start:end])
            start = end
        for num_steps in self._optimizer.num_steps:
            num_steps.copy_(self._num_steps)
        return losses

    def _compute(self, size: int, batches: Tensor, rates: Sequence[float], losses: Tensor) -> None:
        """One step for each batch of a size, kernel by kernel; the examples of several batches are looked up at once."""
        buffers = self._buffers_for(size)
        # the library's sums depend on the alignment within a cache line
        is_aligned = batches[0].numel() * self._images.shape[1] * losses.element_size() % CACHE_LINE == 0
        at_once = min(max(1, NUM_LOOKED_UP // batches[0].numel()), NUM_UNTIL_SMALL) if is_aligned else 1
        left = iter(rates)
        num_until_small = 0
        for some, their_losses in zip(batches.split(at_once), losses.split(at_once), strict=True):
            if num_until_small <= 0:
                self._drop_small_means()
                num_until_small = NUM_UNTIL_SMALL
            num_until_small -= len(some)
            examples = self._examples_for(some.shape)
            examples.look_up(self._images, self._labels, some)
            for batch, loss, rate in zip(examples.batches, their_losses, left, strict=False):
                self._step(buffers, batch, rate, loss)

    def _drop_small_means(self) -> None:
        """Set to zero the means that affect no weight any more."""
        for mean in self._optimizer.means:
            drop_small(mean, SMALLEST_MEAN, out=mean)

    def _replay(self, size: int, batches: Tensor, rates: Sequence[float], losses: Tensor) -> None:
        """One step for each batch by a CUDA graph, which also looks up the examples, with one rate for all steps."""
        if size not in self._graphs:
            buffers, examples = self._buffers_for(size), self._examples_for(batches[:1].shape)
            indices, loss = batches[:1].clone(), torch.empty_like(losses[0])

            def step() -> None:
                examples.look_up(self._images, self._labels, indices)
                self._step(buffers, examples.batches[0], rates[0], loss)

            self._graphs[size] = _Graph(indices, loss, captured(step, [*self.state, self._num_steps]))
        graph = self._graphs[size]
        for batch, loss in zip(batches, losses, strict=True):
            graph.indices.copy_(batch)
            graph.replay()
            loss.copy_(graph.loss)

    def _buffers_for(self, size: int) -> _Buffers:
        """Buffers that steps on batches of a size write to."""
        if size not in self._buffers:
            self._buffers[size] = _Buffers(self._weights, size)
        return self._buffers[size]

    def _examples_for(self, shape: torch.Size) -> _Examples:
        """Memory for the examples of some batches."""
        if shape not in self._examples:
            self._examples[shape] = _Examples(self._images, shape, num_classes=self._weights[-1].shape[-2])
        return self._examples[shape]

    def _step(self, buffers: _Buffers, batch: _Batch, rate: float, loss: Tensor) -> None:
        """One step on a batch, with its loss recorded."""
        last = len(self._weights) - 1
        inputs = [batch.pixels, *buffers.outputs[:-1]]
        for layer, outputs in enumerate(buffers.outputs):
            if layer == 0 and buffers.are_shared_out:
                inputs[1] = shared_product(batch.pixels, self._weights[0], self._biases[0], "relu", [], "")
                continue
            torch.addmm(self._biases[layer], inputs[layer], self._transposed[layer], out=outputs)
            if layer < last:
                outputs.relu_()
        buffers.fill_logit_slopes(batch, loss)
        for layer in range(last, -1, -1):
            slopes = buffers.slopes[layer]
            if layer == 0 and buffers.are_shared_out:
                self._adam[1][0] = shared_product(buffers.transposed[0], batch.pixels.mT, None, "none", [], "")
            else:
                torch.mm(buffers.transposed[layer], inputs[layer], out=self._weight_gradients[layer])
            torch.sum(slopes, -2, out=self._bias_gradients[layer])
            if layer:
                before = torch.mm(slopes, self._weights[layer], out=buffers.slopes[layer - 1])
                fill_relu_slopes(before, inputs[layer], 0, grad_input=before)
        torch.add(self._num_steps, self._one, out=self._num_steps)
        counts = [self._num_steps] * len(self._adam[0])
        step_by_adam(*self._adam, [], counts, lr=rate, **ADAM)  # type: ignore[call-overload]


class _Graph(NamedTuple):
    """A captured step.

    Attributes:
        indices: Indices of the examples that the next launch uses, (1, N).
        loss: Loss written by the last launch.
        replay: Function that launches the step.
    """

    indices: Tensor
    loss: Tensor
    replay: Callable[[], None]


class _Batch(NamedTuple):
    """Data of the examples of a batch before its step.

    Attributes:
        pixels: Pixels in [0, 1], (N, inputs).
        labels: Labels, (N,).
        shares: Derivatives of the mean loss with respect to the log-probabilities, (N, classes).
    """

    pixels: Tensor
    labels: Tensor
    shares: Tensor


class _Examples:
    """Memory for the examples of some batches of one size.

    Attributes:
        batches: Batches that :meth:`look_up` fills.
    """

    def __init__(self, images: Tensor, shape: torch.Size, *, num_classes: int) -> None:
        num_batches, size = shape
        num_inputs = images.shape[1]
        self._share = -1 / size
        self._stored = torch.empty(math.prod(shape), num_inputs, dtype=images.dtype, device=images.device)
        is_scaled = images.is_floating_point()
        self._pixels = self._stored if is_scaled else torch.empty(self._stored.shape, device=images.device)
        self._labels = torch.empty(math.prod(shape), dtype=torch.int64, device=images.device)
        self._shares = torch.empty(len(self._labels), num_classes, device=images.device)
        self.batches = [
            _Batch(pixels, labels, shares)
            for pixels, labels, shares in zip(
                self._pixels.view(*shape, num_inputs),
                self._labels.view(num_batches, -1),
                self._shares.view(num_batches, -1, num_classes),
                strict=True,
            )
        ]

    def look_up(self, images: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Fill the batches; pixels are scaled as by :func:`mnist_reference.data.datasets.scaled_pixels`."""
        rows = indices.reshape(-1)
        torch.index_select(images, 0, rows, out=self._stored)
        if self._pixels is not self._stored:
            self._pixels.copy_(self._stored).div_(255)
        torch.index_select(labels, 0, rows, out=self._labels)
        self._shares.zero_().scatter_(1, self._labels.unsqueeze(1), self._share)


class _Buffers:
    """Buffers that a step writes in addition to the state, for one batch size.

    Attributes:
        outputs: Outputs of each layer after its ReLU, (N, outputs); the last are the logits.
        slopes: Derivatives of the loss with respect to the outputs of each layer before the ReLU, in the same shapes.
        transposed: The same memory as ``slopes``, as (outputs, N).
        are_shared_out: Whether the threads share the products of the first layer, which then has a ReLU.
    """

    def __init__(self, weights: Sequence[Tensor], size: int) -> None:
        self.outputs = [torch.empty(size, len(weight), device=weight.device) for weight in weights]
        self.slopes = [torch.empty_like(outputs) for outputs in self.outputs]
        self.transposed = [slopes.mT for slopes in self.slopes]
        self.are_shared_out = len(weights) > 1 and _can_be_shared_out(weights[0])
        self._log_probabilities = torch.empty_like(self.outputs[-1])
        self._weight_of_all = torch.empty((), device=weights[0].device)

    def fill_logit_slopes(self, batch: _Batch, loss: Tensor) -> None:
        """Fill the loss and the slopes of the last layer by the kernels of ``functional.cross_entropy``."""
        logits, log_probabilities = self.outputs[-1], self._log_probabilities
        torch.log_softmax(logits, 1, out=log_probabilities)
        weight = self._weight_of_all
        fill_nll_loss(log_probabilities, batch.labels, None, MEAN, NO_CLASS, output=loss, total_weight=weight)
        fill_logit_slopes(batch.shares, log_probabilities, 1, logits.dtype, out=self.slopes[-1])


def _can_be_shared_out(weights: Tensor) -> bool:
    """Whether several threads share the products of a layer, which then have other bits than those of the plain way."""
    is_large = weights.device.type == "cpu" and weights.numel() >= LEAST_SHARED_OUT
    return is_large and HAS_SHARED_PRODUCT and torch.get_num_threads() > 1 and not prefers_mkl()


@cache
def prefers_mkl() -> bool:
    """Whether the processor is Intel's, on which MKL computes such products faster than oneDNN.

    It is false where PyTorch is too old to name the processor.
    """
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return torch.backends.mkl.is_available() and "Intel" in str(capabilities.get("cpu_name"))


def captured(step: Callable[[], None], state: Sequence[Tensor]) -> Callable[[], None]:
    """Capture a step as one CUDA graph, launched as a whole instead of kernel by kernel; the state is restored.

    Args:
        step: Function that reads and writes the same memory every time.
        state: All tensors that it changes and reads again.
    """
    before = copies(state)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(NUM_WARM):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    put_back(before, state)
    replay: Callable[[], None] = graph.replay
    return replay


def copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies of tensors."""
    return [tensor.detach().clone() for tensor in tensors]


@torch.no_grad()
def put_back(numbers: Sequence[Tensor], tensors: Sequence[Tensor]) -> None:
    """Restore the numbers of tensors."""
    for number, tensor in zip(numbers, tensors, strict=True):
        tensor.copy_(number)
