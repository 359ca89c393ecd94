"""Nothing outlives the gate, and what processes write is bounded."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress

import psutil
import pytest

from mainstay.workers.descendants import OUTPUT_BYTES, OutputTail, run_guarded

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no workers on Windows")


def ends(pid):
    """Whether a process is soon gone, or only waits for whoever inherited it."""
    for _ in range(1200):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


DAEMON = """
import os, pathlib, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path(sys.argv[1] + ".part").write_text(str(os.getpid()))
        os.rename(sys.argv[1] + ".part", sys.argv[1])
        time.sleep(3600)
    while not os.path.exists(sys.argv[1]):  # once it has no parent, it may be killed before it tells its number
        time.sleep(0.01)
    os._exit(0)
os.wait()
"""
"""Leaves a process behind that has another session, and whose parents are gone."""


def read_pid(place):
    for _ in range(1200):
        if place.exists():
            return int(place.read_text())
        time.sleep(0.05)
    raise AssertionError("nothing was started")


@pytest.fixture
def daemon(tmp_path):
    place = tmp_path / "daemon.py"
    place.write_text(DAEMON)
    return [sys.executable, str(place), str(tmp_path / "pid")]


def test_a_guarded_command_is_ended_by_the_signals_that_python_ignores():
    done = run_guarded(["sh", "-c", "kill -PIPE $$; exit 3"], env=dict(os.environ))

    assert done.returncode == 128 + signal.SIGPIPE


def test_a_guarded_command_gives_what_it_wrote_and_its_status():
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"

    done = run_guarded([sys.executable, "-c", script], env=os.environ)

    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        pytest.param([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], 137, id="killed"),
        pytest.param(["no-such-program"], 127, id="absent"),
    ],
)
def test_a_guarded_command_that_does_not_end_well_says_so(command, status):
    assert run_guarded(command, env=os.environ).returncode == status


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are inherited on Linux only")
def test_what_a_guarded_command_leaves_behind_is_ended(daemon, tmp_path):
    run_guarded(daemon, env=os.environ)

    assert ends(read_pid(tmp_path / "pid"))


@pytest.mark.slow
def test_a_guarded_command_that_takes_too_long_ends_with_all_that_it_started(tmp_path):
    script = f"""
        import os, pathlib, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        pathlib.Path({str(tmp_path / "part")!r}).write_text(str(child.pid))
        os.rename({str(tmp_path / "part")!r}, {str(tmp_path / "pid")!r})
        time.sleep(3600)
    """

    with pytest.raises(subprocess.TimeoutExpired):
        run_guarded([sys.executable, "-c", textwrap.dedent(script)], env=os.environ, timeout=5)

    assert ends(read_pid(tmp_path / "pid"))


GATE = """
import os, sys
from mainstay.workers.descendants import run_guarded
run_guarded(sys.argv[1:], env=os.environ)
"""


def test_a_guarded_command_ends_with_a_gate_that_is_killed(daemon, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text(f"{DAEMON}\ntime.sleep(3600)")
    with subprocess.Popen([sys.executable, "-c", GATE, sys.executable, str(slow), str(tmp_path / "pid")]) as gate:
        pid = read_pid(tmp_path / "pid")
        descendants = psutil.Process(gate.pid).children(recursive=True)
        os.kill(gate.pid, signal.SIGKILL)

    assert all(ends(process.pid) for process in descendants)
    if sys.platform == "linux":
        assert ends(pid)


INTERRUPTED = """
import os, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):  # the tests may run where these are ignored, as under nohup
    signal.signal(getattr(signal, name), signal.SIG_DFL)
from mainstay.store.interruption import interrupts_taken
from mainstay.workers import descendants
descendants.END_SECONDS = float(sys.argv[1])
with interrupts_taken():
    descendants.run_guarded(sys.argv[2:], env=os.environ)
