import math
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack

import psutil
import pytest

from mainstay.errors import Interrupted, UsageError
from mainstay.records import Direction, Outcome, Side
from mainstay.workers import Crew, PairRequest, at_once, collect_workloads, is_png

BOTH = (Side.BASELINE, Side.CANDIDATE)


@pytest.fixture
def specs(make_specs):
    """Workers of both sides; the workloads are written by the test."""
    return make_specs("[pytest]\naddopts = --unknown-option\n")


@pytest.fixture
def write(tmp_path):
    def write(text, name="test_a.py"):
        body = textwrap.dedent(text)
        (tmp_path / "measure" / "benchmarks" / name).write_text(f"import pytest\n{body}")

    return write


@pytest.fixture
def measure(specs):
    def measure(workload="test_a.py::test_a", **options):
        defaults = {"seed": 5, "pair": 0, "sides": BOTH, "limit_s": 600.0, "gated": ("a",)}
        request = PairRequest(workload=f"benchmarks/{workload}", **{**defaults, **options})
        return Crew(specs, choose_examples=lambda trials: [1, 2]).measure(request)

    return measure


def test_workloads_are_collected_with_their_metrics(specs, write):
    write("""
        @pytest.mark.accuracy(metric="first", margin=0.01, ceiling=0.99)
        @pytest.mark.accuracy(metric="second", margin=2, direction="lower", unit="nat")
        @pytest.mark.parametrize("size", [1, 2])
        def test_a(trial, size): ...

        def test_plain(): ...
    """)

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])

    assert [workload.id for workload in collection.workloads] == [f"benchmarks/test_a.py::test_a[{n}]" for n in (1, 2)]
    first, second = collection.workloads[0].metrics
    assert (first.name, first.margin, first.ceiling) == ("first", 0.01, 0.99)
    assert (second.name, second.direction, second.unit) == ("second", Direction.LOWER, "nat")


def test_marks_that_skip_a_workload_or_let_it_fail_are_told(specs, write):
    marks = {
        "plain": "usefixtures()",
        "skip": "skip",
        "skipif": "skipif(True, reason='no GPU')",
        "not_skipif": "skipif(False, reason='no GPU')",
        "text": "skipif('1 > 2', reason='text')",
        "xfail": "xfail",
        "xfail_here": "xfail(True, reason='known')",
        "not_xfail": "xfail(False, reason='known')",
        "keyword": "skipif(condition=True, reason='no GPU')",
    }
    write("\n".join(f"@pytest.mark.{mark}\ndef test_{name}(trial): ..." for name, mark in marks.items()))

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])

    assert {name.partition("::test_")[2] for name in collection.skipped} == {
        "skip", "skipif", "text", "xfail", "xfail_here", "keyword"
    }  # fmt: skip


def test_a_file_that_does_not_import_is_a_problem(specs, write):
    write("import no_such_module")

    (problem,) = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"]).problems

    assert problem.id == "benchmarks/test_a.py"
    assert "no_such_module" in problem.cause


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("accuracy(margin=0.1)", "needs 'metric'"),
        ("accuracy(metric='a')", "needs 'margin'"),
        ("accuracy(metric='a', margin=-1)", "margin above 0"),
        ("accuracy(metric='a', margin=0.1, direction='up')", "'higher' and 'lower'"),
        ("accuracy(metric='a', margin=0.1, tolerance=1)", "no argument 'tolerance'"),
        ("accuracy('a', 0.1)", "named arguments only"),
    ],
)
def test_a_wrong_marker_is_a_usage_error(specs, write, marker, message):
    write(f"@pytest.mark.{marker}\ndef test_a(trial): ...")

    with pytest.raises(UsageError, match=message) as caught:
        collect_workloads(specs[Side.CANDIDATE], ["benchmarks"]).require_right_markers()

    assert caught.value.looked_in == "benchmarks/test_a.py::test_a"


