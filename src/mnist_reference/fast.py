"""The steps of a perceptron, faster: the kernels of the plain loop in its order, with neither autograd nor allocation.

The plain loop of :mod:`mnist_reference.train` stays the definition of training. What is here takes its place only where
it gives the same bits, which every epoch tries out on a few batches. So a change to the loop, to the model or to the
optimiser is never hidden by the faster way, it only is no longer made faster by it.

- :func:`faster`: the way to train an epoch, given the plain one; :func:`as_it_is` leaves it.
- :func:`is_fit`: whether a recipe asks for nothing else than what is here.
- :class:`Steps`: forward pass, gradients by hand and Adam, for one perceptron or for several at once.
- :func:`stacked`: several optimisers as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from mnist_reference.data import Split
from mnist_reference.model import Perceptron
from mnist_reference.optimizers import Adam, Optimizer
from mnist_reference.recipes import Recipe

NUM_TRIED = 3
"""Batches at the start of an epoch that are trained both ways; the last one, which may be smaller, comes on top."""

ACCELERATOR_TOLERANCE = 1e-4
"""Relative difference of two losses; float32 sums of 784 products differ by about 1e-6 with their order."""

NUM_WARM = 3
"""Launches of a step before it is captured as a CUDA graph, in which libraries make what they keep."""

ADAM = {"amsgrad": False, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0, "eps": 1e-8, "maximize": False}
"""What :class:`mnist_reference.optimizers.Adam` passes to the same kernel."""

Way = Callable[[Sequence[Tensor]], Tensor]
"""Trains on some batches of indices and gives the loss of each."""


def faster(model: nn.Module, recipe: Recipe, optimizer: Optimizer, split: Split) -> Callable[[Way], Way]:
    """What makes of the plain way to train an epoch the fastest one with its bits.

    Args:
        model: What is trained.
        recipe: How.
        optimizer: Over the parameters of the model.
        split: Images and labels on the device of the model.

    Returns:
        Takes a way that trains ``model`` by ``optimizer`` on ``split``; :func:`as_it_is` where none is faster.
    """
    if not (is_fit(model, recipe) and isinstance(optimizer, Adam)):
        return as_it_is
    steps = Steps(optimizer, split)

    def quicken(plain: Way) -> Way:
        return partial(tried_epoch, plain, steps.run, steps.state)

    return quicken


def as_it_is(plain: Way) -> Way:
    """The plain way itself."""
    return plain


def is_fit(model: nn.Module, recipe: Recipe) -> bool:
    """Whether a recipe is cross-entropy and Adam on a perceptron, every other choice being that of the article.

    Example:
        >>> from dataclasses import replace
        >>> from mnist_reference.model import initialised
        >>> from mnist_reference.recipes import article, digits
        >>> perceptron = initialised(article().model, seed=0)
        >>> is_fit(perceptron, digits()), is_fit(perceptron, replace(digits(), label_smoothing=0.1))
        (True, False)
    """
    simple = Recipe(
        name=recipe.name,
        model=recipe.model,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
    )
    return type(model) is Perceptron and recipe == simple and _is_ordinary(model)


def _is_ordinary(model: Perceptron) -> bool:
    """Whether nothing but layers of weight and bias takes part: no dropout, no masks, no parametrisation, no hooks."""
    with torch.device("meta"):
        ordinary = Perceptron(model.config)
    modules = [*model.modules()]
    return (
        model.config.dropout == 0
        and [*map(type, modules)] == [*map(type, ordinary.modules())]
        and [*model.state_dict()] == [*ordinary.state_dict()]
        and not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    )


def tried_epoch(plain: Way, fast: Way, state: Sequence[Tensor], batches: Sequence[Tensor]) -> Tensor:
    """An epoch by the fast way, if that agrees with the plain one on the first batches and the last; else by the plain.

    On a CPU, to agree is to have the same bits. On an accelerator, whose libraries choose their kernels by the shape of
    a call, it is to have the same losses to within ``ACCELERATOR_TOLERANCE``.

    Args:
        plain: What is to be computed.
        fast: Said to compute the same.
        state: All that either changes; trained in place.
        batches: Indices of the examples of each batch.

    Returns:
        The loss of each batch before its step.
    """
    before = copies(state)
    few = [*batches[:NUM_TRIED], *batches[NUM_TRIED:][-1:]]
    losses, after = plain(few), copies(state)
    put_back(before, state)
    if losses.device.type == "cpu":
        agrees = torch.equal(fast(few), losses) and all(map(torch.equal, state, after))
    else:
        agrees = torch.allclose(fast(few), losses, rtol=ACCELERATOR_TOLERANCE, atol=0.0)
    put_back(before, state)
    return fast(batches) if agrees else plain(batches)


class Steps:
    """Steps of Adam along the gradient of the mean cross-entropy, on buffers that are made once for each batch size.

    Several perceptrons of one shape are trained at once where their optimisers are :func:`stacked`: what is said below
    with members in front. Every product of matrices is then one call for all of them, which keeps all cores busy where
    the matrices of one member are too small to be shared out.

    Args:
        optimizer: Over weight and bias of each layer from the input to the output: (outputs, inputs) and (outputs,), or
            (members, outputs, inputs) and (members, outputs). All of its tensors are trained in place.
        split: Images and labels on the same device.
    """

    def __init__(self, optimizer: Adam, split: Split) -> None:
        self._optimizer = optimizer
        self._images, self._labels = split.images.flatten(1), split.labels
        parameters = [parameter.detach() for parameter in optimizer.parameters]
        self._members = parameters[0].shape[:-2]  # () for one perceptron
        self._weights, self._biases = parameters[0::2], parameters[1::2]
        if self._members:
            self._biases = [bias.unsqueeze(-2) for bias in self._biases]  # (members, 1, outputs)
        gradients = [torch.empty_like(parameter) for parameter in parameters]
        self._weight_gradients, self._bias_gradients = gradients[0::2], gradients[1::2]
        # each member's part by itself, since Adam's kernel rounds otherwise at the end of a tensor
        self._adam = [
            [part for tensor in tensors for part in tensor.view(math.prod(self._members), -1)]
            for tensors in (parameters, gradients, optimizer.means, optimizer.squares)
        ]
        self._num_steps = [steps for tensor in optimizer.num_steps for steps in tensor.view(-1)]
        self._launches: dict[int, tuple[_Buffers, Callable[[], None]]] = {}

    @property
    def state(self) -> list[Tensor]:
        """Everything that a step changes."""
        optimizer = self._optimizer
        return [*optimizer.parameters, *optimizer.means, *optimizer.squares, *optimizer.num_steps]

    @torch.inference_mode()
    def run(self, batches: Sequence[Tensor]) -> Tensor:
        """One step for each batch.

        Args:
            batches: Indices of the examples of each, (N,) or (members, N).

        Returns:
            The loss of each batch before its step, (number of batches,) or (number of batches, members).
        """
        losses = torch.empty((len(batches), *self._members), device=self._images.device)
        for batch, loss in zip(batches, losses, strict=True):
            buffers, launch = self._prepared(batch.shape[-1])
            buffers.batch.copy_(batch.reshape(-1))
            launch()
            loss.copy_(buffers.loss)
        return losses

    def _prepared(self, size: int) -> tuple[_Buffers, Callable[[], None]]:
        """Buffers for a batch size, and a step on them."""
        if size not in self._launches:
            buffers = _Buffers(self._images, self._weights, size)
            step = partial(self._step, buffers)
            self._launches[size] = buffers, captured(step, self.state) if self._images.is_cuda else step
        return self._launches[size]

    def _step(self, buffers: _Buffers) -> None:
        """One step on the batch in the buffers."""
        multiply, add_product = (torch.bmm, torch.baddbmm) if self._members else (torch.mm, torch.addmm)
        buffers.fill_pixels(self._images)
        last = len(self._weights) - 1
        for layer, outputs in enumerate(buffers.outputs):
            add_product(self._biases[layer], buffers.inputs[layer], self._weights[layer].mT, out=outputs)
            if layer < last:
                outputs.relu_()
        buffers.fill_logit_slopes(self._labels)
        for layer in range(last, -1, -1):
            slopes, inputs = buffers.slopes[layer], buffers.inputs[layer]
            multiply(slopes.mT, inputs, out=self._weight_gradients[layer])
            torch.sum(slopes, -2, out=self._bias_gradients[layer])
            if layer:
                before = multiply(slopes, self._weights[layer], out=buffers.slopes[layer - 1])
                torch.ops.aten.threshold_backward.grad_input(before, inputs, 0, grad_input=before)  # of the ReLU
        torch._foreach_add_(self._optimizer.num_steps, 1)
        rate: float = self._optimizer.param_groups[0]["lr"]
        torch._fused_adam_(*self._adam, [], self._num_steps, lr=rate, **ADAM)  # type: ignore[call-overload]


class _Buffers:
    """What a step reads and writes, for one batch size.

    Attributes:
        batch: Indices of the examples, (members * N,).
        loss: Mean over the batch, () or (members,).
        inputs: Of each layer, (..., N, inputs).
        outputs: Of each layer after its ReLU, (..., N, outputs); the last are the logits.
        slopes: Of the loss with respect to the outputs of each layer before the ReLU, the same shapes.
    """

    def __init__(self, images: Tensor, weights: Sequence[Tensor], size: int) -> None:
        *members, num_classes, _ = weights[-1].shape
        make = partial(torch.empty, device=images.device)
        rows = (*members, size)
        self._size = size
        self._stored = make(math.prod(rows), images.shape[1], dtype=images.dtype)
        self._pixels = self._stored if images.is_floating_point() else make(self._stored.shape)
        self.batch = make(len(self._stored), dtype=torch.int64)
        self.loss = make(tuple(members))
        self.outputs = [make(*rows, weight.shape[-2]) for weight in weights]
        self.inputs = [self._pixels.view(*rows, -1), *self.outputs[:-1]]
        self.slopes = [torch.empty_like(outputs) for outputs in self.outputs]
        self._logits, self._logit_slopes = self.outputs[-1].view(-1, num_classes), self.slopes[-1].view(-1, num_classes)
        self._shares = torch.empty_like(self._logits)

    def fill_pixels(self, images: Tensor) -> None:
        """Fill the inputs of the first layer, scaled as by :func:`mnist_reference.data.scaled_pixels`."""
        torch.index_select(images, 0, self.batch, out=self._stored)
        if self._pixels is not self._stored:
            self._pixels.copy_(self._stored).div_(255)

    def fill_logit_slopes(self, labels: Tensor) -> None:
        """Fill the loss of each member and the slopes of the last layer by the kernels of ``functional.cross_entropy``."""
        labels = labels[self.batch]
        log_probabilities = torch.log_softmax(self._logits, 1)
        parts = zip(log_probabilities.split(self._size), labels.split(self._size), self.loss.view(-1), strict=True)
        for part, its_labels, loss in parts:
            loss.copy_(functional.nll_loss(part, its_labels))
        self._shares.zero_().scatter_(1, labels.unsqueeze(1), -1 / self._size)  # slopes at the log-probabilities
        torch.ops.aten._log_softmax_backward_data.out(
            self._shares, log_probabilities, 1, self._logits.dtype, out=self._logit_slopes
        )


def stacked(optimizers: Sequence[Adam]) -> Adam:
    """Several optimisers over parameters of equal shapes as one, with members in front.

    Every tensor of each becomes a view into a tensor of the whole, so that either can take the next step.

    Args:
        optimizers: One a member, all with the same learning rate.
    """
    whole = Adam([], learning_rate=optimizers[0].param_groups[0]["lr"])
    for name in ("parameters", "means", "squares", "num_steps"):
        for tensors in zip(*(getattr(optimizer, name) for optimizer in optimizers), strict=True):
            stack = torch.stack([tensor.detach() for tensor in tensors])
            getattr(whole, name).append(stack)
            for tensor, view in zip(tensors, stack, strict=True):
                tensor.data = view
    return whole


def captured(step: Callable[[], None], state: Sequence[Tensor]) -> Callable[[], None]:
    """A step as one CUDA graph, launched at once in place of kernel by kernel; the state stays as it was.

    Args:
        step: Reads and writes the same memory every time.
        state: All that it changes and reads again.
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
    """Tensors of their own with the same numbers."""
    return [tensor.detach().clone() for tensor in tensors]


@torch.no_grad()
def put_back(numbers: Sequence[Tensor], tensors: Sequence[Tensor]) -> None:
    """Give tensors the numbers that they had."""
    for number, tensor in zip(numbers, tensors, strict=True):
        tensor.copy_(number)
