"""Servers that fork workers, with real processes in this very environment."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import psutil
import pytest

from mainstay.measuring.scheduling import draw_block_orders
from mainstay.records.errors import EnvironmentBuildError
from mainstay.records.trials import Outcome, Side
from mainstay.runner.confinement import can_confine
from mainstay.workers.collecting import collect_workloads
from mainstay.workers.fork_server import can_fork, describe_preload, fork_servers
from mainstay.workers.interleaved import MAX_ALTERNATIONS, TimedRequest, TimedTask, run_timed_pair
from mainstay.workers.pairs import PairRequest, run_pair
from mainstay.workers.session import LiveWorkers

pytestmark = pytest.mark.skipif(not can_fork(sys.platform), reason="servers fork on Linux only")

TEST_A = "benchmarks/test_a.py::test_a"


@pytest.fixture
def specs(make_specs, tmp_path):
    """Workers of both sides; modules to preload stand in the folder ``modules``."""
    modules = tmp_path / "modules"
    modules.mkdir()
    return make_specs("[pytest]\n", PYTHONPATH=str(modules), PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="1")


@pytest.fixture
def write(tmp_path):
    """Write a file of workloads, or a module to preload."""

    def write(text, place="measure/benchmarks/test_a.py"):
        (tmp_path / place).write_text(textwrap.dedent(text))

    return write


@pytest.fixture
def forking(specs):
    """Start a server for each side; gives what starts the workers that they fork, and the servers."""
    with ExitStack() as stack:

        def forking(*modules):
            servers = stack.enter_context(fork_servers(specs, modules))
            return LiveWorkers({side: server.start for side, server in servers.items()}), servers

        yield forking


def request(**options):
    """A pair of the workload, by default of the candidate alone."""
    defaults = {"seed": 5, "pair": 0, "sides": (Side.CANDIDATE,), "limit_s": 600.0, "gated": ("a",)}
    return PairRequest(workload=TEST_A, **{**defaults, **options})


def is_gone(pid):
    """Whether a process is soon taken from the table of processes."""
    for _ in range(1200):
        if not psutil.pid_exists(pid):
            return True
        time.sleep(0.05)
    return False


WHAT_A_PROCESS_IS_LIKE = """
    import os, pathlib, signal, sys, tempfile, threading

    def test_a(trial):
        print("written")
        home, temporary = pathlib.Path.home(), pathlib.Path(tempfile.gettempdir())
        trial.record(
            a=trial.seed,
            hash_of_text=hash("text"),
            num_threads=threading.active_count(),
            leads_its_group=os.getpgid(0) == os.getpid() == os.getsid(0),
            num_files=len([*home.iterdir(), *temporary.iterdir(), *pathlib.Path.cwd().iterdir()]),
            num_descriptors=len(os.listdir("/proc/self/fd")),
            takes_notice_of_children=signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL,
        )
        trial.record_context(
            home=home.name,
            temporary=temporary.name,
            beside=str(home.parent == temporary.parent == pathlib.Path.cwd().parent),
            main=sys.modules["__main__"].__file__,
            names=" ".join(sorted(os.environ)),
            seen_by_children=os.popen("echo $HOME").read().strip().rpartition("/")[2],
        )
        trial.record_digest({"text": str(sorted({"a", "b", "c"}))})
