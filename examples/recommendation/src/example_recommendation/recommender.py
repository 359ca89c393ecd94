"""The recommender: matrix factorisation by Bayesian personalised ranking."""

from __future__ import annotations

import numpy as np
from implicit.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

NUM_RECOMMENDED = 10


def recommend(taken: csr_matrix) -> np.ndarray:
    """Fit the model, by one thread and with a fixed seed, and recommend.

    Args:
        taken: (users, items), 1 where a user took an item.

    Returns:
        (users, 10), the best items first, none of them taken before.
    """
    model = BayesianPersonalizedRanking(factors=16, random_state=0, num_threads=1)
    model.fit(taken, show_progress=False)
    recommended, _ = model.recommend(np.arange(taken.shape[0]), taken, N=NUM_RECOMMENDED)
    return recommended
