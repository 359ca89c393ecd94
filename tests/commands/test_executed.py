"""Code that differs where many traced calls execute nothing of it is proved unchanged, and no other code is.

The attacks are packages whose behaviour depends on the function that the edit touches. The gate must measure each of them, or
the assumption that every report prints must name it.
"""

import sys
from dataclasses import replace
from typing import Any

import pytest

from mainstay.commands import rewording
from mainstay.commands.rewording import NEEDS_MONITORING
from mainstay.records.executions import ALONE, INTERLEAVED, TRAINED
from mainstay.revisions.unchanged import compare_words
from mainstay.workers import tracing
from mainstay.workers.tracing import MOST_CALLS, TracedRun
from tests.commands.two_trees import SPEED, edited, workloads_of
from tests.slow_cases import some_always

needs_monitoring = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="only Python 3.12 and later tell of all functions that are executed"
)

MODEL = '''"""What the module does."""


def helper(value):
    """What the function does."""
    return value + 1


def unused(value):
    """What nothing calls."""
    return value - 1


class Thing:
    def method(self):
        return 1


def run():
    return helper(1)
'''

BODY = ("value - 1", "value * 2")
"""An edit of the body of a function that no workload calls."""


@pytest.fixture
def decide_edit(decide):
    """Decide on an edit of the model, with the proof that covers executed code only."""

    def decide_edit(*edits, model=MODEL, files=(), **named):
        others = dict(files)
        return decide(
            {"subject/model.py": model, **{name: old for name, (old, _) in others.items()}},
            {"subject/model.py": edited(model, *edits), **{name: new for name, (_, new) in others.items()}},
            **{"proof": "executed", "seconds": 4000.0, **named},  # the time is enough on a busy machine
        )

    return decide_edit


@needs_monitoring
@pytest.mark.parametrize(
    ("edits", "files", "unexecuted"),
    [
        pytest.param((BODY,), {}, ["subject/model.py::unused"], id="body"),
        pytest.param(
            (("    return value - 1", "    rest = value\n    return [rest for _ in (1, 2)]"), ("return 1", "return 2")),
            {},
            ["subject/model.py::Thing.method", "subject/model.py::unused"],
            id="bodies of a function and a method, with more lines",
        ),
        pytest.param(
            (("What nothing calls.", "What nothing calls yet."), ("What the function does.", "How it does it."), BODY),
            {},
            ["subject/model.py::unused"],
            id="body and words",
        ),
        pytest.param(
            (),
            {"subject/other.py": ("A = 1\n", "A = 2\n\n\ndef added():\n    return A\n")},
            ["subject/other.py::<module>", "subject/other.py::added"],
            id="function added to a module that is not imported",
        ),
    ],
)
def test_functions_that_are_not_executed_may_differ(decide_edit, edits, files, unexecuted):
    proof = decide_edit(*edits, files=files)

    assert (proof.workloads, proof.note) == ({SPEED}, "")
    assert proof.unexecuted == tuple(unexecuted)
    assert 300 <= proof.calls[SPEED] <= MOST_CALLS


@needs_monitoring
def test_without_that_setting_only_words_may_differ(decide, decide_edit):
    files = {"subject/model.py": MODEL}, {"subject/model.py": edited(MODEL, BODY)}

    assert not decide(*files, proof="unchanged").workloads
    assert decide_edit(("What the function does.", "How it does it.")).calls == {}


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tells what happens on Python 3.11")
def test_an_older_python_falls_back_to_words_and_a_note_says_so(decide_edit):
    words = decide_edit(("What the function does.", "How it does it."))
    body = decide_edit(BODY)

    assert (words.workloads, words.note, words.calls) == ({SPEED}, "", {})
    assert (body.workloads, body.note) == (frozenset(), NEEDS_MONITORING)
    assert "Python 3.12 or later" in NEEDS_MONITORING