def test_a_pair_is_one_process_a_side_with_the_same_seed(measure, write):
    write("""
        import os

        def test_a(trial):
            trial.record(a=trial.seed, process=os.getpid())
    """)

    result = measure()

    assert {trial.side for trial in result.trials} == set(BOTH)
    assert [trial.values["a"] for trial in result.trials] == [5.0, 5.0]
    assert len({trial.values["process"] for trial in result.trials}) == 2


def test_output_is_never_taken_for_the_protocol(measure, write):
    write("""
        import os, sys

        def test_a(trial):
            print('{"event": "finished", "outcome": "completed", "values": {"a": 9}}', flush=True)
            os.write(1, b"{}\\n" * 20_000)
            os.write(2, bytes(range(256)))
            trial.record(a=1)
    """)

    assert [trial.values for trial in measure().trials] == [{"a": 1.0}] * 2


BROKEN = {
    "raises": ("raise ZeroDivisionError('gone')", Outcome.FAILED, "ZeroDivisionError: gone"),
    "is-nan": ("trial.record(a=float('nan'))", Outcome.FAILED, "a is nan"),
    "records-nothing": ("pass", Outcome.FAILED, "the gated metric a was not recorded"),
    "is-killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", Outcome.CRASHED, "killed by SIGKILL"),
    "exits": ("import os; os._exit(3)", Outcome.CRASHED, "exited with status 3"),
    "hangs": ("import time; time.sleep(3600)", Outcome.TIMED_OUT, "within 2 s"),
    "digests-nothing": ("trial.record(a=1); trial.record_digest({})", Outcome.FAILED, "the digest is empty"),
    "connects": ("import socket; socket.create_connection(('192.0.2.1', 80))", Outcome.FAILED, "without network"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_trial_says_how(measure, write, name):
    body, outcome, cause = BROKEN[name]
    write(f"def test_a(trial):\n    {body}")

    (trial,) = measure(sides=(Side.CANDIDATE,), limit_s=2.0 if name == "hangs" else 600.0).trials

    assert trial.outcome is outcome
    assert cause in trial.cause


def test_the_last_lines_of_a_hung_worker_are_kept(measure, write):
    write("def test_a(trial):\n    import time; print('last words', flush=True); time.sleep(3600)")

    (trial,) = measure(sides=(Side.CANDIDATE,), limit_s=5.0).trials

    assert "last words" in "\n".join(trial.last_lines)


def test_a_broken_trial_is_repeated_once(measure, write, tmp_path):
    write(f"""
        import pathlib

        def test_a(trial):
            mark = pathlib.Path({str(tmp_path / "mark")!r})
            if not mark.exists():
                mark.touch()
                raise RuntimeError("only the first time")
            trial.record(a=1)
    """)

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert trial.outcome is Outcome.COMPLETED


def test_a_skip_is_no_failure(measure, write):
    write("def test_a(trial):\n    pytest.skip('no GPU here')")

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert (trial.outcome, trial.cause) == (Outcome.SKIPPED, "no GPU here")


def test_a_module_from_elsewhere_is_foreign(measure, write, tmp_path):
    (tmp_path / "subject_of_the_test.py").write_text("")
    write(f"""
        import sys

        def test_a(trial):
            sys.path.insert(0, {str(tmp_path)!r})
            import subject_of_the_test
            trial.record(a=1)
    """)

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert trial.outcome is Outcome.FOREIGN
    assert "subject_of_the_test" in trial.cause


def test_images_of_flipped_examples_are_asked_for(measure, write):
    write("""
        PNG = b"\\x89PNG\\r\\n\\x1a\\n"

        def test_a(trial):
            import os
            trial.record(a=1)
            predicted = [0, 1, 1] if os.environ["SIDE"] == "baseline" else [0, 0, 2]
            trial.record_predictions(predicted, [0, 1, 2], images=lambda ids: [PNG + bytes([i]) for i in ids])
    """)

    assert measure(wants_images=True).images == {1: "iVBORw0KGgoB", 2: "iVBORw0KGgoC"}


def test_children_of_a_worker_end_with_it(measure, write, tmp_path):
    write(f"""
        import pathlib, subprocess, sys

        def test_a(trial):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
            trial.record(a=1)
    """)

    measure(sides=(Side.CANDIDATE,))

    pid = int((tmp_path / "pid").read_text())
    assert has_ended(pid)


def has_ended(pid):
    """Whether a killed process is gone, or only waits for whoever inherited it."""
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_worker_ends_when_the_gate_is_gone(specs, write):
    write("def test_a(trial):\n    import time; time.sleep(3600)")
    crew = Crew(specs)
    with ExitStack() as stack:
        worker = crew.start(Side.CANDIDATE, ["benchmarks"], stack)
        worker.expect("collected", 600)
        worker.send(do="run", workload="benchmarks/test_a.py::test_a", seed=0)
        process = psutil.Process(worker.pid)

        worker.hang_up()

        process.wait(600)


def test_a_stopped_crew_lets_go_of_a_running_trial(specs, write):
    write("def test_a(trial):\n    import time; time.sleep(3600)")
    crew = Crew(specs)
    stop = threading.Timer(2.0, crew.stop)
    stop.start()
    start = time.monotonic()

    with pytest.raises(Interrupted):
        crew.measure(PairRequest(workload="benchmarks/test_a.py::test_a", seed=0, pair=0, sides=BOTH, limit_s=3600.0))

    assert time.monotonic() - start < 600


def test_the_workers_have_a_home_of_their_own(measure, write):
    write("""
        import os, pathlib

        def test_a(trial):
            trial.record(a=len(list(pathlib.Path.home().iterdir())))
            assert os.environ["HOME"] != os.environ["TMPDIR"]
    """)

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert trial.values["a"] == 0


def test_paths_of_this_machine_are_concealed(measure, write, tmp_path):
    write("def test_a(trial):\n    raise RuntimeError(__file__)")

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert str(tmp_path) not in trial.cause + "".join(trial.last_lines)
    assert "WORKLOADS/benchmarks/test_a.py" in trial.cause


@pytest.mark.parametrize(("text", "expected"), [("", False), ("iVBORw0KGgo=", True), ("!!", False), ("AAAA", False)])
def test_png_files_are_told_from_others(text, expected):
    assert is_png(text) is expected


def test_peak_memory_is_measured_in_fresh_processes_one_after_the_other(measure, write):
    write("""
        import time

        @pytest.mark.performance(metric="peak_memory")
        def test_a(benchmark):
            benchmark.extra_info["start"] = time.monotonic()
            benchmark(bytearray, 64 * 2**20)
            time.sleep(0.2)
            benchmark.extra_info["end"] = time.monotonic()
    """)

    first, second = measure(apart=True, gated=("peak_memory",)).trials

    assert first.values["end"] <= second.values["start"]
    assert min(first.values["peak_memory"], second.values["peak_memory"]) > 64 * 2**20


INTERRUPTED = """
import signal, subprocess, sys, threading
from mainstay.workers import at_once

def wait_for_a_process(seconds):
    return subprocess.run([sys.executable, "-c", f"import time; time.sleep({seconds})"]).returncode

main = threading.get_ident()
signal.signal(signal.SIGINT, signal.default_int_handler)  # what started the tests may have it ignored
threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
try:
    at_once(wait_for_a_process, [3600, 3600])
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_ends_the_processes_that_threads_wait_for():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=600, check=True)

    assert done.stdout == "interrupted\n"


def root_after(seconds, number):
    time.sleep(seconds)
    return math.sqrt(number)


def test_what_is_done_at_once_keeps_its_order_and_its_first_error():
    assert at_once(lambda number: root_after(1 / number, number), [4, 9]) == [2, 3]
    with pytest.raises(ValueError, match="math domain"):
        at_once(lambda number: root_after(0.1, number), [1, -1])
