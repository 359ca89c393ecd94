import importlib.util
import itertools
import math
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from mainstay.records.errors import Interrupted, UsageError
from mainstay.records.executions import TRAINED
from mainstay.records.metrics import Direction
from mainstay.records.scales import Equality, LogRatio
from mainstay.records.selections import Selection
from mainstay.records.trials import Outcome, Side
from mainstay.runner.confinement import can_confine
from mainstay.runner.protocol import WHOLE, Command, Event
from mainstay.workers import process as workers_process
from mainstay.workers.collecting import collect_workloads
from mainstay.workers.pairs import PairRequest, is_png, run_pair
from mainstay.workers.process import (
    WORKER,
    OutOfTimeError,
    Worker,
    WorkerEndedError,
    at_once,
    compile_runner,
    conceal,
)
from mainstay.workers.session import LiveWorkers
from tests.slow_cases import some_always

BOTH = (Side.BASELINE, Side.CANDIDATE)


@pytest.fixture
def specs(make_specs):
    """Workers of both sides; the workloads are written by the test."""
    return make_specs("[pytest]\naddopts = --unknown-option\n")


@pytest.fixture
def write(tmp_path):
    def write(text, name="test_a.py"):
        body = textwrap.dedent(text)
        place = tmp_path / "measure" / "benchmarks" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"import pytest\n{body}")

    return write


@pytest.fixture
def measure(specs):
    def measure(workload="test_a.py::test_a", **options):
        defaults = {"seed": 5, "pair": 0, "sides": BOTH, "limit_s": 600.0, "gated": ("a",)}
        request = PairRequest(workload=f"benchmarks/{workload}", **{**defaults, **options})
        return run_pair(specs, request, choose_examples=lambda trials: [1, 2])

    return measure


@pytest.mark.parametrize("is_unwanted", [False, True])
def test_byte_code_is_there_before_workers_that_write_none_unless_the_user_wants_none(
    tmp_path, monkeypatch, is_unwanted
):
    runner = tmp_path / "runner"
    shutil.copytree(WORKER, runner, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(workers_process, "WORKER", str(runner))
    monkeypatch.setattr(sys, "dont_write_bytecode", is_unwanted)

    compile_runner()

    files = list(runner.glob("*.py"))
    assert files
    assert {Path(importlib.util.cache_from_source(file)).exists() for file in files} == {not is_unwanted}


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


WRONG_MARKERS = [
    ("accuracy(margin=0.1)", "trial", "needs 'metric'"),
    ("accuracy(metric='a')", "trial", "needs 'margin'"),
    ("accuracy(metric='a', margin=-1)", "trial", "margin above 0"),
    ("accuracy(metric='a', margin=0.1, direction='up')", "trial", "'higher' and 'lower'"),
    ("accuracy(metric='a', margin=0.1, tolerance=1)", "trial", "no argument 'tolerance'"),
    ("accuracy('a', 0.1)", "trial", "named arguments only"),
    ("accuracy(metric='a', margin=5)", "trial", "write margin=0.05 for 5 points, or declare the unit"),
    ("accuracy(metric='a', margin=1.0, unit='fraction')", "trial", "write margin=0.01"),
    ("accuracy(metric='a', margin=2, direction='lower')", "trial", "unit='1' for plain numbers"),
    ("accuracy(metric='a', margin=0.1, kind='odds')", "trial", "names the kind 'odds', .* known: accuracy\n"),
    ("accuracy(metric='a', margin=0.1, kind='performance')", "trial", r"marker of its own: performance\(\.\.\.\)"),
    ("accuracy(metric='a', margin=0.1, kind=3)", "trial", "needs text as 'kind'"),
    ("performance(margin=5)", "benchmark", "6 times as much: a margin is a fraction, write margin=0.05 for 5 %"),
    ("deterministic(metric='parameters', margin=2.5)", "counts", "write margin=0.025 for 2.5 %"),
    ("performance(metric='train_seconds')", "trial", "performance gates nothing here, since trial records"),
    ("performance", "", "performance gates nothing here, since the test does not take benchmark"),
]


def test_each_wrong_marker_is_a_usage_error(specs, write):
    write(
        "\n".join(
            f"@pytest.mark.{marker}\ndef test_{number}({fixture}): ..."
            for number, (marker, fixture, _) in enumerate(WRONG_MARKERS)
        )
    )

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])

    assert not collection.workloads
    problems = {problem.id: problem for problem in collection.problems}
    for number, (_, _, message) in enumerate(WRONG_MARKERS):
        place = f"benchmarks/test_a.py::test_{number}"
        with pytest.raises(UsageError, match=message) as caught:
            replace(collection, problems=(problems.pop(place),)).require_right_markers()
        assert caught.value.looked_in == place
    assert not problems