EXECUTED = {
    "body of a function that is called": ("value + 1", "value + 2"),
    "default": ("def unused(value)", "def unused(value=1)"),
    "annotation": ("def unused(value)", "def unused(value: int)"),
    "decorator": ("def unused", "@staticmethod\ndef unused"),
    "function added": ("def run():", "def added():\n    pass\n\n\ndef run():"),
    "made a generator": ("return value - 1", "yield value - 1"),
    "base class": ("class Thing:", "class Thing(dict):"),
}


@needs_monitoring
@pytest.mark.parametrize("name", EXECUTED)
def test_what_is_executed_may_not_differ(decide_edit, name):
    proof = decide_edit(EXECUTED[name])

    assert not proof.workloads
    assert "differs and was executed" in proof.note


CALLERS = """
import atexit, functools, operator, threading

import pytest

import subject.model


@pytest.fixture
def made():
    return subject.model.unused(1)


def test_speed(benchmark):
    benchmark(subject.model.run)


def test_directly(benchmark):
    benchmark(subject.model.unused, 1)


def test_by_compiled_code(benchmark):
    benchmark(lambda: list(map(subject.model.unused, (1, 2))))


def test_by_a_built_name(benchmark):
    benchmark(getattr(subject.model, "un" + "used"), 1)


def test_in_a_fixture(benchmark, made):
    benchmark(subject.model.run)


def test_after_the_calls(benchmark):
    benchmark(subject.model.run)
    subject.model.unused(1)


def test_in_a_thread(benchmark):
    def call():
        thread = threading.Thread(target=subject.model.unused, args=(1,))
        thread.start()
        thread.join()

    benchmark(call)


def test_as_key(benchmark):
    benchmark(sorted, [3, 1], key=subject.model.unused)
"""


@needs_monitoring
def test_however_a_function_is_called_its_workload_is_measured(decide_edit):
    names = [line.split("(")[0].removeprefix("def ") for line in CALLERS.splitlines() if line.startswith("def test")]
    workloads = workloads_of(**dict.fromkeys(names, (INTERLEAVED, "call_time")))

    proof = decide_edit(BODY, workload=CALLERS, workloads=workloads)

    assert proof.workloads == {SPEED}
    assert proof.note.count("subject/model.py::unused differs and was executed") == 3
    assert proof.note.endswith("and 4 more")


RARE = '''"""Branches that are seldom taken."""

import importlib
import os
import random
import time
import uuid

COUNT = 0


def rare():
    return 1


class Rare:
    def __add__(self, other):
        return 1


REGISTRY = {"rare": rare}


def by_name(is_rare):
    return rare() if is_rare else 0


def by_lazy_module(is_rare):
    if is_rare:
        import subject.lazy

        return subject.lazy.rare()


def by_built_module(is_rare):
    return importlib.import_module("subject." + "la" + "zy").rare() if is_rare else 0


def by_built_attribute(is_rare):
    return getattr(importlib.import_module(__name__), "ra" + "re")() if is_rare else 0


def by_registry(is_rare):
    return REGISTRY["rare"]() if is_rare else 0


def by_dunder(is_rare):
    return Rare() + 1 if is_rare else 0


def counted(branch, every):
    global COUNT
    COUNT += 1
    return branch(COUNT % every == 0)


def run():
    return 0
'''

LAZY = {"subject/lazy.py": ("def rare():\n    return 1\n", "def rare():\n    return 2\n")}
EDITS = (("    return 1\n", "    return 2\n"),)
BRANCHES = ("by_name", "by_lazy_module", "by_built_module", "by_built_attribute", "by_registry", "by_dunder")


def calling(head, body):
    """A workload for each branch; its body calls the branch."""
    tests = [
        f"def test_{branch}(benchmark):\n    branch = subject.model.{branch}\n    benchmark({body})\n"
        for branch in BRANCHES
    ]
    plain = "def test_speed(benchmark):\n    benchmark(subject.model.run)\n"
    return "\n\n".join([f"import os\n{head}\nimport subject.model\n", plain, *tests])