"""


def test_a_forked_worker_gives_the_same_trial_as_a_fresh_one(specs, forking, write):
    write(WHAT_A_PROCESS_IS_LIKE)
    forked_live, _ = forking("decimal")

    (forked,), (fresh,) = (run_pair(specs, request(), live=live).trials for live in (forked_live, None))

    assert forked.outcome is Outcome.COMPLETED, forked.cause
    measured: dict[str, Any] = {"duration_s": 0.0, "peak_memory_bytes": 0, "load": None}
    assert replace(forked, **measured) == replace(fresh, **measured)


def test_a_module_is_imported_once_and_what_a_worker_changes_stays_in_it(specs, forking, write, tmp_path):
    write(
        f"""
        counter = [0]
        with open({str(tmp_path / "imports")!r}, "a") as stream:
            stream.write("imported")
        print("a line of the import")
        """,
        "modules/preloaded.py",
    )
    write("""
        import numpy, os, preloaded, random

        def test_a(trial):
            preloaded.counter[0] += 1
            os.environ["CHANGED"] = str(preloaded.counter[0])
            trial.record(a=preloaded.counter[0], process=os.getpid(), drawn=random.random(), too=numpy.random.random())
    """)
    live, servers = forking("preloaded", "numpy.random")

    trials = [trial for pair in range(3) for trial in run_pair(specs, request(pair=pair), live=live).trials]

    assert [trial.values["a"] for trial in trials] == [1.0] * 3
    assert all(len({trial.values[name] for trial in trials}) == 3 for name in ("process", "drawn", "too"))
    assert (tmp_path / "imports").read_text() == "imported" * len(servers)
    assert not any("a line of the import" in line for trial in trials for line in trial.last_lines)


def test_workloads_are_collected_by_forked_workers(specs, forking, write):
    write("import decimal, sys\n\ndef test_a(trial): ...\nnames = sorted(sys.modules)\n")
    _, servers = forking("decimal")

    collection = collect_workloads(specs[Side.BASELINE], ["benchmarks"], servers[Side.BASELINE].start)

    assert [workload.id for workload in collection.workloads] == [TEST_A]


def test_timed_workloads_take_turns_in_forked_workers(specs, forking, write):
    write("""
        import os

        def test_a(benchmark):
            benchmark.extra_info["parent"] = os.getppid()
            benchmark(len, [])
    """)
    live, servers = forking("decimal")
    order = draw_block_orders("", "c", TEST_A, 0, MAX_ALTERNATIONS)
    task = TimedTask(workload=TEST_A, seed=1, first=order, gated=("call_time",))

    result = run_timed_pair(specs, TimedRequest(pair=0, tasks=(task,), seconds=0.2), live=live)

    assert {trial.side: trial.values["parent"] for trial in result.trials} == {
        side: server.pid for side, server in servers.items()
    }
    assert all(len(trial.block_times_s) >= 2 for trial in result.trials)


def test_what_is_measured_apart_has_fresh_interpreters(specs, forking, write):
    write("""
        import os

        def test_a(trial):
            trial.record(a=os.getppid())
    """)
    live, _ = forking("decimal")

    (trial,) = run_pair(specs, request(needs_fresh_process=True), live=live).trials

    assert trial.values["a"] == os.getpid()


@pytest.mark.parametrize(
    ("body", "outcome", "cause"),
    [
        pytest.param("os.kill(os.getpid(), 9)", Outcome.CRASHED, "killed by SIGKILL", id="is-killed"),
        pytest.param("os._exit(3)", Outcome.CRASHED, "exited with status 3", id="exits", marks=pytest.mark.slow),
        pytest.param("{hang}", Outcome.TIMED_OUT, "within 600 s", id="hangs"),
    ],
)
def test_a_broken_worker_says_how_and_its_children_end_while_the_server_goes_on(
    specs, forking, write, hang, tmp_path, ends, body, outcome, cause
):
    write(f"""
        import os, pathlib, subprocess, sys, time

        def test_a(trial):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            pathlib.Path({str(tmp_path)!r}, f"pid-{{os.getpid()}}").write_text(str(child.pid))
            if not pathlib.Path({str(tmp_path)!r}, "sound").exists():
                print("last words", flush=True)
                {body.replace("{hang}", hang)}
            trial.record(a=1)
    """)
    live, servers = forking("decimal")

    (broken,) = run_pair(specs, request(), live=live).trials
    (tmp_path / "sound").touch()
    (sound,) = run_pair(specs, request(), live=live).trials

    assert (broken.outcome, cause in broken.cause, "last words" in broken.last_lines) == (outcome, True, True)
    assert sound.outcome is Outcome.COMPLETED
    assert all(ends(int(place.read_text())) for place in tmp_path.glob("pid-*"))
    assert all(is_gone(child.pid) for child in psutil.Process(servers[Side.CANDIDATE].pid).children())


def test_a_server_that_was_killed_is_named(specs, forking, write):
    write("def test_a(trial):\n    trial.record(a=1)")
    live, servers = forking("decimal")
    os.kill(servers[Side.CANDIDATE].pid, signal.SIGKILL)

    (trial,) = run_pair(specs, request(), live=live).trials

    assert trial.outcome is Outcome.CRASHED
    assert re.match(r"the candidate server, .* decimal preloaded, .* it was killed by SIGKILL", trial.cause)


def test_a_worker_outlives_its_server_and_still_ends_in_time(specs, forking, write, ends):
    write("""
        import os, signal, time

        def test_a(trial):
            os.kill(os.getppid(), signal.SIGKILL)
            os._exit(0)
    """)
    live, servers = forking("decimal")

    (trial,) = run_pair(specs, request(), live=live).trials

    assert trial.outcome is Outcome.CRASHED
    assert "killed by SIGKILL" in trial.cause
    assert ends(servers[Side.CANDIDATE].pid)


def test_a_preloaded_module_from_elsewhere_is_foreign(specs, forking, write):
    write("", "modules/subject_of_the_test.py")
    write("def test_a(trial):\n    trial.record(a=1)")
    live, _ = forking("subject_of_the_test")

    (trial,) = run_pair(specs, request(), live=live).trials

    assert trial.outcome is Outcome.FOREIGN
    assert "subject_of_the_test" in trial.cause


@pytest.mark.parametrize(
    ("module", "fact"),
    [
        pytest.param("raise ImportError('no such library')", "ImportError: no such library", id="raises"),
        pytest.param("raise SystemExit(0)", "SystemExit: 0", id="exits"),
        pytest.param(
            "import os; os.kill(os.getpid(), 9)", "it was killed by SIGKILL", id="dies", marks=pytest.mark.slow
        ),
        pytest.param(
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(600,), daemon=True, name='pulse').start()",
            "only_here left threads running, 1 of them (pulse)",
            id="leaves-a-thread",
        ),
    ],
)
def test_a_module_that_cannot_be_preloaded_is_refused(forking, write, module, fact):
    write(
        f"import os\nif os.environ['SIDE'] == 'candidate':\n{textwrap.indent(module, '    ')}", "modules/only_here.py"
    )

    with pytest.raises(EnvironmentBuildError) as caught:
        forking("decimal", "only_here")

    assert fact in caught.value.fact
    assert caught.value.fact.startswith("the candidate cannot preload decimal, only_here: ")
    assert (caught.value.side, caught.value.exit_status) == (Side.CANDIDATE, 1)


def test_a_module_that_no_revision_has_is_put_down_to_the_baseline(forking):
    with pytest.raises(EnvironmentBuildError, match="the baseline cannot preload no_such_module") as caught:
        forking("no_such_module")

    assert "No module named 'no_such_module'" in caught.value.fact
    assert caught.value.exit_status == 4


def test_a_thread_that_ends_with_the_import_does_no_harm(specs, forking, write):
    write("import threading\nthread = threading.Thread(target=len, args=([],))\nthread.start()\n", "modules/brief.py")
    write("def test_a(trial):\n    trial.record(a=1)")
    live, _ = forking("brief")

    (trial,) = run_pair(specs, request(), live=live).trials

    assert trial.outcome is Outcome.COMPLETED


def test_an_order_of_any_length_comes_through(forking, specs, write):
    write("def test_a(trial): ...")
    _, servers = forking("decimal")

    collection = collect_workloads(specs[Side.CANDIDATE], [TEST_A] * 20_000, servers[Side.CANDIDATE].start)

    assert [workload.id for workload in collection.workloads] == [TEST_A]


@pytest.mark.parametrize(
    ("modules", "platform", "expected"),
    [
        pytest.param((), "linux", "", id="nothing-asked-for"),
        pytest.param(("a", "b.c"), "linux", "forked from servers that had a, b.c preloaded", id="forked"),
        pytest.param(("a",), "darwin", "needs Linux, not darwin: every worker was a fresh interpreter", id="elsewhere"),
    ],
)
def test_the_reader_is_told_how_workers_are_started(modules, platform, expected):
    assert expected in describe_preload(modules, platform)
    assert bool(describe_preload(modules, platform)) == bool(expected)


@pytest.mark.skipif(not can_confine(), reason="this kernel offers no Landlock that is new enough")
def test_a_server_and_the_workers_that_it_forks_are_confined(forking, write, tmp_path, tmp_path_factory, specs):
    place = tmp_path_factory.mktemp("elsewhere")
    trying = f"""
        try:
            open({str(place)!r} + "/by-NAME", "w")
        except PermissionError:
            open({str(tmp_path)!r} + "/NAME-refused", "w").close()
    """
    write(textwrap.dedent(trying).replace("NAME", "server"), "modules/writing.py")
    write("def test_a(trial):\n" + textwrap.indent(textwrap.dedent(trying), "    ").replace("NAME", "worker"))
    live, _ = forking("writing")

    run_pair(specs, request(gated=()), live=live)

    assert not list(place.iterdir())
    assert {path.name for path in tmp_path.glob("*-refused")} == {"server-refused", "worker-refused"}


GATE = """
import json, sys
from contextlib import ExitStack
from mainstay.workers.fork_server import fork_servers
from mainstay.records.trials import Side
from mainstay.runner.protocol import WHOLE, Command, Event
from mainstay.workers.session import LiveWorkers
from mainstay.workers.process import WorkerSpec