def test_a_workload_asks_for_a_scale_that_was_registered_by_name(specs, write, new_kind):
    ratio = new_kind("ratio", LogRatio())
    write(
        "@pytest.mark.accuracy(metric='perplexity', margin=0.1, direction='lower', kind='ratio')\ndef test_a(trial): ..."
    )

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])

    collection.require_right_markers()
    (workload,) = collection.workloads
    (metric,) = workload.metrics
    assert (workload.execution, metric.kind, metric.scale) == (TRAINED, ratio, ratio.scale)


@pytest.mark.parametrize(
    ("scale", "margin", "message"),
    [
        pytest.param(LogRatio(), 5, "the margin of a is 5, which is 500 %", id="margin-in-percent"),
        pytest.param(Equality(), 0.1, "names the kind 'new', .* known: accuracy\n", id="exact-one-of-several-trials"),
    ],
)
def test_a_scale_that_a_training_cannot_be_judged_on_is_a_usage_error(specs, write, new_kind, scale, margin, message):
    new_kind("new", scale)
    write(f"@pytest.mark.accuracy(metric='a', margin={margin}, kind='new')\ndef test_a(trial): ...")

    with pytest.raises(UsageError, match=message):
        collect_workloads(specs[Side.CANDIDATE], ["benchmarks"]).require_right_markers()


def test_a_declared_unit_may_have_any_margin(specs, write):
    units = ["percent", "points", "nat", "dB", "BLEU", "1"]
    write(
        "\n".join(
            f"@pytest.mark.accuracy(metric='a', margin=5, unit={unit!r})\ndef test_{number}(trial): ..."
            for number, unit in enumerate(units)
        )
    )

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])

    collection.require_right_markers()
    metrics = [workload.metrics[0] for workload in collection.workloads]
    assert [(metric.unit, metric.margin) for metric in metrics] == [(unit, 5) for unit in units]


def test_a_time_and_a_count_may_be_allowed_to_double(specs, write):
    write("""
        @pytest.mark.performance(margin=1.0)
        def test_a(benchmark): ...

        @pytest.mark.deterministic(metric="parameters", margin=1.0)
        def test_b(counts): ...
    """)

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])

    collection.require_right_markers()
    assert [workload.metrics[0].margin for workload in collection.workloads] == [1.0, 1.0]


@pytest.mark.parametrize("strict", ["strict = true", ""])
def test_settings_of_plugins_that_are_left_out_do_not_end_a_worker(make_specs, write, strict):
    specs = make_specs(f"""[pytest]
{strict}
asyncio_mode = auto
cache_dir = .cache
filterwarnings =
    error
    ignore::absent_plugin.AbsentWarning
    error:told:DeprecationWarning
""")
    write("""
        import os, warnings

        def test_a(trial, cache):
            warnings.warn("This process (pid=7) is multi-threaded, use of fork() may lead to deadlocks in the child.",
                          DeprecationWarning)
            with pytest.raises(UserWarning):
                warnings.warn("any other warning is an error")
            cache.set("own/key", 1)
            assert os.path.realpath(cache.mkdir("own")).startswith(os.path.realpath(os.environ["TMPDIR"]))
            trial.record(a=cache.get("own/key", 0))
    """)

    request = PairRequest(workload="benchmarks/test_a.py::test_a", seed=5, pair=0, sides=(Side.CANDIDATE,))
    (trial,) = run_pair(specs, request).trials

    assert (trial.outcome, trial.last_lines, trial.values) == (Outcome.COMPLETED, (), {"a": 1.0})


