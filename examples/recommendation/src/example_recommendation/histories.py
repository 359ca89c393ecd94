"""Histories of users: what each has taken, drawn by taste and popularity, and one item that is held back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

NUM_USERS, NUM_ITEMS, NUM_TASTES = 1500, 400, 8
NUM_TAKEN = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Histories:
    """What the users took.

    Attributes:
        taken: (users, items), 1 where a user took an item.
        held_back: (users,), for each user an item that was taken, too, and is not in ``taken``.
    """

    taken: csr_matrix
    held_back: np.ndarray


def draw_histories(*, seed: int) -> Histories:
    """Draw tastes of users and items, and for each user the items taken, likelier the better they suit."""
    rng = np.random.default_rng(seed)
    tastes, traits = rng.normal(size=(NUM_USERS, NUM_TASTES)), rng.normal(size=(NUM_ITEMS, NUM_TASTES))
    utility = 0.8 * tastes @ traits.T + rng.normal(size=NUM_ITEMS)
    order = np.argsort(-(utility + rng.gumbel(size=utility.shape)), axis=1)[:, :NUM_TAKEN]
    users = np.arange(NUM_USERS)
    held_back = order[users, rng.integers(0, NUM_TAKEN, NUM_USERS)]
    taken = np.zeros(utility.shape, dtype=np.float32)
    np.put_along_axis(taken, order, 1, axis=1)
    taken[users, held_back] = 0
    return Histories(taken=csr_matrix(taken), held_back=held_back)
