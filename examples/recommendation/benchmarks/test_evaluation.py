"""Is the item that was held back among the ten that are recommended, user by user?"""

import pytest
from example_recommendation.histories import draw_histories
from example_recommendation.recommender import recommend


@pytest.mark.evaluation(metric="hit_rate", margin=0.02)
def test_users(trial):
    histories = draw_histories(seed=1)
    recommended = recommend(histories.taken)
    trial.record_examples(
        "hit_rate",
        (recommended == histories.held_back[:, None]).any(axis=1),
        ids=[f"user {user}" for user in range(len(recommended))],
        inputs=[f"item {held}" for held in histories.held_back],
        outputs=[", ".join(map(str, row)) for row in recommended],
    )