WHERE_NAMES_ARE_FOUND = (
    "each conftest.py in the workload folder, but none above it: move what workloads need into that folder"
)


def test_a_fixture_of_a_conftest_above_the_workload_folder_is_unknown_and_the_cause_says_why(specs, write):
    write("def test_a(trial, of_all_tests): ...")

    request = PairRequest(workload="benchmarks/test_a.py::test_a", seed=5, pair=0, sides=(Side.CANDIDATE,))
    (trial,) = run_pair(specs, request).trials

    assert "fixture 'of_all_tests' not found (workers" in trial.cause
    assert WHERE_NAMES_ARE_FOUND in trial.cause


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="before pytest 9, only an option refuses unknown markers")
def test_a_marker_of_a_conftest_above_the_workload_folder_is_unknown_and_the_cause_says_why(make_specs, write):
    specs = make_specs("[pytest]\nstrict_markers = true\n")
    write("@pytest.mark.of_all_tests\ndef test_a(trial): ...")

    (problem,) = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"]).problems

    assert "'of_all_tests' not found in `markers` configuration option (workers" in problem.cause
    assert WHERE_NAMES_ARE_FOUND in problem.cause


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ("pytest_collection_modifyitems(): raise pytest.UsageError('no such mode')", "no such mode"),
        ("pytest_collection_finish(): 1 / 0", "ZeroDivisionError"),
    ],
)
def test_no_file_is_blamed_where_pytest_ends_after_the_last_one(specs, write, hook, told):
    write(f"def {hook}", name="conftest.py")
    write("def test_a(trial): ...")

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])

    assert [problem.id for problem in collection.problems] == ["benchmarks"]
    assert any(told in line for line in collection.last_lines)


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
    "records-nothing": ("pass", Outcome.FAILED, "the gated metric 'a' was not recorded"),
    "is-killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", Outcome.CRASHED, "killed by SIGKILL"),
    "exits": ("import os; os._exit(3)", Outcome.CRASHED, "exited with status 3"),
    "hangs": ("{hang}", Outcome.TIMED_OUT, "the worker hung: no answer within 600 s"),
    "digests-nothing": ("trial.record(a=1); trial.record_digest({})", Outcome.FAILED, "the digest is empty"),
    "connects": ("import socket; socket.create_connection(('192.0.2.1', 80))", Outcome.FAILED, "without network"),
}


@pytest.mark.parametrize("name", some_always(BROKEN, {"raises", "is-nan", "is-killed", "hangs"}))
def test_a_broken_trial_says_how(measure, write, hang, name):
    body, outcome, cause = BROKEN[name]
    write(f"def test_a(trial):\n    {body.replace('{hang}', hang)}")

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert trial.outcome is outcome
    assert cause in trial.cause


def test_the_last_lines_of_a_hung_worker_are_kept(measure, write, hang):
    write(f"def test_a(trial):\n    print('last words', flush=True); {hang}")

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert "last words" in "\n".join(trial.last_lines)


