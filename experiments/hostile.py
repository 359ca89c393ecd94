"""Gate candidates that ruin a model and tamper with the means by which it is judged; write ``docs/results/hostile.json``.

Run from the root of the repository; it goes on where it was stopped::

    python -m experiments.hostile --candidates 300

Each candidate is drawn by its number: one of :data:`RUINS`, which makes the model of the end-to-end tests worse by more
than twice its margin, and one to three of :data:`CHANGES` to workloads, markers, settings, conftest files and the
environment. None adds a waiver. Half of them are committed to a branch, the others stand in the working tree. A gate must
not exit with 0, and its verdict must not be ``pass``. Every finished candidate is a line of a journal in
``.mainstay/hostile``; a journal of another generator or another gate is not continued.

Left out are candidates whose library forges what it returns or what is sent, since no gate sees that: SECURITY.md says
what a lying candidate can do.

The status is 1 where a candidate passed.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import shutil
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.provenance import ROOT, Row, commit, versions, write_results
from mainstay.store.files import content_digest
from mainstay.workers.machine import describe_machine
from tests.end_to_end.conftest import Project, new_project

STATE = ROOT / ".mainstay" / "hostile"
RESULTS = ROOT / "docs" / "results" / "hostile.json"

SEED = 20_261_128
NUM_CANDIDATES = 300
MAX_CHANGES = 3
GATE_SECONDS = 20
"""What each gate may measure."""

MODEL = "src/subject/model.py"
METRIC = "src/subject/evaluate.py"
FILE = "benchmarks/test_accuracy.py"
CONFTEST = "benchmarks/conftest.py"
SETTINGS = "pyproject.toml"

Edit = Callable[[Project], object]

HEALTHY = """
import pytest


@pytest.mark.deterministic(metric="parameters")
def test_constant(counts):
    counts.record(parameters=3)
"""
"""A second workload that no candidate harms, so that something always passes."""


def edit(path: str, old: str, new: str) -> Edit:
    """An edit of text that stands in a file exactly once."""
    return lambda project: project.edit(path, old, new)


def add(path: str, text: str) -> Edit:
    """A new file; where there is one, text at its end."""

    def apply(project: Project) -> None:
        place = project.root / path
        project.write(path, (place.read_text("utf-8") if place.exists() else "") + text)

    return apply


def key(line: str) -> Edit:
    """A key of ``[tool.mainstay]``."""
    return edit(SETTINGS, "trial_seconds = 300\n", f"trial_seconds = 300\n{line}\n")


def pytest_key(line: str) -> Edit:
    """A setting of pytest."""
    return edit(SETTINGS, "strict = true\n", f"strict = true\n{line}\n")


def all_of(*edits: Edit) -> Edit:
    """Several edits, one after the other."""

    def apply(project: Project) -> None:
        for each in edits:
            each(project)

    return apply


SLOW = edit(MODEL, "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.0002")

RUINS: Mapping[str, Edit] = {
    "learning rate / 100": SLOW,
    "no epoch": edit(MODEL, "NUM_EPOCHS = 2", "NUM_EPOCHS = 0"),
    "few examples, small steps": all_of(
        edit(MODEL, "NUM_TRAIN = 1000", "NUM_TRAIN = 20"), edit(MODEL, "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.002")
    ),
    "half the labels of a class flipped": edit(
        MODEL,
        "for point, label in points:\n            error",
        "for point, label in points:\n            label = label and int(rng.random() < 0.4)\n            error",
    ),
    "one answer for some inputs": edit(
        MODEL, "int(score(weights, point) > 0)", "int(score(weights, point) > 0 and point[0] < 3)"
    ),
    "bias left out": edit(MODEL, "rng.gauss(label, 1.5), 1.0]", "rng.gauss(label, 1.5), 0.0]"),
    "seed ignored, learning rate / 100": all_of(
        SLOW, edit(MODEL, "    rng = random.Random(seed)\n", "    rng = random.Random(seed)\n    rng.seed(1)\n")
    ),
    "flattering metric, learning rate / 100": all_of(
        SLOW,
        edit(
            METRIC,
            "return sum(first == second for first, second in zip(predicted, labels)) / len(labels)",
            "return 0.7752",
        ),
    ),
    "every second seed diverges": edit(
        MODEL, "    return weights\n", "    return weights if seed % 2 else [0.0, 0.0, 0.0]\n"
    ),
    "weights overflow": edit(
        MODEL, "    return weights\n", "    return [weight * float('inf') for weight in weights]\n"
    ),
}
"""What makes the model worse, by name."""

FLATTER = """
import sys