TRIGGERS = {
    "environment": ("", "lambda: branch(os.environ.get('RARE') == 'yes')"),
    "random number": ("import random", "lambda: branch(random.random() > 0.9999999)"),
    "time": ("import time", "lambda: branch(time.time_ns() % 10**8 == 0)"),
}


def branches():
    """The workloads of :func:`calling`."""
    names = ["test_speed", *(f"test_{branch}" for branch in BRANCHES)]
    return workloads_of(**dict.fromkeys(names, (INTERLEAVED, "call_time")))


@needs_monitoring
@pytest.mark.parametrize("name", some_always(TRIGGERS, {"environment"}))
def test_a_rare_branch_that_hangs_on_chance_is_measured(decide_edit, name):
    head, body = TRIGGERS[name]

    proof = decide_edit(*EDITS, model=RARE, files=LAZY, workload=calling(head, body), workloads=branches())

    assert proof.workloads == {SPEED}
    assert proof.note.count("what is executed may depend on chance") == 3
    assert proof.note.endswith("and 3 more")


@needs_monitoring
def test_a_branch_that_is_rarer_than_the_assumption_says_is_what_the_report_names(decide_edit):
    every = 100 * 1_000_000
    body = f"lambda: subject.model.counted(branch, {every})"

    proof = decide_edit(*EDITS, model=RARE, files=LAZY, workload=calling("", body), workloads=branches())

    assert proof.workloads == {each.id for each in branches()}
    assert {calls >= 300 and 1 / every < 3 / calls for calls in proof.calls.values()} == {True}
    assert proof.unexecuted == ("subject/lazy.py::rare", "subject/model.py::Rare.__add__", "subject/model.py::rare")


CHANCE = {
    "random": "random.random()",
    "another_name": "draw()",
    "own_generator": "GENERATOR.random()",
    "choice": "random.choice((1, 2))",
    "unseeded": "random.Random().random()",
    "system": "random.SystemRandom(1).random()",
    "mapped_choice": "list(map(random.choice, ((1, 2),)))",
    "clock": "time.perf_counter()",
    "date": "datetime.now()",
    "uuid": "uuid.uuid4()",
    "urandom": "os.urandom(1)",
    "secrets": "secrets.token_hex(1)",
    "variable": "os.environ.get('A')",
    "item_of_the_environment": "HOLDER.environ['PATH']",
    "getenv": "os.getenv('A')",
    "process": "os.getpid()",
    "address": "id(GENERATOR)",
    "hash": "hash(GENERATOR)",
    "text": "repr(GENERATOR)",
    "by_compiled_code": "next(iter(random.random, 2))",
    "mapped": "list(map(time.sleep, (0,)))",
    "partial": "functools.partial(time.monotonic)()",
    "sorted_by_address": "sorted([HOLDER, GENERATOR], key=id)",
    "thread": "threading.get_ident()",
    "numpy": "numpy.random.rand()",
    "unseeded_of_numpy": "numpy.random.default_rng().normal()",
    "none_as_seed": "numpy.random.default_rng(None).normal()",
    "held_generator_of_numpy": "NUMPY.normal()",
}
USES_CHANCE = """
import functools, os, random, secrets, threading, time, types, uuid
from datetime import datetime
from random import random as draw

import numpy

import subject.model

GENERATOR = random._inst
NUMPY = numpy.random.mtrand._rand
HOLDER = types.SimpleNamespace(environ=os.environ)


def test_speed(benchmark):
    benchmark(subject.model.run)
""" + "".join(f"\n\ndef test_{name}(benchmark):\n    benchmark(lambda: {body})\n" for name, body in CHANCE.items())