@pytest.mark.parametrize("way", ["raise RuntimeError", "pytest.skip"])
def test_a_trial_that_breaks_or_is_skipped_is_repeated_once(measure, write, tmp_path, way):
    write(f"""
        import pathlib

        def test_a(trial):
            mark = pathlib.Path({str(tmp_path / "mark")!r})
            if not mark.exists():
                mark.touch()
                {way}("only the first time")
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


@pytest.mark.parametrize(
    ("fails_first", "wants_images"),
    [
        pytest.param(False, False, id="both-complete"),
        pytest.param(False, True, id="images-are-wanted"),
        pytest.param(True, False, id="the-first-is-repeated"),
    ],
)
def test_the_process_of_a_trial_has_ended_before_the_next_one_runs(measure, write, tmp_path, fails_first, wants_images):
    (pids := tmp_path / "pids").mkdir()
    write(f"""
        import os, pathlib, psutil

        def test_a(trial):
            pids = pathlib.Path({str(pids)!r})
            earlier = [int(each.name) for each in pids.iterdir()]
            (pids / str(os.getpid())).touch()
            if not earlier and {fails_first}:
                raise RuntimeError("only the first time")
            trial.record(a=sum(map(psutil.pid_exists, earlier)))
    """)

    trials = measure(wants_images=wants_images).trials

    assert [trial.values for trial in trials] == [{"a": 0.0}] * 2
    assert len([*pids.iterdir()]) == 2 + fails_first


def test_children_of_a_worker_end_with_it(measure, write, tmp_path, ends):
    write(f"""
        import pathlib, subprocess, sys

        def test_a(trial):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
            trial.record(a=1)
    """)

    measure(sides=(Side.CANDIDATE,))

    assert ends(int((tmp_path / "pid").read_text()))


def test_a_worker_ends_when_the_gate_is_gone(specs, write):
    write("def test_a(trial):\n    import time; time.sleep(3600)")
    with ExitStack() as stack:
        worker = LiveWorkers().start(specs[Side.CANDIDATE], ["benchmarks"], stack)
        worker.expect(Event.COLLECTED, 600)
        worker.send(Command.RUN, workload="benchmarks/test_a.py::test_a", seed=0, block=WHOLE)
        process = psutil.Process(worker.pid)

        worker.close_commands()

        process.wait(600)


def test_workers_that_are_stopped_let_go_of_a_running_trial(specs, write):
    write("def test_a(trial):\n    import time; time.sleep(3600)")
    live = LiveWorkers()
    stop = threading.Timer(2.0, live.stop)
    stop.start()
    start = time.monotonic()

    with pytest.raises(Interrupted):
        run_pair(
            specs,
            PairRequest(workload="benchmarks/test_a.py::test_a", seed=0, pair=0, sides=BOTH, limit_s=3600.0),
            live=live,
        )

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
    assert trial.cause == "RuntimeError: benchmarks/test_a.py"
    assert not any(".." in line for line in trial.last_lines)


def test_only_paths_of_this_machine_are_concealed(specs):
    spec = specs[Side.CANDIDATE]
    text = f"{spec.folder}/benchmarks/test_a.py ../../../measure/benchmarks/test_a.py ../../data {spec.own}/a.py"

    assert conceal(text, spec) == "benchmarks/test_a.py benchmarks/test_a.py ../../data SITE-PACKAGES/a.py"


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

    first, second = measure(needs_fresh_process=True, gated=("peak_memory",)).trials

    assert first.values["end"] <= second.values["start"]
    assert min(first.values["peak_memory"], second.values["peak_memory"]) > 64 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize("may_overlap", [False, True])
def test_the_sides_of_a_pair_run_at_the_same_time_only_if_its_trials_may_overlap(measure, write, tmp_path, may_overlap):
    write(f"""
        import os, pathlib, time

        @pytest.mark.accuracy(metric="a", margin=0.1)
        def test_a(trial):
            trial.record(a=0.5, start=time.monotonic())
            folder = pathlib.Path({str(tmp_path)!r})
            (folder / f"runs-{{os.environ['SIDE']}}").touch()
            for _ in range({30_000 if may_overlap else 50}):
                if len([*folder.glob("runs-*")]) == 2:
                    break
                time.sleep(0.02)
            trial.record(end=time.monotonic())
    """)

    first, second = sorted(measure(may_overlap=may_overlap).trials, key=lambda trial: trial.values["start"])

    assert (second.values["start"] < first.values["end"]) is may_overlap


INTERRUPTED = """
import signal, subprocess, sys, threading
from mainstay.workers.process import at_once

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


def trial_of(spec):
    """The candidate's trial of the workload, which records nothing."""
    request = PairRequest(workload="benchmarks/test_a.py::test_a", seed=5, pair=0, sides=(Side.CANDIDATE,))
    (trial,) = run_pair({Side.CANDIDATE: spec}, request).trials
    return trial


needs_landlock = pytest.mark.skipif(not can_confine(), reason="this kernel offers no Landlock that is new enough")


@needs_landlock
@pytest.mark.parametrize(
    "is_at_import", [pytest.param(False, id="in-a-trial"), pytest.param(True, id="at-import", marks=pytest.mark.slow)]
)
def test_a_refused_write_names_the_path_and_the_key_that_would_allow_it(specs, write, tmp_path_factory, is_at_import):
    place = tmp_path_factory.mktemp("elsewhere") / "model"
    writing = f"open({str(place)!r}, 'w')"
    write(f"{writing}\ndef test_a(trial): ..." if is_at_import else f"def test_a(trial):\n    {writing}")

    trial = trial_of(specs[Side.CANDIDATE])

    assert trial.outcome is Outcome.FAILED
    assert f"PermissionError: [Errno 13] Permission denied: '{place}'" in trial.cause
    assert "the key 'writable' in the [tool.mainstay] of the baseline" in trial.cause
    assert not place.exists()


@needs_landlock
def test_a_place_that_is_named_can_be_written_to(specs, write, tmp_path_factory):
    place = tmp_path_factory.mktemp("elsewhere")
    write(f"def test_a(trial):\n    open({str(place / 'model')!r}, 'w')")
    spec = replace(specs[Side.CANDIDATE], writable=(str(place),))

    trial = trial_of(spec)

    assert trial.outcome is Outcome.COMPLETED


CACHES = """
    import os, pathlib, tempfile

    def test_a(trial):
        home = os.environ["HOME"]
        names = [name for name in os.environ if "CACHE" in name or name in ("HF_HOME", "TORCH_HOME", "MPLCONFIGDIR")]
        places = [os.environ[name] for name in sorted(names) if name != "HF_HOME"]
        assert len(places) == 7 and all(place.startswith(home) for place in places), places
        assert os.environ["HF_HOME"] == "/models"
        for place in (*places, tempfile.gettempdir(), os.getcwd()):
            pathlib.Path(place).mkdir(parents=True, exist_ok=True)
            pathlib.Path(place, "file").touch()
"""


def test_caches_lie_in_the_workers_own_folder_unless_prepare_names_another_place(specs, write):
    write(CACHES)
    spec = replace(
        specs[Side.CANDIDATE], variables={**specs[Side.CANDIDATE].variables, "HF_HOME": "/models"}, writable=()
    )

    trial = trial_of(spec)

    assert trial.outcome is Outcome.COMPLETED, trial.cause


@needs_landlock
def test_an_interpreter_that_is_not_there_is_named(specs):
    spec = replace(specs[Side.CANDIDATE], python="/absent/python")

    (problem,) = collect_workloads(spec, ["benchmarks"]).problems

    assert "the worker does not start: No such file" in problem.cause


FIND_EVENTS = """
    import json, os, shutil, sys
    events = json.loads(sys.argv[1])["events"]
"""

HOSTILE = {
    "sends-bytes-that-are-no-text": ("os.write(events, b'\\xff\\xfe\\n')", "broke its protocol"),
    "sends-no-json": ("os.write(events, b'no JSON\\n')", "broke its protocol"),
    "sends-nested-lists": ("os.write(events, b'[' * 60_000 + b'\\n')", "broke its protocol"),
    "forges-its-end": (
        """os.write(events, b'{"event": "finished", "outcome": "completed", "values": {"a": 9}, "cause": "", "detail": '
            b'[], "duration_s": 1, "peak_memory_bytes": 1, "threads": []}\\n')""",
        "out of turn",
    ),
    "sends-another-event": ('os.write(events, b\'{"event": "collected"}\\n\')', "out of turn"),
    "sends-a-line-without-end": ("[os.write(events, b' ' * 2**16) for _ in range(1100)]", "bytes in one line"),
    "closes-the-pipe": ("os.close(events); import time; time.sleep(3600)", "closed its pipe and went on"),
    "dies-of-a-signal-without-name": ("os.kill(os.getpid(), 40)", "killed by signal 40"),
}


@pytest.mark.parametrize("name", some_always(HOSTILE, {"forges-its-end", "sends-a-line-without-end"}))
def test_what_a_worker_sends_is_held_against_its_own_side_only(measure, write, monkeypatch, name):
    body, cause = HOSTILE[name]
    if name == "closes-the-pipe":
        monkeypatch.setattr(workers_process, "EXIT_SECONDS", 0.1)
    write(f"""
{FIND_EVENTS}
    def test_a(trial):
        trial.record(a=1)
        if os.environ["SIDE"] == "candidate":
            {body}
    """)

    baseline, candidate = sorted(measure().trials, key=lambda trial: trial.side)

    assert (baseline.outcome, baseline.values) == (Outcome.COMPLETED, {"a": 1.0})
    assert (candidate.outcome in {Outcome.FAILED, Outcome.CRASHED}, candidate.values) == (True, {})
    assert cause in candidate.cause


def test_a_workload_may_delete_its_own_folder(measure, write):
    write("""
        import os, pathlib, shutil

        def test_a(trial):
            trial.record(a=1)
            shutil.rmtree(pathlib.Path.home().parent)
    """)

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert trial.outcome in {Outcome.COMPLETED, Outcome.FAILED}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("shutil.rmtree(pathlib.Path.home().parents[1])", id="scratch"),
        pytest.param("shutil.rmtree(sys.argv[0])", id="program"),
    ],
)
def test_a_worker_that_cannot_be_started_is_a_trial_that_did_not_complete(
    measure, write, monkeypatch, tmp_path, damage
):
    program = tmp_path / "runner"
    shutil.copytree(workers_process.WORKER, program)
    monkeypatch.setattr(workers_process, "WORKER", str(program))
    write(f"""
        import os, pathlib, shutil, sys

        def test_a(trial):
            {damage}
            os._exit(1)
    """)

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert trial.outcome is Outcome.CRASHED