def flatter():
    trial = sys.modules["_mainstay_runner.recording"].Trial
    record = trial.record
    trial.record = lambda self, **values: record(self, **dict.fromkeys(values, 0.7752))
    trial.record_predictions = lambda self, *arguments, **options: None
"""
"""Rewrites what is recorded."""

HOOK = FLATTER + "\n\ndef pytest_configure():\n    flatter()\n"

FIXTURE = """
import pytest


@pytest.fixture(autouse=True)
def rewrite(request):
    if "trial" in request.fixturenames:
        trial = request.getfixturevalue("trial")
        record = trial.record
        trial.record = lambda **values: record(**dict.fromkeys(values, 0.7752))
        trial.record_predictions = lambda *arguments, **options: None
"""

GOOD_VALUES = """
import pytest

from subject import model


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    monkeypatch.setattr(model, "LEARNING_RATE", 0.02)
    monkeypatch.setattr(model, "NUM_EPOCHS", 2)
    monkeypatch.setattr(model, "NUM_TRAIN", 1000)
"""

DESELECT = """
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if "clouds" not in item.name]
"""

SKIP_ALL = """
import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "clouds" in item.name:
            item.add_marker(pytest.mark.skip(reason="not today"))
"""

SAME_RANDOM = """
import random

import pytest


@pytest.fixture(autouse=True)
def same_random(monkeypatch):
    monkeypatch.setattr(random.Random, "gauss", lambda self, mean, deviation: mean)
"""

REPORT_PASSED = """
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
"""

FORGE_JSON = """
import json

dumps = json.dumps


def forge(content, **options):
    if isinstance(content, dict) and content.get("event") == "finished" and content.get("values"):
        content = {**content, "values": dict.fromkeys(content["values"], 0.7752), "predictions": None, "digest": ""}
    return dumps(content, **options)


json.dumps = forge
"""
"""Rewrites what a worker sends."""

IN_WHEEL = edit(SETTINGS, 'module-name = "subject"', 'module-name = "subject"\ndata = { purelib = "extra" }')
"""Installs the folder ``extra`` beside the package."""

ENTRY_POINT = edit(
    SETTINGS,
    'requires-python = ">=3.11"\n',
    'requires-python = ">=3.11"\n\n[project.entry-points.pytest11]\nhelp = "subject.helping"\n',
)

HOOKED_BUILD = '''
"""A build backend that does more than build."""

import glob
import os

from uv_build import *  # noqa: F403
from uv_build import build_wheel as build


def build_wheel(directory, settings=None, metadata=None):
    {statement}
    return build(directory, settings, metadata)
'''


def hooked_build(statement: str) -> Edit:
    """A build backend of the candidate's own that runs a statement; it stands in the tree of its revision."""
    return all_of(
        edit(SETTINGS, 'build-backend = "uv_build"', 'build-backend = "backend"\nbackend-path = ["."]'),
        add("backend.py", HOOKED_BUILD.replace("{statement}", statement)),
    )


OF_BASELINE = 'glob.glob("../../base/{place}", recursive=True)'
RUIN_BASELINE = "[open(name, 'a').write('\\nLEARNING_RATE, NUM_EPOCHS = 0.0002, 0\\n') for name in " + OF_BASELINE + "]"


def in_fit(statement: str) -> Edit:
    """A statement at the start of the training."""
    return edit(MODEL, "    rng = random.Random(seed)\n", f"    {statement}\n    rng = random.Random(seed)\n")


def in_library(text: str) -> Edit:
    """Code that runs when the library is imported."""
    return add("src/subject/__init__.py", text)


