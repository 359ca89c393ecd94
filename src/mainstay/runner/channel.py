"""The worker's end of the two pipes to the gate."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from typing import Any

from .processes import kill_children
from .protocol import Event


class Listener(threading.Thread):
    """The thread of the worker itself, which only waits."""


class Channel:
    """Channel of JSON lines to and from the gate, over two separate file descriptors.

    A thread waits for commands while the workload runs, so that the end of the gate ends the worker at once. No child of
    the worker inherits the descriptors.

    Args:
        commands: Descriptor to read commands from.
        events: Descriptor to write events to.
    """

    def __init__(self, commands: int, events: int) -> None:
        self._events = events
        self._token = ""
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        for descriptor in (commands, events):
            os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=self._let_go)
        Listener(target=self._listen, args=(commands,), daemon=True, name="mainstay commands").start()

    def _listen(self, commands: int) -> None:
        with os.fdopen(commands, "rb") as stream:
            for line in stream:
                self._queue.put(json.loads(line))
        kill_children()
        os.killpg(os.getpid(), signal.SIGKILL)

    def _let_go(self) -> None:
        """Close the event descriptor in a forked child."""
        os.close(self._events)
        self._events = -1

    def receive(self) -> dict[str, Any]:
        """Wait for the next command."""
        command = self._queue.get()
        self._token = command.pop("token")
        return command

    def send(self, event: Event, **content: Any) -> None:
        """Send an event with its content, see :mod:`~mainstay.runner.protocol`."""
        line = json.dumps({"event": event, "token": self._token, **content}, allow_nan=False)
        data = memoryview((line + "\n").encode())
        while data:
            data = data[os.write(self._events, data) :]
