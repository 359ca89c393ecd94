"""Optimisers by name.

``adam`` is torch's own Adam kernel without the ``torch.optim.Optimizer`` around it: constructing any of those imports
``torch._dynamo``, which takes longer than training one epoch. ``momentum`` is SGD with a momentum of 0.9. Every other
name is looked up in ``torch.optim``. :mod:`mnist_reference.training.update_rules` writes the rules out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam

from mnist_reference.errors import UnknownNameError, nearest


class Optimizer(Protocol):
    """Interface of an optimiser that the training loop needs; every ``torch.optim.Optimizer`` has it.

    Attributes:
        param_groups: Parameter groups; ``lr`` of each is the size of the next step.
    """

    param_groups: list[dict[str, Any]]

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def step(self) -> object:
        """Move the parameters along their gradients."""

    def state_dict(self) -> dict[str, Any]:
        """All that it remembers; the tensors are its own, no copies."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""


class Adam:
    """Adam, with the bits of ``torch.optim.Adam(..., fused=True)``.

    Args:
        parameters: Tensors that require gradients, all of which the loss depends on.
        learning_rate: Size of a step.

    References:
        D. P. Kingma, J. Ba (2015), Adam: a method for stochastic optimization, algorithm 1.
    """

    def __init__(self, parameters: Iterable[Tensor], *, learning_rate: float) -> None:
        self.parameters = list(parameters)
        self.param_groups: list[dict[str, Any]] = [{"lr": learning_rate}]
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.num_steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters along their gradients."""
        adam(
            self.parameters,
            [parameter.grad for parameter in self.parameters if parameter.grad is not None],
            self.means,
            self.squares,
            [],
            self.num_steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.param_groups[0]["lr"],
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """All that it remembers but the learning rate; the tensors are its own, no copies."""
        return {"means": self.means, "squares": self.squares, "num_steps": self.num_steps}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        for name, tensors in self.state_dict().items():
            for own, kept in zip(tensors, state_dict[name], strict=True):
                own.copy_(kept)


def optimizer_by_name(name: str, parameters: Iterable[Tensor], *, learning_rate: float) -> Optimizer:
    """An optimiser over some parameters.

    Args:
        name: ``"adam"``, ``"momentum"``, or the name of a class in ``torch.optim`` in upper or lower case, such as
            ``"sgd"``.
        parameters: Tensors that require gradients.
        learning_rate: Size of a step; all other arguments have the defaults of the class.

    Raises:
        UnknownNameError: If ``torch.optim`` has no such optimiser.
    """
    if name == "adam":
        return Adam(parameters, learning_rate=learning_rate)
    if name == "momentum":
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9)
    require_optimizer(name)
    optimizer: Optimizer = _classes()[name.lower()](parameters, lr=learning_rate)
    return optimizer


def require_optimizer(name: str) -> None:
    """Refuse a name that :func:`optimizer_by_name` does not accept.

    Raises:
        UnknownNameError: If the name is unknown; the message suggests the nearest known one.
    """
    if name in {"adam", "momentum"}:
        return
    classes = _classes()
    if name.lower() not in classes:
        raise UnknownNameError(
            f"no optimiser named {name!r}", looked_in="torch.optim", next_step=nearest(name, [*classes, "momentum"])
        )


def _classes() -> dict[str, Any]:
    """The optimisers of ``torch.optim``, by their names in lower case."""
    classes = {known.lower(): getattr(torch.optim, known) for known in torch.optim.__all__ if known[0].isupper()}
    # base class; needs the loss again; sparse gradients only; matrices only, and new
    for unfit in ("optimizer", "lbfgs", "sparseadam", "muon"):
        classes.pop(unfit, None)
    return classes
