import tomllib
from typing import Any

import pytest

from mainstay.project.configuration import Configuration, EvaluationSettings, read_configuration, with_settings
from mainstay.records.errors import ConfigurationError
from mainstay.records.metrics import Direction, Tier

EVERY_KEY = """
[tool.mainstay]
default_branch = "trunk"
workloads = "perf/gated"
looks = [3, 6]
seconds = 60
alpha = 0.02
margin_level = 0.1
fail_fast = true
proof = false
group_by = "class"
inconclusive = 1
waivers = "accepted.toml"
constraints = ["constraints.txt"]
extras = ["reference"]
groups = ["runtime"]
share = ["data"]
writable = ["~/models", "/data"]
prepare = ["python", "-m", "fetch"]
trial_seconds = 30.5
files = ["bench_*.py", "./perf/gated/a.py"]
asv = ["*.py"]
threads = 2
jobs = 3
preload = ["torch", "torchvision.transforms"]

[tool.mainstay.margins]
top1_accuracy = 0.002

[tool.mainstay.margins.digits]
top1_accuracy = 0.03

[tool.mainstay.deviations]
"benchmarks/test_speed.py::test_step#call_time" = 0.011
import_time = 0.02

[tool.mainstay.evaluation]
margin = 0.02
filter = "strict-match"
cluster = "passage"
margins = { gsm8k = 0.01, macro = 0.005 }
tiers = { hellaswag = "guard" }
ranges = { judge = [0, 10] }
directions = { errors = "lower" }
"""


def test_a_project_without_settings_gets_the_defaults():
    assert read_configuration('[project]\nname = "a"\n', "pyproject.toml") == Configuration()


def test_every_key_is_read():
    configuration = read_configuration(EVERY_KEY.encode(), "pyproject.toml")

    assert configuration == Configuration(
        default_branch="trunk",
        workloads="perf/gated",
        looks=(3, 6),
        seconds=60.0,
        alpha=0.02,
        margin_level=0.1,
        fail_fast=True,
        proof=False,
        group_by="class",
        margins={"top1_accuracy": 0.002},
        margins_by_dataset={"digits": {"top1_accuracy": 0.03}},
        inconclusive=1,
        deviations={"benchmarks/test_speed.py::test_step#call_time": 0.011, "import_time": 0.02},
        waivers="accepted.toml",
        constraints=("constraints.txt",),
        extras=("reference",),
        groups=("runtime",),
        share=("data",),
        prepare=("python", "-m", "fetch"),
        trial_seconds=30.5,
        files=("bench_*.py", "perf/gated/a.py"),
        asv=("*.py",),
        threads=2,
        jobs=3,
        preload=("torch", "torchvision.transforms"),
        writable=("~/models", "/data"),
        evaluation=EvaluationSettings(
            margin=0.02,
            margins={"gsm8k": 0.01, "macro": 0.005},
            tiers={"hellaswag": Tier.GUARD},
            ranges={"judge": (0.0, 10.0)},
            directions={"errors": Direction.LOWER},
            filter="strict-match",
            cluster="passage",
        ),
    )