@needs_monitoring
def test_each_source_of_chance_has_its_workload_measured(decide_edit):
    names = ["test_speed", *(f"test_{name}" for name in CHANCE)]
    workloads = workloads_of(**dict.fromkeys(names, (INTERLEAVED, "call_time")))

    proof = decide_edit(BODY, workload=USES_CHANCE, workloads=workloads)

    assert proof.workloads == {SPEED}
    assert proof.note.endswith(f"and {len(CHANCE) - 3} more")


SEEDED = """
import random

import numpy as np
from numpy.random import default_rng

import subject.model

OWN = random.Random(3)
RNG = default_rng(5)


def test_speed(benchmark):
    rng = np.random.default_rng(1)
    benchmark(lambda: subject.model.helper(rng.integers(9)))


def test_of_the_standard_library(benchmark):
    benchmark(lambda: subject.model.helper(OWN.choice((1, 2)) + OWN.random() + random.Random(1).randint(1, 9)))


def test_by_name(benchmark):
    benchmark(lambda: subject.model.helper(RNG.normal() + np.random.Generator(np.random.PCG64(7)).random()))
"""


@needs_monitoring
def test_generators_with_a_seed_are_no_source_of_chance(decide_edit):
    names = ("test_speed", "test_of_the_standard_library", "test_by_name")
    workloads = workloads_of(**dict.fromkeys(names, (INTERLEAVED, "call_time")))

    proof = decide_edit(BODY, workload=SEEDED, workloads=workloads)

    assert (proof.workloads, proof.note) == ({each.id for each in workloads}, "")


@needs_monitoring
def test_chance_when_the_package_is_imported_has_everything_measured(decide_edit):
    proof = decide_edit(BODY, model=f"import time\n\nSTART = time.time()\n{MODEL}")

    assert not proof.workloads
    assert proof.note.endswith("what is executed may depend on chance: time.time in model.py::<module>")


LATER = """
import subject.model

RUNS = []


def test_speed(benchmark):
    RUNS.append(1)
    benchmark(subject.model.run if len(RUNS) == 1 else lambda: subject.model.helper(subject.model.Thing().method()))
"""


@needs_monitoring
def test_new_code_in_the_second_half_of_the_calls_has_the_workload_measured(decide_edit):
    proof = decide_edit(BODY, workload=LATER)

    assert not proof.workloads
    assert proof.note.endswith(
        "test_speed: its later calls executed subject/model.py::Thing.method, which its first calls did not"
    )


SLOW = """
import subject.model


def test_speed(benchmark):
    benchmark(subject.model.run)


def test_slow(benchmark):
    def call():
        for _ in range(10_000):
            subject.model.run()

    benchmark(call)
"""


@needs_monitoring
def test_a_workload_of_which_too_few_calls_fit_is_measured(decide_edit):
    workloads = workloads_of(**dict.fromkeys(("test_speed", "test_slow"), (INTERLEAVED, "call_time")))

    proof = decide_edit(BODY, workload=SLOW, workloads=workloads)

    assert proof.workloads == {SPEED}
    assert "test_slow: only " in proof.note
    assert "traced calls fit in the time for them, and 300 are needed" in proof.note


SEEN: Any = {"unknown": [], "touched": [], "introspected": [], "readers": {}, "executed": [], "chance": []}


def run_of(calls=None, late=(), **seen):
    """A traced run of one workload, once or repeatedly."""
    traced: Any = {**SEEN, **seen}
    recorded = {"outcome": "completed", "cause": "", "values": ["call_time"]}
    return TracedRun(
        collection=SEEN,
        workloads={SPEED: traced},
        results={SPEED: recorded},
        calls={} if calls is None else {SPEED: calls},
        late={SPEED: frozenset(late)},
    )


def failed(run):
    """The same run, which did not complete."""
    return replace(run, results={SPEED: {"outcome": "failed", "cause": "it broke", "values": []}})


