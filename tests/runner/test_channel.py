"""The worker's end of the pipes: it reads commands as they come, and ends with the gate whatever it does."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

WORKER = """
import sys
from mainstay.runner.channel import Channel

channel = Channel(int(sys.argv[1]), int(sys.argv[2]))
channel.send("ready")
for _ in range(int(sys.argv[3])):
    channel.send("answer", **channel.receive())
while True:
    sum(range(1000))
"""
"""Answers so many commands, then computes; it runs in a process group of its own, which it kills when the gate ends."""


class Worker:
    """A worker, and the gate's ends of its pipes."""

    def __init__(self, num_commands):
        commands, to_worker = os.pipe()
        from_worker, events = os.pipe()
        command = [sys.executable, "-c", WORKER, str(commands), str(events), str(num_commands)]
        self.process = subprocess.Popen(command, pass_fds=(commands, events), start_new_session=True)
        os.close(commands)
        os.close(events)
        self.gate = os.fdopen(to_worker, "wb", buffering=0)
        self.events = os.fdopen(from_worker, "rb")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.gate.close()
        self.events.close()

    def event(self):
        return json.loads(self.events.readline())


@pytest.fixture
def start():
    """Start a worker that answers so many commands; it is ready."""
    workers = []

    def start(num_commands):
        workers.append(Worker(num_commands))
        assert workers[-1].event()["event"] == "ready"
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


def test_commands_are_read_one_by_one_however_they_are_cut(start):
    worker = start(3)

    worker.gate.write(b'{"do": "first", "token": "a"}\n{"do": "second", "token": "b"}\n{"do": "th')
    assert worker.event() == {"event": "answer", "token": "a", "do": "first"}
    assert worker.event() == {"event": "answer", "token": "b", "do": "second"}

    worker.gate.write(b'ird", "token": "c"}\n')
    assert worker.event() == {"event": "answer", "token": "c", "do": "third"}


@pytest.mark.parametrize("num_commands", [0, 1], ids=["it-computes-with-a-command-unread", "it-waits-for-a-command"])
def test_the_end_of_the_gate_ends_a_worker(start, num_commands):
    worker = start(num_commands)
    if not num_commands:
        worker.gate.write(b'{"do": "block", "token": "a"}\n')
    time.sleep(0.1)
    assert worker.process.poll() is None

    worker.gate.close()

    assert worker.process.wait(timeout=60) == -signal.SIGKILL