def test_no_child_of_a_worker_can_speak_for_it(measure, write):
    write(f"""
{FIND_EVENTS}
    import subprocess
    WRITE = "import os, sys; os.write(int(sys.argv[1]), b'junk')"

    def test_a(trial):
        pid = os.fork()
        if pid == 0:
            try:
                os.write(events, b"junk")
            except OSError:
                os._exit(7)
            os._exit(0)
        forked = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        started = subprocess.run([sys.executable, "-c", WRITE, str(events)], close_fds=False, capture_output=True)
        trial.record(a=forked, started=started.returncode)
    """)

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert trial.values == {"a": 7.0, "started": 1.0}


def test_a_file_that_ends_the_worker_leaves_the_others_to_be_collected(specs, write):
    write("import os\nos._exit(5)")
    write("def test_b(trial): ...", "test_b.py")

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])

    (problem,) = collection.problems
    assert [workload.id for workload in collection.workloads] == ["benchmarks/test_b.py::test_b"]
    assert (problem.id, problem.is_hang) == ("benchmarks/test_a.py", False)
    assert "exited with status 5" in problem.cause


@pytest.mark.parametrize("name", ["test_a.py", "conftest.py"])
def test_a_file_that_hangs_is_said_to_hang(specs, write, hang, name):
    write("def test_a(trial): ...")
    write(f"print('still here', flush=True)\n{hang}", name)

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks/test_a.py"], limit_s=600)

    assert collection.workloads == ()
    assert {problem.is_hang for problem in collection.problems} == {True}
    assert all("hung: no answer within 600 s" in problem.cause for problem in collection.problems)