CHANGED = "subject/model.py::unused"
RUNS = {
    "nothing": ([run_of(), run_of(3000), run_of()], ""),
    "executed in the first run": ([run_of(executed=[CHANGED])], f"{CHANGED} differs and was executed"),
    "executed in later calls": ([run_of(), run_of(3000, executed=[CHANGED]), run_of()], "differs and was executed"),
    "executed by the candidate": ([run_of(), run_of(3000), run_of(executed=[CHANGED])], "executed other functions"),
    "chance in later calls": (
        [run_of(), run_of(3000, chance=["time.time in a"]), run_of()],
        "depend on chance: time.time",
    ),
    "chance in the candidate": (
        [run_of(), run_of(3000), run_of(chance=["time.time in a"])],
        "depend on chance: time.time",
    ),
    "new code late": ([run_of(), run_of(3000, late=["a.py::f"]), run_of()], "its later calls executed a.py::f"),
    "few calls": ([run_of(), run_of(299), run_of()], "only 299 traced calls fit"),
    "later calls that fail": ([run_of(), failed(run_of(3000)), run_of()], "it did not complete when it was traced"),
    "reading of code": ([run_of(introspected=["subject/model.py"])], "code of subject/model.py was looked at"),
    "reading of the file": ([run_of(touched=["subject/model.py"])], "the file subject/model.py was looked at"),
    "other functions in the candidate": ([run_of(), run_of(3000), run_of(executed=["b"])], "executed other functions"),
}


@pytest.mark.parametrize("name", RUNS)
def test_what_the_runs_saw_decides(name, decide_edit, monkeypatch):
    runs, reason = RUNS[name]
    waiting = iter(runs)
    asked = []
    monkeypatch.setattr(
        rewording,
        "compare_words",
        lambda *given, **named: replace(compare_words(*given, **named), can_follow_calls=True),
    )

    def trace(*_, follows_calls, repeat_s, **__):
        asked.append((follows_calls, repeat_s > 0))
        return next(waiting)

    monkeypatch.setattr(rewording, "trace_workloads", trace)

    proof = decide_edit(BODY)

    assert bool(proof.workloads) is (not reason)
    assert reason in proof.note
    assert proof.calls == ({} if reason else {SPEED: 3000})
    assert proof.unexecuted == (() if reason else (CHANGED,))
    assert asked == [(True, False), (True, True), (True, False)][: len(runs)]


def test_import_time_and_memory_are_measured(decide_edit, monkeypatch):
    runs = iter([run_of(), run_of(3000), run_of()])
    monkeypatch.setattr(
        rewording,
        "compare_words",
        lambda *given, **named: replace(compare_words(*given, **named), can_follow_calls=True),
    )
    monkeypatch.setattr(rewording, "trace_workloads", lambda *_, **__: next(runs))
    workloads = workloads_of(test_speed=(INTERLEAVED, "call_time"), test_size=(ALONE, "peak_memory"))

    proof = decide_edit(BODY, workloads=workloads)

    assert proof.workloads == {SPEED}
    assert "measured in part, since the text of a module affects peak_memory" in proof.note


TRAINING = """
import pytest

import subject.model


@pytest.mark.accuracy(metric="accuracy", margin=0.1)
def test_train(trial):
    trial.record(accuracy=subject.model.run() + trial.seed % 7)
"""


@needs_monitoring
def test_a_training_is_repeated_at_other_seeds(decide_edit, monkeypatch):
    for module in (rewording, tracing):
        monkeypatch.setattr(module, "FEWEST_CALLS", 4)
        monkeypatch.setattr(module, "MOST_CALLS", 8)
    monkeypatch.setattr(rewording, "REPEAT_SECONDS", 100.0)
    workloads = workloads_of(test_train=(TRAINED, "accuracy"))

    proof = decide_edit(BODY, workload=TRAINING, workloads=workloads)

    assert (proof.note, proof.calls) == ("", {"benchmarks/test_w.py::test_train": 8})
