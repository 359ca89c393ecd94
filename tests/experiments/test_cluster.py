import pytest

from mainstay.gates.accuracy import predicted_accuracy
from mainstay.records.trials import Side
from mainstay.workers.pairs import PairRequest

pytest.importorskip("distributed")


def test_a_fake_pair_loses_the_margin_and_its_predictions_say_so():
    from experiments.cluster import MARGIN, fake_pair

    pairs = [fake_pair(0.0, PairRequest(workload="w", seed=seed, pair=0, sides=tuple(Side)), ()) for seed in range(50)]

    losses = []
    for pair in pairs:
        values = {trial.side: trial.values["top1_accuracy"] for trial in pair.trials}
        assert [predicted_accuracy(trial.predictions) for trial in pair.trials] == pytest.approx(list(values.values()))
        losses.append(values[Side.BASELINE] - values[Side.CANDIDATE])
    assert sum(losses) / len(losses) == pytest.approx(MARGIN, abs=0.003)