options = json.loads(sys.argv[1])
specs = {side: WorkerSpec(**{**options, "side": side, "roots": ()}) for side in Side}
with fork_servers(specs, sys.argv[2:]) as servers, ExitStack() as stack:
    live = LiveWorkers({side: server.start for side, server in servers.items()})
    worker = live.start(specs[Side.CANDIDATE], ["benchmarks"], stack)
    worker.expect(Event.COLLECTED, 600)
    worker.send(Command.RUN, workload="benchmarks/test_a.py::test_a", seed=0, block=WHOLE)
    print(json.dumps([worker.pid, *(server.pid for server in servers.values())]), flush=True)
    worker.expect(Event.FINISHED, 3600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_servers_and_their_workers_end_with_the_gate(specs, write, ends, start_process, number):
    write("def test_a(trial):\n    import time; time.sleep(3600)")
    spec = specs[Side.CANDIDATE]
    options = {
        name: getattr(spec, name)
        for name in ("python", "own", "folder", "configuration", "scratch", "variables", "writable")
    }
    gate = start_process(
        [sys.executable, "-c", f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{GATE}"]
        + [json.dumps(options), "decimal"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = json.loads(gate.stdout.readline() or "[]")
    assert all(psutil.pid_exists(pid) for pid in pids)

    os.killpg(gate.pid, number)

    errors = gate.communicate(timeout=600)[1]
    assert len(pids) == 3, errors
    assert all(ends(pid) for pid in pids)


SERVER = """
import os, sys, time
from mainstay.runner.preload import serve

options = serve(int(sys.argv[1]), ["decimal"], 600.0)
if options:
    time.sleep(options["sleep"])
    os._exit(options["status"])
"""


def ask(control, tmp_path, **options):
    """Ask a server for a worker; gives the worker's process id and the line on which its end is told."""
    line, far_line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = {"options": options, "cwd": str(tmp_path), "variables": {}}
    with far_line, (tmp_path / "output").open("wb") as output:
        descriptors = [*(os.dup(output.fileno()) for _ in range(2)), output.fileno(), far_line.fileno()]
        socket.send_fds(control, [json.dumps(request).encode(), b"\n"], descriptors)
        for copy in descriptors[:2]:
            os.close(copy)
    return json.loads(line.recv(1000))["pid"], line


def test_a_worker_keeps_its_id_until_the_gate_has_heard_how_it_ended_and_none_outlives_the_server(
    tmp_path, start_process
):
    control, far = socket.socketpair()
    with far:
        server = start_process([sys.executable, "-c", SERVER, str(far.fileno())], pass_fds=[far.fileno()])
    assert json.loads(control.recv(1000)) == {"ready": True}
    brief, brief_line = ask(control, tmp_path, sleep=0, status=3)
    lasting, lasting_line = ask(control, tmp_path, sleep=3600, status=0)
    hung, hung_line = ask(control, tmp_path, sleep=3600, status=0)

    assert json.loads(brief_line.recv(1000)) == {"status": 3}
    assert psutil.Process(brief).status() == psutil.STATUS_ZOMBIE
    os.kill(lasting, signal.SIGTERM)
    assert json.loads(lasting_line.recv(1000)) == {"status": -signal.SIGTERM}
    brief_line.close()
    assert is_gone(brief)
    control.close()

    assert server.wait(600) == 0
    assert not any(psutil.pid_exists(pid) for pid in (brief, lasting, hung))
    for line in (lasting_line, hung_line):
        line.close()


def test_an_import_that_hangs_is_ended_by_an_alarm_where_no_gate_is_left(write, tmp_path):
    write("import time\ntime.sleep(3600)\n", "hanging.py")
    near, far = socket.socketpair()
    with near, far:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"from mainstay.runner.preload import serve; serve({far.fileno()}, ['hanging'], 1.0)",
            ],
            pass_fds=[far.fileno()],
            cwd=tmp_path,
            timeout=600,
            check=False,
        )

    assert done.returncode == -signal.SIGALRM