@pytest.mark.parametrize(
    ("deadline", "error"),
    [
        pytest.param(math.inf, WorkerEndedError, id="limit"),
        pytest.param(20.0, OutOfTimeError, id="deadline"),
    ],
)
def test_a_worker_that_announces_files_without_end_is_waited_for_as_long_as_others(specs, monkeypatch, deadline, error):
    clock = SimpleNamespace(monotonic=map(float, itertools.count()).__next__)  # a second for each look at it
    monkeypatch.setattr(workers_process, "time", clock)
    worker = Worker(specs[Side.CANDIDATE], [], deadline=deadline)
    worker._events, flood = os.pipe()
    os.write(flood, b'{"event": "collecting", "id": "test_a.py", "token": ""}\n' * 200)

    with pytest.raises(error):
        worker.expect(Event.COLLECTED, 30.0)

    assert len(worker._buffer.splitlines()) > 150
    os.close(worker._events)
    os.close(flood)


def test_a_hang_while_collecting_is_not_tried_again(measure, write, hang, tmp_path):
    write(hang)

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert trial.outcome is Outcome.TIMED_OUT
    assert "no answer within 300 s" in trial.cause
    assert len([*(tmp_path / "hung").iterdir()]) == 1


def test_a_pair_is_ended_and_dropped_when_the_time_is_used_up(measure, write, hang):
    write(f"""
        import os

        def test_a(trial):
            trial.record(a=1)
            if os.environ["SIDE"] == "candidate":
                {hang}
    """)

    result = measure(limit_s=3000.0, seconds_left=600.0)

    assert (result.trials, result.was_cut) == ((), True)


