"""The workers that are alive, stopped while others let go of theirs, and the trials made of what they report."""

import threading
from contextlib import ExitStack
from typing import Any, cast

import pytest

from mainstay.records.errors import Interrupted
from mainstay.records.trials import Outcome, Side
from mainstay.runner.recording import Trial as Recorder
from mainstay.workers import session
from mainstay.workers.session import LiveWorkers, TrialForm


class Killable:
    """A worker whose user lets go of it in another thread as soon as it is killed."""

    user: threading.Thread

    def __init__(self, *arguments, **options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    def kill(self):
        self.user.start()
        self.user.join(0.05)  # time enough to let go, were that not to wait for the end of the stop


def test_workers_that_are_let_go_of_while_all_are_stopped_are_stopped_all(monkeypatch, make_specs):
    monkeypatch.setattr(session, "Worker", Killable)
    spec = make_specs("[pytest]\n")[Side.BASELINE]
    live = LiveWorkers()
    users = []
    for _ in range(3):
        stack = ExitStack()
        killable = cast("Killable", live.start(spec, ["benchmarks"], stack))
        killable.user = threading.Thread(target=stack.close)
        users.append(killable.user)

    live.stop()

    for user in users:
        user.join()
    with ExitStack() as stack, pytest.raises(Interrupted):
        live.start(spec, ["benchmarks"], stack)


@pytest.mark.parametrize(
    ("has_items", "record", "outcome", "cause"),
    [
        pytest.param(False, lambda trial: trial.record(top1=0.9), Outcome.COMPLETED, "", id="a-value"),
        pytest.param(
            False,
            lambda trial: trial.record_examples("top1", [1, 0], ids=["a", "b"]),
            Outcome.FAILED,
            "the gated metric 'top1' was not recorded as one number: call record, since record_examples is for the marker "
            "evaluation",
            id="scores-instead-of-a-value",
        ),
        pytest.param(
            True,
            lambda trial: trial.record_examples("top1", [1, 0], ids=["a", "b"]),
            Outcome.COMPLETED,
            "",
            id="scores",
        ),
        pytest.param(
            True,
            lambda trial: trial.record(top1=0.9),
            Outcome.FAILED,
            "the gated metric 'top1' was not recorded item by item: call record_examples, since the marker evaluation needs "
            "the score of each item",
            id="a-value-instead-of-scores",
        ),
        pytest.param(
            True, lambda trial: None, Outcome.FAILED, "the gated metric 'top1' was not recorded", id="nothing"
        ),
    ],
)
def test_a_trial_records_values_or_scores_of_items_as_its_workload_needs(make_specs, has_items, record, outcome, cause):
    recorder = Recorder(1)
    record(recorder)
    spec = make_specs("[pytest]\n")[Side.BASELINE]
    form = TrialForm(spec=spec, workload="a", seed=1, pair=0, gated=("top1",), has_items=has_items)
    content: Any = {"outcome": "completed", "cause": "", "detail": [], "duration_s": 1.0, "peak_memory_bytes": 1}

    trial = form.ended(content | recorder.recorded(), load=None, last_lines=())

    assert (trial.outcome, trial.cause) == (outcome, cause)
