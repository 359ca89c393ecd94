"""Sharing of one core by processes of this machine."""

import os
import subprocess
import sys

import pytest

from mainstay.workers.cores import sharing_one_core

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system gives no choice of cores")

THREADS = """
import threading
threading.Thread(target=input, daemon=True).start()
print(flush=True)
threading.Event().wait()
"""


@pytest.fixture
def start():
    """Starts processes of two threads that wait."""
    processes = []

    def start():
        process = subprocess.Popen([sys.executable, "-c", THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def cores_of(process):
    """The cores that each thread of a process may use."""
    return [os.sched_getaffinity(int(thread)) for thread in sorted(os.listdir(f"/proc/{process}/task"))]


def test_all_threads_of_the_processes_and_the_caller_use_one_core_and_afterwards_those_that_they_used_before(start):
    own = os.sched_getaffinity(0)
    one, other = start().pid, start().pid

    with sharing_one_core([one, other]) as is_shared:
        (core,) = os.sched_getaffinity(0)
        shared = cores_of(one), cores_of(other)

    assert is_shared
    assert shared == ([{core}] * 2, [{core}] * 2)
    assert cores_of(one) == cores_of(other) == [own] * 2
    assert os.sched_getaffinity(0) == own


def test_the_main_threads_alone_may_use_one_core(start):
    own = os.sched_getaffinity(0)
    one, other = start().pid, start().pid

    with sharing_one_core([one, other], by_main_threads=True) as is_shared:
        (core,) = os.sched_getaffinity(0)
        shared = cores_of(one), cores_of(other)

    assert is_shared
    assert shared == ([{core}, own], [{core}, own])
    assert cores_of(one) == cores_of(other) == [own] * 2


def test_a_process_that_ends_meanwhile_does_not_keep_the_others_on_the_core(start):
    own = os.sched_getaffinity(0)
    one, other = start(), start()

    with sharing_one_core([one.pid, other.pid]):
        one.kill()
        one.wait()

    assert cores_of(other.pid) == [own] * 2
    assert os.sched_getaffinity(0) == own


def test_processes_share_no_core_where_that_is_not_allowed(start, monkeypatch):
    own = os.sched_getaffinity(0)
    one, other = start().pid, start().pid
    choose = os.sched_setaffinity

    def refuse(thread, cores):
        if thread == other and len(cores) == 1:
            raise PermissionError(1, "Operation not permitted")
        choose(thread, cores)

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with sharing_one_core([one, other]) as is_shared:
        assert cores_of(one) == [own] * 2
        assert os.sched_getaffinity(0) == own

    assert not is_shared