def test_a_pair_for_which_no_time_is_left_is_dropped(measure, write):
    write("def test_a(trial):\n    trial.record(a=1)")

    assert measure(seconds_left=-1.0).was_cut


LEAVE_A_DAEMON = """
    import os, pathlib, time

    def leave_a_daemon():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                pathlib.Path({place!r} + ".part").write_text(str(os.getpid()))
                os.rename({place!r} + ".part", {place!r})
                time.sleep(3600)
            os._exit(0)
        os.wait()
        while not os.path.exists({place!r}):
            time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are inherited on Linux only")
@pytest.mark.parametrize("end", ["trial.record(a=1)", "{hang}"], ids=["completes", "hangs"])
def test_a_daemon_that_a_worker_left_ends_with_it(measure, write, hang, tmp_path, ends, end):
    leave, end = LEAVE_A_DAEMON.format(place=str(tmp_path / "pid")), end.replace("{hang}", hang)
    write(f"{leave}\n    def test_a(trial):\n        leave_a_daemon()\n        {end}\n")

    measure(sides=(Side.CANDIDATE,))

    assert ends(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are inherited on Linux only")
def test_a_daemon_that_a_worker_left_ends_when_the_gate_is_gone(specs, write, tmp_path, ends):
    place = str(tmp_path / "pid")
    write(
        f"{LEAVE_A_DAEMON.format(place=place)}\n    def test_a(trial):\n        leave_a_daemon()\n        time.sleep(3600)"
    )
    with ExitStack() as stack:
        worker = LiveWorkers().start(specs[Side.CANDIDATE], ["benchmarks"], stack)
        worker.expect(Event.COLLECTED, 600)
        worker.send(Command.RUN, workload="benchmarks/test_a.py::test_a", seed=0, block=WHOLE)
        for _ in range(12_000):
            if (tmp_path / "pid").exists():
                break
            time.sleep(0.05)

        worker.close_commands()

        assert ends(int((tmp_path / "pid").read_text()))


def test_output_of_any_size_is_not_kept_on_disk_and_its_end_is_shown(measure, write, tmp_path):
    write("""
        import os

        def test_a(trial):
            for _ in range(64):
                os.write(1, b"x" * 99 + b"\\n" + b"y" * 2**20)
            os.write(2, b"\\nlast words\\n")
            raise RuntimeError("broken")
    """)

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert "last words" in trial.last_lines
    assert any("bytes of output were not kept" in line for line in trial.last_lines)
    assert max(map(len, trial.last_lines)) < 2000
    assert sum(file.stat().st_size for file in (tmp_path / "scratch").rglob("*") if file.is_file()) < 2**20


def test_what_a_workload_wrote_is_shown_with_the_error_that_it_raised(measure, write):
    write("""
        import sys

        def test_a(trial):
            print("usage: tool [-h]", file=sys.stderr)
            print("on the other stream")
            raise SystemExit(2)
    """)

    (trial,) = measure(sides=(Side.CANDIDATE,)).trials

    assert trial.cause == "SystemExit: 2"
    assert {"usage: tool [-h]", "on the other stream"} <= set(trial.last_lines)
    assert any(line.startswith("benchmarks/test_a.py:") for line in trial.last_lines)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        pytest.param("def test_a(trial:\n    pass", "SyntaxError: '(' was never closed", id="syntax"),
        pytest.param("  x = 1\n y = 2", "IndentationError: ", id="indentation"),
        pytest.param("raise ValueError('no data')", "ValueError: no data", id="raises"),
        pytest.param("raise SystemExit(3)", "the worker exited with status 3", id="exits"),
    ],
)
def test_why_a_file_does_not_import_is_said_with_its_path_in_the_repository(specs, write, tmp_path, text, cause):
    (tmp_path / "measure" / "benchmarks" / "test_a.py").write_text(text)

    (problem,) = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"]).problems

    assert problem.id == "benchmarks/test_a.py"
    assert problem.cause.startswith(cause)
    assert ".." not in problem.cause
    assert ('File "benchmarks/test_a.py", line' in problem.cause) == cause.startswith(("Syntax", "Indentation"))


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ((), ["test_a.py"]),
        (("bench_*.py", "timing.py"), ["bench_b.py", "deep/timing.py", "timing.py"]),
        (("benchmarks/timing.py", "deep/*.py"), ["deep/timing.py", "timing.py"]),
        (("benchmarks/deep/timing.py",), ["deep/timing.py"]),
    ],
    ids=["as-pytest-says", "as-the-settings-say", "by-paths", "by-one-of-two-paths"],
)
def test_files_of_workloads_are_called_as_the_settings_say(specs, write, files, found):
    for name in ("test_a.py", "bench_b.py", "timing.py", "deep/timing.py"):
        write("def test_it(trial): ...", name=name)

    collection = collect_workloads(replace(specs[Side.CANDIDATE], files=files), ["benchmarks"])

    assert [workload.id for workload in collection.workloads] == [f"benchmarks/{name}::test_it" for name in found]


def test_modules_beside_the_workloads_are_found_after_all_that_is_installed(specs, write, tmp_path):
    for path, text in {
        "helpers/made.py": "VALUE = 1",
        "pytest.py": "raise ImportError",
        "json.py": "VALUE = 2",
    }.items():
        place = tmp_path / "measure" / path
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    write("""
        import json
        from helpers import made

        @pytest.mark.accuracy(metric="a", margin=0.1)
        def test_a(trial):
            assert not hasattr(json, "VALUE")
            trial.record(a=made.VALUE)
    """)

    request = PairRequest(workload="benchmarks/test_a.py::test_a", seed=5, pair=0, sides=BOTH, gated=("a",))
    trials = run_pair(specs, request).trials

    assert [(trial.outcome, trial.values) for trial in trials] == [(Outcome.COMPLETED, {"a": 1.0})] * 2


SELECTABLE = """
    @pytest.mark.parametrize("size", [1, 2])
    def test_mlp(trial, size): ...

    @pytest.mark.slow
    def test_cnn(trial): ...