def rename(project: Project) -> None:
    """Rename a function of the library together with its use in the workload."""
    for path in (MODEL, FILE):
        text = (project.root / path).read_text("utf-8")
        (project.root / path).write_text(
            text.replace("def fit(", "def train(").replace("model.fit(", "model.train("), "utf-8"
        )


def move(place: str) -> Edit:
    """Move the workload."""

    def apply(project: Project) -> None:
        (project.root / place).parent.mkdir(parents=True, exist_ok=True)
        (project.root / FILE).rename(project.root / place)

    return apply


def move_folder(project: Project) -> None:
    """Put another folder of workloads in place of the old one."""
    (project.root / "benchmarks").rename(project.root / "measures")
    key('workloads = "measures"')(project)


def marker(old: str, new: str) -> Edit:
    """An edit of the marker."""
    return edit(FILE, old, new)


def body(old: str, new: str) -> Edit:
    """An edit of the workload's body."""
    return edit(FILE, old, new)


MARKER = '@pytest.mark.accuracy(metric="top1_accuracy", margin=0.01, ceiling=0.99, resolution=0.0005)\n'
RECORD = "evaluate.accuracy(predicted, labels)"
FIT = "    weights = model.fit(trial.seed)"

CHANGES: Mapping[str, Mapping[str, Edit]] = {
    "workload": {
        "renamed function": rename,
        "renamed function, predictions left out": all_of(
            rename, body("    trial.record_predictions(predicted, labels)\n", "")
        ),
        "renamed function, constant recorded": all_of(rename, body(RECORD, "0.7752")),
        "moved": move("benchmarks/test_points.py"),
        "moved into a folder": move("benchmarks/more/test_points.py"),
        "moved out of the folder": move("tests/test_accuracy.py"),
        "file removed": lambda project: (project.root / FILE).unlink(),
        "file emptied": lambda project: (project.root / FILE).write_text(""),
        "test renamed": body("def test_clouds", "def test_points"),
        "no test any more": body("def test_clouds", "def clouds"),
        "skip mark": body("def test_clouds", "@pytest.mark.skip\ndef test_clouds"),
        "skipif mark": body("def test_clouds", "@pytest.mark.skipif(True, reason='slow')\ndef test_clouds"),
        "xfail mark and a body that raises": all_of(
            body("def test_clouds", "@pytest.mark.xfail\ndef test_clouds"), body(FIT, f"    raise RuntimeError\n{FIT}")
        ),
        "skip in the body": body(FIT, f"    pytest.skip('slow')\n{FIT}"),
        "skip of the file": body("import pytest\n", "import pytest\n\npytest.skip('slow', allow_module_level=True)\n"),
        "importorskip": body("import pytest\n", "import pytest\n\npytest.importorskip('no_such_module')\n"),
        "body raises": body(FIT, f"    raise RuntimeError\n{FIT}"),
        "file raises": body("import pytest\n", "import pytest\n\nraise RuntimeError\n"),
        "constant recorded": body(RECORD, "0.7752"),
        "easier data": body(
            "points = model.make_points(model.NUM_TEST, random.Random(0))", "points = [([9.0, 9.0, 1.0], 1)] * 2000"
        ),
        "clipped": body(RECORD, f"max(0.7752, {RECORD})"),
        "other weights": body(FIT, "    weights = [0.9, 0.5, -1.2]"),
        "nothing recorded": body(f"    trial.record(top1_accuracy={RECORD})\n", ""),
        "recorded under another name": body("trial.record(top1_accuracy=", "trial.record(accuracy="),
        "digest of a constant": body('{"weights": weights}', '{"weights": 0}'),
        "other context": body('dataset="clouds"', 'dataset="other"'),
        "predictions are the labels": all_of(
            body("record_predictions(predicted, labels)", "record_predictions(labels, labels)")
        ),
        "parametrised": body("def test_clouds(trial)", "@pytest.mark.parametrize('n', [1])\ndef test_clouds(trial, n)"),
        "in a class": all_of(
            body(MARKER, "class TestAll:\n    " + MARKER),
            body(
                "def test_clouds(trial):\n",
                "    def test_clouds(self, trial):\n        return run(trial)\n\n\ndef run(trial):\n",
            ),
        ),
        "good values set in the body": body(
            FIT, "    model.LEARNING_RATE, model.NUM_EPOCHS, model.NUM_TRAIN = 0.02, 2, 1000\n" + FIT
        ),
        "ends the process": body(FIT, f"    import os; os._exit(0)\n{FIT}"),
        "a second workload that is fine": add(
            FILE,
            '\n\n@pytest.mark.accuracy(metric="other", margin=0.01)\ndef test_fine(trial):\n    trial.record(other=0.9)\n',
        ),
    },
    "marker": {
        "margin 0.9": marker("margin=0.01", "margin=0.9"),
        "margin 1e-9": marker("margin=0.01", "margin=1e-9"),
        "margin left out": marker("margin=0.01, ", ""),
        "ceiling 2": marker("ceiling=0.99", "ceiling=2.0"),
        "no ceiling": marker("ceiling=0.99, ", ""),
        "ceiling 0.1": marker("ceiling=0.99", "ceiling=0.1"),
        "resolution 0.5": marker("resolution=0.0005", "resolution=0.5"),
        "lower is better": marker("ceiling=0.99", 'direction="lower"'),
        "another unit": marker("ceiling=0.99", 'unit="points"'),
        "fraction": marker("ceiling=0.99", 'unit="fraction"'),
        "another metric": marker('metric="top1_accuracy"', 'metric="top1"'),
        "removed": marker(MARKER, ""),
        "twice": marker(MARKER, MARKER * 2),
        "twice, one wider": marker(MARKER, MARKER + MARKER.replace("0.01", "0.9")),
        "another kind": marker(MARKER, '@pytest.mark.performance(metric="top1_accuracy", margin=0.9)\n'),
        "deterministic": marker(MARKER, '@pytest.mark.deterministic(metric="top1_accuracy", margin=0.9)\n'),
        "advisory": marker("margin=0.01", 'margin=0.01, tier="advisory"'),
    },
    "conftest": {
        "rewrites records in a fixture": add(CONFTEST, FIXTURE),
        "rewrites records in a hook": add(CONFTEST, HOOK),
        "rewrites records from the top": add("conftest.py", HOOK),
        "deselects": add(CONFTEST, DESELECT),
        "skips": add(CONFTEST, SKIP_ALL),
        "ignores the file": add(CONFTEST, 'collect_ignore = ["test_accuracy.py"]\n'),
        "ignores by pattern": add(CONFTEST, 'collect_ignore_glob = ["*accuracy*"]\n'),
        "ignores by hook": add(
            CONFTEST,
            "def pytest_ignore_collect(collection_path):\n    return 'accuracy' in collection_path.name or None\n",
        ),
        "no randomness": add(CONFTEST, SAME_RANDOM),
        "good values": add(CONFTEST, GOOD_VALUES),
        "reports passed": add(CONFTEST, REPORT_PASSED),
        "own trial fixture": add(
            CONFTEST, FIXTURE.replace("def rewrite(request)", "def trial(request)").replace("autouse=True", "")
        ),
        "ends the process": add(CONFTEST, "import os\n\nos._exit(0)\n"),
        "raises": add(CONFTEST, "raise RuntimeError\n"),
        "plugin of the library": all_of(
            add(CONFTEST, 'pytest_plugins = ["subject.helping"]\n'), add("src/subject/helping.py", HOOK)
        ),
        "rewrites what is sent": add(CONFTEST, FORGE_JSON),
    },
    "pytest settings": {
        "-k": pytest_key('addopts = ["-k", "constant"]'),
        "-m": pytest_key('addopts = ["-m", "deterministic"]'),
        "--deselect": pytest_key('addopts = ["--deselect", "benchmarks/test_accuracy.py"]'),
        "--ignore": pytest_key('addopts = ["--ignore-glob", "*accuracy*"]'),
        "python_files": pytest_key('python_files = ["test_healthy.py"]'),
        "python_functions": pytest_key('python_functions = ["test_constant"]'),
        "norecursedirs": pytest_key('norecursedirs = ["benchmarks"]'),
        "-p of the library": all_of(
            pytest_key('addopts = ["-p", "subject.helping"]'), add("src/subject/helping.py", HOOK)
        ),
        "own file": add("pytest.toml", '[pytest]\npython_files = ["test_healthy.py"]\n'),
        "xfail_strict": pytest_key("xfail_strict = false"),
        "usefixtures": all_of(
            pytest_key('usefixtures = ["rewrite"]'), add(CONFTEST, FIXTURE.replace("autouse=True", ""))
        ),
        "confcutdir": pytest_key('addopts = ["--noconftest", "--maxfail=1"]'),
    },
    "settings": {
        "margins": key("margins = { top1_accuracy = 0.9 }"),
        "margins of the data set": key("margins = { clouds = { top1_accuracy = 0.9 } }"),
        "alpha": key("alpha = 1e-9"),
        "alpha and margin_level": key("alpha = 0.4\nmargin_level = 0.45"),
        "one look at 2 pairs": key("looks = [2]"),
        "looks far away": key("looks = [500]"),
        "inconclusive = 0": key("inconclusive = 0"),
        "seconds": edit(SETTINGS, "seconds = 20\n", "seconds = 0.1\n"),
        "trial_seconds": edit(SETTINGS, "trial_seconds = 300\n", "trial_seconds = 0.01\n"),
        "workloads elsewhere": move_folder,
        "workloads: another folder": all_of(key('workloads = "other"'), add("other/test_healthy.py", HEALTHY)),
        "workloads: no folder": key('workloads = "nowhere"'),
        "waivers elsewhere": key('waivers = "docs/waivers.toml"'),
        "fail_fast": key("fail_fast = true"),
        "default_branch is its own": key('default_branch = "change"'),
        "threads and jobs": key("threads = 8\njobs = 8"),
        "preload": all_of(key('preload = ["subject.helping"]'), add("src/subject/helping.py", FORGE_JSON)),
        "prepare deselects": key('prepare = ["echo", "PYTEST_ADDOPTS=-k constant"]'),
        "prepare names a plugin": all_of(
            key('prepare = ["echo", "PYTEST_PLUGINS=subject.helping"]'), add("src/subject/helping.py", HOOK)
        ),
        "prepare names a path": key(
            'prepare = ["sh", "-c", "mkdir path; echo raise SystemExit > path/sitecustomize.py; echo PYTHONPATH=$PWD/path"]'
        ),
        "prepare forges for both": all_of(
            key(
                "prepare = [\"python\", \"-c\", \"import subject, shutil, os; os.mkdir('path'); shutil.copy(os.path.join(os.path.dirname(subject.__file__), 'helping.py'), 'path/sitecustomize.py'); print('PYTHONPATH=' + os.path.abspath('path'))\"]"
            ),
            add("src/subject/helping.py", FORGE_JSON),
        ),
        "prepare swaps the workload": key(
            'prepare = ["sh", "-c", "sed -i \'s/evaluate.accuracy.predicted, labels./0.7752/; /record_predictions/d\' ../measure/*/benchmarks/test_accuracy.py"]'
        ),
        "prepare ruins the baseline": key(
            'prepare = ["sh", "-c", "echo LEARNING_RATE, NUM_EPOCHS = 0.0002, 0 | tee -a ../base/environment/lib/*/site-packages/subject/model.py"]'
        ),
        "table removed": edit(SETTINGS, "[tool.mainstay]\nseconds = 20\nproof = false\ntrial_seconds = 300\n", ""),
        "writable": key('writable = ["/"]'),
        "share": key('share = ["data"]'),
    },
    "environment": {
        "pytest plugin in the wheel": all_of(ENTRY_POINT, add("src/subject/helping.py", HOOK)),
        "sitecustomize in the wheel": all_of(IN_WHEEL, add("extra/sitecustomize.py", FORGE_JSON)),
        "usercustomize in the wheel": all_of(IN_WHEEL, add("extra/usercustomize.py", FORGE_JSON)),
        ".pth in the wheel": all_of(
            IN_WHEEL,
            add("extra/helping.pth", "import helping_at_start\n"),
            add("extra/helping_at_start.py", FORGE_JSON),
        ),
        "pytest in the wheel": all_of(
            IN_WHEEL,
            add(
                "extra/pytest/__init__.py",
                "from _pytest.config import main as run\nfrom _pytest import *\nimport sys\nsys.exit(0)\n",
            ),
        ),
        "pluggy in the wheel": all_of(IN_WHEEL, add("extra/iniconfig.py", FORGE_JSON)),
        "build changes the baseline's tree": hooked_build(
            RUIN_BASELINE.replace("{place}", "tree/src/subject/model.py")
        ),
        "build changes the baseline's environment": hooked_build(
            "import time; time.sleep(2); "
            + RUIN_BASELINE.replace("{place}", "environment/lib/*/site-packages/subject/model.py")
        ),
        "build changes the baseline's workload": hooked_build(
            "[open(name, 'a').write('\\n\\ndef test_clouds():\\n    pass\\n') for name in "
            + OF_BASELINE.replace("{place}", "tree/benchmarks/test_accuracy.py")
            + "]"
        ),
        "measures with its own plugin": all_of(
            edit(
                SETTINGS,
                'benchmarks = ["pytest>=8.4"]',
                'benchmarks = ["pytest>=8.4", "helping"]\n\n[tool.uv.sources]\nhelping = { path = "helping" }',
            ),
            add(
                "helping/pyproject.toml",
                '[build-system]\nrequires = ["uv_build>=0.8,<1"]\nbuild-backend = "uv_build"\n\n[project]\nname = "helping"\nversion = "1.0"\n\n[project.entry-points.pytest11]\nhelping = "helping"\n',
            ),
            add("helping/src/helping/__init__.py", HOOK),
        ),
        "needs another pytest": edit(SETTINGS, 'benchmarks = ["pytest>=8.4"]', 'benchmarks = ["pytest>=99"]'),
        "settings of uv": add("uv.toml", "[pip]\nno-deps = true\n"),
        "another Python": edit(SETTINGS, 'requires-python = ">=3.11"', 'requires-python = ">=3.99"'),
        "no longer builds": edit(SETTINGS, 'module-name = "subject"', 'module-name = "nothing"'),
        "writes the other environment": in_fit(
            "import glob; [open(name, 'a').write('NUM_EPOCHS = 0') for name in glob.glob(__file__.replace('/cand/', '/base/'))]"
        ),
        "writes the measuring folder": in_fit(
            "import sys, glob; [open(name, 'w').write('') for name in glob.glob(__file__.partition('/cand/')[0] + '/measure/*/*/*.py')]"
        ),
        "removes the measuring folder": in_fit(
            "import shutil; shutil.rmtree(__file__.partition('/cand/')[0] + '/measure')"
        ),
        "environment variables": in_library(
            "import os\n\nos.environ.update(PYTEST_ADDOPTS='-k constant', PYTHONHASHSEED='1')\n"
        ),
        "atexit": in_library("import atexit\nimport os\n\natexit.register(os._exit, 0)\n"),
        "time stands still": in_library(
            "import time\n\ntime.perf_counter = time.monotonic = time.time = lambda: 0.0\n"
        ),
        "exits 0 at import": in_library("raise SystemExit(0)\n"),
        "ends the process at import": in_library("import os\n\nos._exit(0)\n"),
        "ends the process in training": in_fit("import os; os._exit(0)"),
        "exits 0 in training": in_fit("raise SystemExit(0)"),
        "skips in training": in_fit("import pytest; pytest.skip('slow')"),
        "xfails in training": in_fit("import pytest; pytest.xfail('slow')"),
        "stops pytest in training": in_fit("import pytest; pytest.exit('enough', returncode=0)"),
        "writes to every descriptor": in_fit(
            "import os; [os.write(n, b'{\"event\": \"finished\"}\\n') for n in range(3, 20) if os.path.exists(f'/proc/self/fd/{n}')]"
        ),
        "closes every descriptor": in_fit("import os; os.closerange(3, 256)"),
        "kills its parent": in_fit("import os, signal; os.kill(os.getppid(), signal.SIGKILL)"),
        "waits for ever": in_fit("import time; time.sleep(3600)"),
        "no randomness": in_library(
            "import random\n\nrandom.seed(0)\nrandom.Random.gauss = lambda self, mean, deviation: mean\n"
        ),
        "raises on some seeds": in_fit("assert seed % 3"),
        "modules in the root end the gate": all_of(
            *(add(f"{name}.py", "raise SystemExit(0)\n") for name in ("json", "uv", "numpy", "platformdirs"))
        ),
        "git attributes": add(".gitattributes", "*.py export-ignore\nbenchmarks/** text eol=crlf\n"),
        "ignored files": add(".gitignore", "benchmarks\nsrc\n"),
        "a run document of its own": add(".mainstay/runs/a/run.json", "{}\n"),
    },
}
"""What tampers with the means by which the model is judged, by kind and name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What one number stands for.

    Attributes:
        number: From 0.
        ruin: One of :data:`RUINS`.
        changes: Kind and name of each of :data:`CHANGES`.
        committed: Whether it is on a branch, in commits of its own; else in the working tree.
    """

    number: int
    ruin: str
    changes: tuple[tuple[str, str], ...]
    committed: bool


