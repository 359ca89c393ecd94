"""Losses by name: cross-entropy with or without label smoothing, squared error, distillation.

A penalty on the size of the weights can be added to each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from mnist_reference.errors import UnknownNameError, nearest

DISTILLATION_TEMPERATURE = 4.0
"""Temperature; the source found 2.5 to 4 best for small students, and up to 20 for large ones."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Function of outputs (N, outputs) and targets that gives one number."""


def cross_entropy(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean of minus the log-probability of the true class, in nat.

    The article's sum over examples must be a mean, or the learning rate would depend on the batch size.

    Args:
        logits: (N, classes).
        labels: (N,), int64.
        label_smoothing: Share of the true probability that is spread evenly over all classes, in [0, 1].

    References:
        C. Szegedy et al. (2016), Rethinking the Inception architecture for computer vision, section 7 (smoothing).
    """
    return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of the squared differences over examples and outputs, in the squared unit of the targets.

    Args:
        outputs: (N, outputs).
        targets: The same shape; or (N,), int64: classes, which stand for 1 at the class and 0 elsewhere.

    Example:
        >>> import torch
        >>> mean_squared_error(torch.tensor([[1.0], [5.0]]), torch.tensor([[1.0], [2.0]])).item()
        4.5
    """
    if not targets.is_floating_point():
        targets = functional.one_hot(targets, outputs.shape[1]).to(outputs.dtype)  # (N, outputs)
    return functional.mse_loss(outputs, targets)


def distillation(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Divergence of a student's softened probabilities from its teacher's, in nat, times the temperature squared.

    The factor keeps the size of the gradient independent of the temperature. True labels play no part.

    Args:
        logits: (N, classes).
        teacher_logits: The same shape.

    References:
        G. Hinton, O. Vinyals, J. Dean (2015), Distilling the knowledge in a neural network, section 2.

    Example:
        >>> import torch
        >>> distillation(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0]])).item()
        0.0
    """
    soft, teacher_soft = (
        functional.log_softmax(some / DISTILLATION_TEMPERATURE, dim=1) for some in (logits, teacher_logits)
    )
    divergence = functional.kl_div(soft, teacher_soft, reduction="batchmean", log_target=True)
    return divergence * DISTILLATION_TEMPERATURE**2


def loss_by_name(name: str, *, label_smoothing: float = 0.0) -> Loss:
    """The loss with a name.

    Args:
        name: ``cross_entropy``, ``mean_squared_error`` or ``distillation``.
        label_smoothing: Label smoothing of the cross-entropy.

    Raises:
        UnknownNameError: If there is no such loss.
    """
    losses: dict[str, Loss] = {
        "cross_entropy": partial(cross_entropy, label_smoothing=label_smoothing),
        "mean_squared_error": mean_squared_error,
        "distillation": distillation,
    }
    if name not in losses:
        raise UnknownNameError(f"no loss named {name!r}", looked_in=__name__, next_step=nearest(name, losses))
    return losses[name]


def penalised(loss: Loss, weights: Sequence[Tensor], *, l1: float, l2: float) -> Loss:
    """A loss plus ``l1`` times the sum of the absolute weights and ``l2`` times the sum of their squares.

    The penalty is part of the loss, so it works with every optimiser. Adam scales its gradient by the gradient's
    history, so this differs from the weight decay of ``adamw``.

    Args:
        loss: Loss that the penalty is added to.
        weights: Penalised weights, preferably without biases.
        l1: Strength of the penalty that drives weights to zero.
        l2: Strength of the penalty that keeps weights small.

    Returns:
        The penalised loss; the given loss itself if both strengths are 0.

    References:
        I. Goodfellow, Y. Bengio, A. Courville (2016), Deep learning, section 7.1.

    Example:
        >>> squared = penalised(mean_squared_error, [torch.tensor([[3.0, -4.0]])], l1=0.1, l2=0.01)
        >>> round(squared(torch.zeros(1, 1), torch.zeros(1, 1)).item(), 4)
        0.95
    """
    if not (l1 or l2):
        return loss

    def loss_with_penalty(outputs: Tensor, targets: Tensor) -> Tensor:
        sizes = torch.stack([l1 * weight.abs().sum() + l2 * weight.square().sum() for weight in weights])
        return loss(outputs, targets) + sizes.sum()

    return loss_with_penalty