"""


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        pytest.param(Selection(), {"mlp[1]", "mlp[2]", "cnn"}, id="everything"),
        pytest.param(Selection(keyword="mlp and not 2"), {"mlp[1]"}, id="keyword"),
        pytest.param(Selection(keyword="test_a.py"), {"mlp[1]", "mlp[2]", "cnn"}, id="name-of-the-file"),
        pytest.param(Selection(marks="slow"), {"cnn"}, id="marks"),
        pytest.param(Selection(keyword="mlp", marks="not slow"), {"mlp[1]", "mlp[2]"}, id="both"),
        pytest.param(Selection(keyword="nothing"), set(), id="nothing"),
    ],
)
def test_what_pytest_would_deselect_is_collected_and_told(specs, write, selection, left):
    write(SELECTABLE)

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"], selection=selection)

    names = {workload.id.partition("::test_")[2] for workload in collection.workloads}
    assert names == {"mlp[1]", "mlp[2]", "cnn"}
    assert names - {name.partition("::test_")[2] for name in collection.deselected} == left


@pytest.mark.parametrize("selection", [Selection(keyword="mlp and"), Selection(marks="slow or (")], ids=str)
def test_an_expression_that_does_not_parse_is_wrong_usage(specs, write, selection):
    write(SELECTABLE)

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"], selection=selection)

    with pytest.raises(UsageError, match="Wrong expression passed to") as caught:
        collection.require_right_markers()
    assert (caught.value.looked_in, caught.value.next_step) == ("-k, -m", "correct the expression")
