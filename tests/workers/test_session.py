"""The workers that are alive, stopped while others let go of theirs."""

import threading
from contextlib import ExitStack
from typing import cast

import pytest

from mainstay.records.errors import Interrupted
from mainstay.records.trials import Side
from mainstay.workers import session
from mainstay.workers.session import LiveWorkers


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