@pytest.mark.parametrize(
    ("line", "key", "found"),
    [
        pytest.param('alpha = "0.01"', "alpha", "'0.01' (a string)", id="text-for-a-number"),
        pytest.param("alpha = true", "alpha", "true (a boolean)", id="boolean-for-a-number"),
        pytest.param("alpha = 0", "alpha", "0 (an integer)", id="level-of-nought"),
        pytest.param("alpha = nan", "alpha", "nan (a number)", id="level-that-is-no-number"),
        pytest.param("margin_level = 0.5", "margin_level", "0.5 (a number)", id="level-of-a-half"),
        pytest.param("seconds = inf", "seconds", "inf (a number)", id="endless-budget"),
        pytest.param("trial_seconds = -1", "trial_seconds", "-1 (an integer)", id="negative-limit"),
        pytest.param("threads = 0", "threads", "0 (an integer)", id="no-threads"),
        pytest.param("jobs = 1.5", "jobs", "1.5 (a number)", id="fraction-of-a-job"),
        pytest.param('proof = "guessed"', "proof", "'guessed' (a string)", id="proof-that-is-not-known"),
        pytest.param("proof = ['executed']", "proof", "['executed'] (an array)", id="proofs"),
        pytest.param('group_by = "module"', "group_by", "'module' (a string)", id="place-that-is-not-known"),
        pytest.param("group_by = false", "group_by", "false (a boolean)", id="place-of-no-kind"),
        pytest.param("proof = true", "proof", "true (a boolean)", id="proof-of-no-kind"),
        pytest.param("proof = 0", "proof", "0 (an integer)", id="zero-for-false"),
        pytest.param("fail_fast = 1", "fail_fast", "1 (an integer)", id="number-for-a-boolean"),
        pytest.param("looks = []", "looks", "[] (an array)", id="no-looks"),
        pytest.param("looks = [1, 5]", "looks", "[1, 5] (an array)", id="look-at-one-pair"),
        pytest.param("looks = [5, 5]", "looks", "[5, 5] (an array)", id="the-same-look-twice"),
        pytest.param("looks = [5, 8.0]", "looks.1", "8.0 (a number)", id="look-at-a-fraction"),
        pytest.param("inconclusive = 2", "inconclusive", "2 (an integer)", id="status-of-a-usage-error"),
        pytest.param('inconclusive = "pass"', "inconclusive", "'pass' (a string)", id="no-such-policy"),
        pytest.param("inconclusive = true", "inconclusive", "true (a boolean)", id="policy-that-is-a-boolean"),
        pytest.param("deviations = 0.1", "deviations", "0.1 (a number)", id="one-deviation-for-all"),
        pytest.param("deviations.time = 0", "deviations.time", "0 (an integer)", id="deviation-of-nought"),
        pytest.param("inconclusive = 1.0", "inconclusive", "1.0 (a number)", id="status-as-a-fraction"),
        pytest.param('workloads = "../other"', "workloads", "'../other' (a string)", id="folder-outside"),
        pytest.param('workloads = "/benchmarks"', "workloads", "'/benchmarks' (a string)", id="absolute-folder"),
        pytest.param('files = ["bench"]', "files.0", "'bench' (a string)", id="pattern-of-no-python-file"),
        pytest.param('files = ["a b.py"]', "files.0", "'a b.py' (a string)", id="pattern-with-a-space"),
        pytest.param('files = ["../a.py"]', "files.0", "'../a.py' (a string)", id="pattern-of-a-path-outside"),
        pytest.param('files = ["/b/a.py"]', "files.0", "'/b/a.py' (a string)", id="pattern-of-an-absolute-path"),
        pytest.param('asv = ["b/a.py"]', "asv.0", "'b/a.py' (a string)", id="path-for-a-name"),
        pytest.param('share = "data"', "share", "'data' (a string)", id="text-for-an-array"),
        pytest.param('share = ["data", ""]', "share.1", "'' (a string)", id="empty-item"),
        pytest.param("prepare = [1]", "prepare.0", "1 (an integer)", id="number-in-a-command"),
        pytest.param('preload = "torch"', "preload", "'torch' (a string)", id="one-module-for-an-array"),
        pytest.param('preload = ["a", "b-c"]', "preload.1", "'b-c' (a string)", id="name-of-a-distribution"),
        pytest.param('preload = ["a..b"]', "preload.0", "'a..b' (a string)", id="name-with-a-gap"),
        pytest.param('writable = ["data"]', "writable.0", "'data' (a string)", id="place-in-the-project"),
        pytest.param('writable = ["~"]', "writable.0", "'~' (a string)", id="the-whole-home"),
        pytest.param("margins = 0.1", "margins", "0.1 (a number)", id="one-margin-for-all"),
        pytest.param("margins.loss = 0", "margins.loss", "0 (an integer)", id="margin-of-nought"),
        pytest.param(
            "margins.digits.loss = true", "margins.digits.loss", "true (a boolean)", id="margin-of-a-data-set"
        ),
        pytest.param("evaluation = 0.02", "evaluation", "0.02 (a number)", id="evaluation-that-is-no-table"),
        pytest.param("evaluation.margin = 0", "evaluation.margin", "0 (an integer)", id="margin-of-all-tasks"),
        pytest.param("evaluation.margins.a = 0", "evaluation.margins.a", "0 (an integer)", id="margin-of-a-task"),
        pytest.param('evaluation.tiers.a = "soft"', "evaluation.tiers.a", "'soft' (a string)", id="no-such-tier"),
        pytest.param('evaluation.directions.a = "up"', "evaluation.directions.a", "'up' (a string)", id="no-direction"),
        pytest.param("evaluation.ranges.a = [1, 0]", "evaluation.ranges.a", "[1, 0] (an array)", id="range-turned"),
        pytest.param("evaluation.margn = 0.1", "evaluation.margn", "0.1 (a number)", id="unknown-key-of-evaluation"),
        pytest.param("margins.a.b.loss = 1", "margins.a", "{'b': {'loss': 1}} (a table)", id="margins-too-deep"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(line, key, found):
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(f"[tool.mainstay]\n{line}\n", "pyproject.toml of HEAD")

    assert caught.value.fact.startswith(f"tool.mainstay.{key} is {found}, expected ")
    assert caught.value.looked_in == "pyproject.toml of HEAD"
    assert caught.value.next_step == f"correct tool.mainstay.{key}"
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        pytest.param("fail-fast", "did you mean 'fail_fast'?", id="hyphen"),
        pytest.param("Second", "did you mean 'seconds'?", id="near"),
        pytest.param("zzz", "known keys: alpha, asv, constraints, ", id="nothing-near"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(key, advice):
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(f"[tool.mainstay]\n{key} = 1\n", "pyproject.toml")

    assert caught.value.fact == f"unknown key tool.mainstay.{key}"
    assert str(caught.value.next_step).startswith(advice)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        pytest.param("[tool.mainstay", "not a TOML file: ", id="syntax"),
        pytest.param(b"\xff", "not a TOML file: ", id="not-utf-8"),
        pytest.param("tool = 1", "tool of tool.mainstay is 1 (an integer), expected a table", id="tool-is-a-number"),
        pytest.param("[tool]\nmainstay = []", "mainstay of tool.mainstay is [] (an array)", id="settings-as-an-array"),
    ],
)
def test_a_file_that_does_not_read_is_refused(text, fact):
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(text, "pyproject.toml")

    assert caught.value.fact.startswith(fact)


def test_alpha_may_not_exceed_edge():
    with pytest.raises(ConfigurationError, match=r"alpha is 0\.2, expected at most tool\.mainstay\.margin_level"):
        read_configuration("[tool.mainstay]\nalpha = 0.2\n", "pyproject.toml")


@pytest.mark.parametrize(
    ("settings", "num_cores", "expected"),
    [
        pytest.param(Configuration(), 2, 2, id="one-for-each-processor"),
        pytest.param(Configuration(threads=4), 2, 1, id="at-least-one"),
        pytest.param(Configuration(jobs=3), 2, 3, id="as-configured"),
    ],
)
def test_accuracy_trials_at_once(settings, num_cores, expected):
    assert settings.num_jobs(num_cores) == expected


WRITTEN_OVER = {
    "no-table": "[project]\nname = 'a'  # kept\n",
    "empty": "",
    "own-table": "[tool.mainstay]\n# why so few\nlooks = [3, 6]  # kept\nshare = ['data']\n\n[tool.ruff]\nx = 1\n",
    "own-margins": "[tool.mainstay.margins]  # kept\ntime = 0.05  # kept too\npeak_memory = 0.1\n# the end\n",
    "margins-of-a-data-set": "[tool.mainstay]\nseconds = 5\n[tool.mainstay.margins.digits]  # kept\na = 0.1  # too\n",
    "only-margins-of-a-data-set": "[tool.mainstay.margins.digits]  # kept\na = 0.1\n[tool.mainstay.margins.mnist]\na = 0.2\n",
    "dotted-keys": "tool.mainstay.seconds = 5  # kept\n",
    "inline": "tool = { mainstay = { seconds = 5, margins = { time = 0.05 } } }  # kept\n",
    "every-key": EVERY_KEY,
}


@pytest.mark.parametrize("old", WRITTEN_OVER.values(), ids=WRITTEN_OVER)
def test_written_settings_are_read_back_and_leave_the_rest_alone(old):
    before = read_configuration(old, "pyproject.toml")

    new = with_settings(
        old, "pyproject.toml", looks=(5, 8), seconds=90.0, margins={"time": 0.06}, deviations={"import_time": 0.01}
    )

    after = read_configuration(new, "pyproject.toml")
    assert (after.looks, after.seconds) == ((5, 8), 90.0)
    assert after.margins == {**before.margins, "time": 0.06}
    assert after.margins_by_dataset == before.margins_by_dataset
    assert after.deviations == {**before.deviations, "import_time": 0.01}
    assert after.share == before.share
    others = [{**tomllib.loads(text), "tool": None} for text in (old, new)]
    assert {**others[0], "tool": None} == others[1]
    assert sorted(line.partition("#")[2] for line in old.splitlines() if "#" in line) == sorted(
        line.partition("#")[2] for line in new.splitlines() if "#" in line
    )


@pytest.mark.parametrize("name", sorted(WRITTEN_OVER.keys() - {"empty"}))
def test_written_settings_keep_the_line_ends_of_the_file(name):
    old = WRITTEN_OVER[name]
    settings: dict[str, Any] = {
        "looks": (5, 8),
        "seconds": 90.0,
        "margins": {"time": 0.06},
        "deviations": {"import_time": 0.01},
    }

    plain, crlf = (with_settings(text, "", **settings) for text in (old, old.replace("\n", "\r\n")))

    assert crlf == plain.replace("\n", "\r\n")


def test_a_deviation_is_written_by_the_id_of_its_metric():
    deviations = {'benchmarks/test_a.py::test_a["x".y]#call_time': 0.01}

    new = with_settings("", "pyproject.toml", looks=(5, 8), seconds=90, margins={}, deviations=deviations)

    assert read_configuration(new, "pyproject.toml").deviations == deviations


def test_settings_that_are_there_already_keep_how_they_are_written():
    old = "[tool.mainstay]\nseconds = 90.0\nlooks = [\n  5,  # first\n  8,\n]\n"

    assert with_settings(old, "pyproject.toml", looks=(5, 8), seconds=90, margins={}, deviations={}) == old


def test_settings_are_not_written_into_a_file_that_does_not_read():
    with pytest.raises(ConfigurationError, match="not a TOML file"):
        with_settings("[tool", "pyproject.toml", looks=(5, 8), seconds=90, margins={}, deviations={})
