"""Learning rates as pure functions of the step, by name."""

from __future__ import annotations

from collections.abc import Callable

from mnist_reference.errors import UnknownNameError, nearest

WARM_SHARE = 0.2
"""Part of a training run with ``one_cycle`` in which the learning rate rises."""

Schedule = Callable[[int, int], float]
"""Function of the step, from 0, and the number of steps; gives the share of the learning rate, in [0, 1]."""


def constant(step: int, num_steps: int) -> float:
    """1 at every step."""
    return 1.0


def one_cycle(step: int, num_steps: int) -> float:
    """Linear increase to 1 and linear decrease to almost 0; neither the first step nor the last is 0.

    References:
        L. N. Smith, N. Topin (2018), Super-convergence: very fast training of neural networks using large learning
        rates; without their momentum cycle.

    Example:
        >>> [one_cycle(step, 10) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    warm_steps = WARM_SHARE * num_steps
    return min((step + 1) / warm_steps, (num_steps - step) / (num_steps - warm_steps), 1.0)


SCHEDULES: dict[str, Schedule] = {"constant": constant, "one_cycle": one_cycle}


def schedule_by_name(name: str) -> Schedule:
    """The schedule with a name.

    Raises:
        UnknownNameError: If there is no such schedule.
    """
    if name not in SCHEDULES:
        raise UnknownNameError(f"no schedule named {name!r}", looked_in=__name__, next_step=nearest(name, SCHEDULES))
    return SCHEDULES[name]
