"""A real scheduler and real workers of Dask, each a process of its own, as a user starts them."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

START_SECONDS = 120.0


class DaskCluster:
    """A scheduler on this machine, to which workers are added."""

    def __init__(self, folder: Path, environ: dict[str, str] | None = None) -> None:
        self._folder = folder
        self._environ = dict(os.environ if environ is None else environ)
        self._processes: list[subprocess.Popen] = []
        scheduler, log = self._start("scheduler", "--port", "0", "--no-dashboard")
        self.address = self._await(scheduler, log, r"Scheduler at: +(tcp://\S+)")

    def add_worker(self, *options: str, **variables: str) -> subprocess.Popen:
        """Start a worker that is not restarted when it is killed, and wait until the scheduler knows it."""
        worker, log = self._start("worker", self.address, "--no-dashboard", "--no-nanny", *options, **variables)
        self._await(worker, log, r"Registered to: +(tcp://\S+)")
        return worker

    def _start(self, *arguments: str, **variables: str) -> tuple[subprocess.Popen, Path]:
        log = self._folder / f"{len(self._processes)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                cwd=self._folder,
                env={**self._environ, **variables},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process, log

    @staticmethod
    def _await(process: subprocess.Popen, log: Path, pattern: str) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if match := re.search(pattern, log.read_text()):
                return match[1]
            time.sleep(0.05)
        pytest.fail(log.read_text())

    def close(self) -> None:
        """Kill everything that is left."""
        for process in self._processes:
            process.kill()
            process.wait()


def keepers(cache: Path) -> list[psutil.Process]:
    """The processes that keep environments for a cluster."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "mainstay.commands.host" in command and command[-1].startswith(str(cache)):
            found.append(process)
    return found