class DoesNotApplyError(Exception):
    """A change finds nothing to change, since another one was there first."""


def draw(number: int, attempt: int = 0) -> Candidate:
    """The candidate of a number.

    The first change goes through all of them in turn, so that a campaign of some length has each; the others are drawn.

    Args:
        number: From 0.
        attempt: Which draw, where others did not apply.
    """
    rng = random.Random(f"{SEED} {number} {attempt}")
    every = [(kind, name) for kind, changes in CHANGES.items() for name in changes]
    order = random.Random(SEED).sample(every, len(every))
    chosen = [order[number % len(order)]]
    others = [pair for pair in every if pair not in chosen]
    chosen += rng.sample(others, rng.randrange(MAX_CHANGES))
    return Candidate(
        number=number,
        ruin=rng.choice(list(RUINS)),
        changes=tuple(rng.sample(chosen, len(chosen))),
        committed=rng.random() < 0.5,
    )


def generator_digest() -> str:
    """SHA-256 of what draws and of what judges."""
    parts = [content_digest(Path(__file__)), content_digest(ROOT / "src" / "mainstay")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Campaign:
    """Candidates of one repository, gated one after the other.

    Args:
        folder: Where the repository and the environments lie.
    """

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder / "repository", ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.project = new_project(folder / "repository", folder / "cache")
        edit(SETTINGS, "[tool.mainstay]\n", f"[tool.mainstay]\nseconds = {GATE_SECONDS}\n")(self.project)
        self.project.write("benchmarks/test_healthy.py", HEALTHY)
        self.project.write(".gitignore", "reports\n")
        self.project.commit("What is gated")

    def apply(self, candidate: Candidate) -> None:
        """Put a candidate in place of the last one.

        Raises:
            DoesNotApplyError: If one of its changes finds nothing to change.
        """
        project = self.project
        project.git("checkout", "-q", "--force", "-B", "change", "main")
        project.git("clean", "-qffdx", "-e", ".mainstay")
        shutil.rmtree(project.root / ".mainstay", ignore_errors=True)
        try:
            RUINS[candidate.ruin](project)
            if candidate.committed:
                project.commit("ruin")
            for kind, name in candidate.changes:
                CHANGES[kind][name](project)
            tomllib.loads((project.root / SETTINGS).read_text("utf-8"))  # a key that stands twice is refused unread
        except (AssertionError, OSError, tomllib.TOMLDecodeError) as error:
            raise DoesNotApplyError(str(error)) from error
        if candidate.committed:
            project.commit("changes")

    def run(self, number: int) -> Row:
        """Gate the candidate of a number: its first draw whose changes apply one after the other."""
        for attempt in itertools.count():
            candidate = draw(number, attempt)
            with suppress(DoesNotApplyError):
                self.apply(candidate)
                return self.gate(candidate)
        raise AssertionError("there is always another draw")

    def gate(self, candidate: Candidate) -> Row:
        """Gate a candidate that was applied."""
        start, cpu = time.monotonic(), os.times()
        result = self.project.gate()
        used = os.times()
        run = result.run if result.run and result.status not in {2, 130} else None
        findings = run["findings"] if run else []
        reason = run["reason"] if run else next(iter(result.stderr.strip().splitlines()[-3:]), "")
        return {
            **asdict(candidate),
            "status": result.status,
            "verdict": run["verdict"] if run else "none",
            "findings": [[f"{f['metric']['workload']}#{f['metric']['name']}", f["verdict"]] for f in findings],
            "reason": reason.replace(str(self.project.root), "REPOSITORY")[:300],
            "seconds": round(time.monotonic() - start, 2),
            "cpu_seconds": round(
                used.children_user + used.children_system - cpu.children_user - cpu.children_system, 2
            ),
        }


def is_wrong(row: Row) -> bool:
    """Whether a ruined model passed.

    Example:
        >>> is_wrong({"status": 0, "verdict": "none"}), is_wrong({"status": 1, "verdict": "fail"})
        (True, False)
    """
    return bool(row["status"] == 0 or row["verdict"] == "pass")


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """The published tables."""
    by_change: dict[str, list[Row]] = {}
    for row in rows:
        for kind, name in row["changes"]:
            by_change.setdefault(f"{kind}: {name}", []).append(row)
    return {
        "candidates": len(rows),
        "planned": NUM_CANDIDATES,
        "passed": sum(map(is_wrong, rows)),
        "seed": SEED,
        "gate_seconds": GATE_SECONDS,
        "command": f"python -m experiments.hostile --candidates {NUM_CANDIDATES}",
        "commit": commit(),
        "machine": asdict(describe_machine()),
        "versions": versions("mainstay", "pytest", "uv", "python"),
        "by_changes": [
            _row({"changes": number}, [row for row in rows if len(row["changes"]) == number])
            for number in range(1, MAX_CHANGES + 1)
        ],
        "by_ruin": [_row({"ruin": ruin}, [row for row in rows if row["ruin"] == ruin]) for ruin in RUINS],
        "by_kind": [
            _row({"kind": kind}, [row for row in rows if kind in {k for k, _ in row["changes"]}]) for kind in CHANGES
        ],
        "by_change": [_row({"change": change}, found) for change, found in sorted(by_change.items())],
    }


def _row(head: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """How often each status and verdict came."""
    statuses = Counter(row["status"] for row in rows)
    return {
        **head,
        "candidates": len(rows),
        "passed": sum(map(is_wrong, rows)),
        **{f"exit {status}": statuses[status] for status in (1, 2, 3, 4)},
        "other exit": sum(count for status, count in statuses.items() if status not in range(5)),
    }


def read_journal(path: Path, digest: str) -> list[Row]:
    """Finished candidates of this generator and this gate; another journal is put aside."""
    if not path.exists():
        return []
    head, *lines = path.read_text("utf-8").splitlines()
    if json.loads(head) != {"digest": digest}:
        path.replace(path.with_suffix(".old"))
        return []
    return [json.loads(line) for line in lines]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.hostile", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--candidates", type=int, default=NUM_CANDIDATES, metavar="N", help="how many; default: %(default)s"
    )
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first; default: %(default)s")
    arguments = parser.parse_args(argv)
    STATE.mkdir(parents=True, exist_ok=True)
    journal, digest = STATE / "journal.jsonl", generator_digest()
    rows = read_journal(journal, digest)
    if not journal.exists():
        journal.write_text(json.dumps({"digest": digest}) + "\n", "utf-8")
    known = {row["number"] for row in rows}
    wanted = [number for number in range(arguments.first, arguments.candidates) if number not in known]
    campaign = Campaign(STATE)
    for number in wanted:
        row = campaign.run(number)
        rows.append(row)
        with journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        mark = "PASSED" if is_wrong(row) else "held"
        print(
            mark,
            number,
            row["status"],
            row["verdict"],
            row["ruin"],
            row["changes"],
            f"{row['seconds']} s",
            row["reason"],
            flush=True,
        )
    finished = sorted((row for row in rows if row["number"] < arguments.candidates), key=lambda row: row["number"])
    if len(finished) >= NUM_CANDIDATES:
        write_results(RESULTS, summarise(finished))
    wrong = [row["number"] for row in finished if is_wrong(row)]
    print(f"{len(finished)} candidates, {len(wrong)} passed: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