"""

STUBBORN = """
import os, pathlib, signal, sys, time
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
pathlib.Path(sys.argv[1] + ".part").write_text(str(os.getpid()))
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(3600)
"""


@pytest.fixture
def interrupted_gate(tmp_path):
    """Starts a gate, in a session of its own, that runs a command which ignores signals; gives both processes."""
    gates = []

    def start(end_seconds):
        command = [sys.executable, "-c", INTERRUPTED, str(end_seconds), sys.executable, "-c", STUBBORN]
        gate = subprocess.Popen([*command, str(tmp_path / "pid")], stderr=subprocess.DEVNULL, start_new_session=True)
        gates.append(gate)
        return gate, psutil.Process(read_pid(tmp_path / "pid"))

    yield start
    for gate in gates:
        with suppress(ProcessLookupError):
            os.killpg(gate.pid, signal.SIGKILL)
        gate.wait()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_to_the_gate_and_all_that_it_started_ends_a_command_that_ignores_it(interrupted_gate, name):
    gate, command = interrupted_gate(3600.0)

    os.killpg(gate.pid, getattr(signal, name))

    gate.wait(timeout=600)
    assert ends(command.pid)


def test_a_gate_whose_guard_was_killed_does_not_wait_for_the_command(interrupted_gate):
    gate, command = interrupted_gate(0.1)
    command.parent().kill()

    gate.terminate()

    gate.wait(timeout=600)


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_guarded_command_ignores_what_the_gate_ignores(name):
    script = f"import signal, subprocess, sys; signal.signal(signal.{name}, signal.SIG_IGN); exec(sys.argv[1])"
    gate = textwrap.dedent(f"""
        import os
        from mainstay.workers.descendants import run_guarded
        sys.exit(run_guarded(["sh", "-c", "kill -{name.removeprefix("SIG")} $$; exit 3"], env=os.environ).returncode)
    """)

    assert subprocess.run([sys.executable, "-c", script, gate], check=False).returncode == 3


ORPHANED = """
import os, subprocess, sys, time
from mainstay.workers.descendants import forget_session, inheriting_orphans, kill_orphans, start_session

own = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
with inheriting_orphans():
    live = start_session([sys.executable, "-c", "import time; time.sleep(3600)"])
    dead = start_session(sys.argv[1:])
    dead.wait()
    forget_session(dead.pid)
    kill_orphans()
    print(own.poll(), live.poll(), flush=True)
    live.kill()
own.kill()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are inherited on Linux only")
def test_what_an_ended_session_left_behind_is_killed_and_nothing_else(daemon, tmp_path):
    done = subprocess.run([sys.executable, "-c", ORPHANED, *daemon], capture_output=True, text=True, check=True)

    assert ends(read_pid(tmp_path / "pid"))
    assert done.stdout == "None None\n"


@pytest.fixture
def output():
    tail = OutputTail()
    yield tail
    tail.close()


def test_the_last_lines_of_an_output_are_kept(output):
    os.write(output.descriptor, b"first\nsecond\nthird \xff\n")

    assert output.last_lines(2) == ("second", "third \ufffd")
    output.close_writing()


def test_an_output_of_any_size_is_taken_and_its_end_kept(output):
    script = f"import sys\nfor _ in range(200): sys.stdout.write('x' * 99 + '\\n' * 1 + 'y' * {OUTPUT_BYTES})\nprint('\\nend')"
    with subprocess.Popen([sys.executable, "-c", script], stdout=output.descriptor) as process:
        output.close_writing()
        process.wait()

    notice, *_, last = output.last_lines(3)

    assert last == "end"
    assert "bytes of output were not kept" in notice
    assert int(notice.split()[2].replace(",", "")) > 199 * OUTPUT_BYTES


def test_an_output_can_be_forgotten(output):
    os.write(output.descriptor, b"old\n")
    output.clear()
    os.write(output.descriptor, b"new\n")

    assert output.last_lines(5) == ("new",)
    output.close_writing()
