"""The worker's end of the two pipes to the gate."""

from __future__ import annotations

import json
import os
import select
import signal
import threading
from os import read, write  # bound here: a workload that patches them must not cut the worker off from the gate
from time import sleep
from typing import Any

from .processes import kill_children
from .protocol import Event


class Listener(threading.Thread):
    """The thread of the worker itself, which only waits."""


class Channel:
    """Channel of JSON lines to and from the gate, over two separate file descriptors.

    A thread waits for the end of the gate while the workload runs, which ends the worker at once. It does nothing else,
    so that it takes no time from the workload: the commands are read by the thread that waits for them. No child of the
    worker inherits the descriptors.

    Args:
        commands: Descriptor to read commands from.
        events: Descriptor to write events to.
    """

    def __init__(self, commands: int, events: int) -> None:
        self._commands = commands
        self._events = events
        self._token = ""
        self._unread = b""
        for descriptor in (commands, events):
            os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=self._let_go)
        Listener(target=_await_end_of_gate, args=(commands,), daemon=True, name="mainstay lifeline").start()

    def _let_go(self) -> None:
        """Close the event descriptor in a forked child."""
        os.close(self._events)
        self._events = -1

    def receive(self) -> dict[str, Any]:
        """Wait for the next command."""
        while b"\n" not in self._unread:
            data = read(self._commands, 1 << 16)
            if not data:
                _end_with_gate()
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        command: dict[str, Any] = json.loads(line)
        self._token = command.pop("token")
        return command

    def send(self, event: Event, **content: Any) -> None:
        """Send an event with its content, see :mod:`~mainstay.runner.protocol`."""
        line = json.dumps({"event": event, "token": self._token, **content}, allow_nan=False)
        data = memoryview((line + "\n").encode())
        while data:
            data = data[write(self._events, data) :]


def _await_end_of_gate(commands: int) -> None:
    """Wait until the gate has closed its end of the pipe, whatever it has written there."""
    watched = select.poll()
    watched.register(commands, select.POLLHUP)
    while not watched.poll():
        sleep(0.01)  # some systems return at once while a command is unread
    _end_with_gate()


def _end_with_gate() -> None:
    kill_children()
    os.killpg(os.getpid(), signal.SIGKILL)
