"""Gradient descent, momentum and Adam written out: each rule a pure function of weights, gradient and state.

Read this module together with section 4.3 of the article, in which two formulas are not the methods that they are named
after. Training uses ``torch.optim`` (:mod:`mnist_reference.training.optimizers`), which gives equal results.

- *Momentum*. The article has ``w - alpha * gradient + beta * v`` with a ``v`` that never changes. The velocity must
  accumulate the gradients, ``v = beta * v + gradient``, and the step is ``w - alpha * v``.
- *Adam*. The article adds the gradient and both corrected moments. Adam steps along the first moment *divided by the
  root of* the second, and the gradient itself does not appear: ``w - alpha * m / (sqrt(s) + eps)``. If the second
  moment, a mean of squares, were added, it would always push in one direction, and its unit would not match.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Moments(NamedTuple):
    """State of Adam between steps.

    Attributes:
        mean: Running mean of the gradients, shape of the weights.
        square: Running mean of their squares, same shape.
        num_steps: Steps taken.
    """

    mean: Tensor
    square: Tensor
    num_steps: int = 0


def gradient_descent(weights: Tensor, gradient: Tensor, *, learning_rate: float) -> Tensor:
    """One step against the gradient, for tensors of any shape.

    Example:
        >>> import torch
        >>> gradient_descent(torch.tensor(1.0), torch.tensor(2.0), learning_rate=0.25)
        tensor(0.5000)
    """
    return weights - learning_rate * gradient


def momentum(
    weights: Tensor, gradient: Tensor, velocity: Tensor, *, learning_rate: float, decay: float = 0.9
) -> tuple[Tensor, Tensor]:
    """One step of gradient descent with momentum (the heavy-ball method).

    Args:
        weights: Weights, of any shape.
        gradient: Gradient of the loss at the weights.
        velocity: Velocity from the step before; zeros at the first step.
        learning_rate: Size of a step.
        decay: Share of the velocity that is kept.

    Returns:
        New weights and new velocity.

    References:
        B. T. Polyak (1964), Some methods of speeding up the convergence of iteration methods, USSR Comput. Math. 4(5).
    """
    velocity = decay * velocity + gradient
    return weights - learning_rate * velocity, velocity


def adam(
    weights: Tensor,
    gradient: Tensor,
    moments: Moments,
    *,
    learning_rate: float,
    mean_decay: float = 0.9,
    square_decay: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Tensor, Moments]:
    """One step of Adam.

    Args:
        weights: Weights, of any shape.
        gradient: Gradient of the loss at the weights.
        moments: Moments from the step before; zeros at the first step.
        learning_rate: Size of a step.
        mean_decay: Decay of the mean, beta 1.
        square_decay: Decay of the mean square, beta 2.
        epsilon: Small number that keeps the divisor away from zero.

    Returns:
        New weights and new moments.

    References:
        D. P. Kingma, J. Ba (2015), Adam: a method for stochastic optimization, algorithm 1.
    """
    num_steps = moments.num_steps + 1
    mean = mean_decay * moments.mean + (1 - mean_decay) * gradient
    square = square_decay * moments.square + (1 - square_decay) * gradient**2
    corrected_mean = mean / (1 - mean_decay**num_steps)  # both start at zero, which biases them towards it
    corrected_square = square / (1 - square_decay**num_steps)
    weights = weights - learning_rate * corrected_mean / (corrected_square.sqrt() + epsilon)
    return weights, Moments(mean, square, num_steps)
