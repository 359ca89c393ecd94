"""A change that touches the workloads, their markers, conftest or settings beside what they measure.

Whatever the baseline gates is judged or missing: a change can tighten what it is judged by, never loosen it. A second
workload stays as it is in every test, so that something always passes.
"""

import pytest

from tests.end_to_end.settings import FORKED, ONE_LOOK
from tests.slow_cases import some_always

pytestmark = pytest.mark.settings(FORKED, ONE_LOOK)

FILE = "benchmarks/test_accuracy.py"
TOP1 = f"{FILE}::test_clouds#top1_accuracy"
HEALTHY = "benchmarks/test_healthy.py::test_constant#parameters"


def ruin(project):
    """Make the model much worse."""
    project.edit("src/subject/model.py", "LEARNING_RATE = 0.02", "LEARNING_RATE = 0.0002")


def rename(project):
    """Rename a function of the library together with its use in the workload."""
    project.edit("src/subject/model.py", "def fit(seed)", "def train(seed)")
    project.edit(FILE, "model.fit(", "model.train(")


def append(project, path, text):
    project.write(path, (project.root / path).read_text() + text)


def changed(result):
    """What the run document says was changed, by name."""
    return {change["name"]: change for change in result.run["changes"]}


def finding(result, metric=TOP1):
    return next(
        each for each in result.run["findings"] if f"{each['metric']['workload']}#{each['metric']['name']}" == metric
    )


def write_workloads(project, names):
    """Commit a copy of the workload under each name, in a file of its own, in place of the one; returns their paths."""
    text = (project.root / FILE).read_text()
    places = {name: f"benchmarks/test_{name}.py" for name in names}
    for name, place in places.items():
        project.write(place, text.replace("test_clouds", f"test_{name}"))
    (project.root / FILE).unlink()
    project.commit("a workload for each change")
    return places


REPORTS = ("--markdown", "report.md", "--html", "report.html", "--junit", "report.xml")


def assert_told(project, result):
    """Every report names what was changed."""
    assert result.run["changes"]
    head = (project.root / "report.md").read_text().partition("<details>")[0]
    for name in changed(result):
        assert name in head
        assert name in result.stdout.partition("findings:")[0]
        assert name in (project.root / "report.html").read_text()
        assert name in (project.root / "report.xml").read_text()


REWRITE = """
import pytest

@pytest.fixture(autouse=True)
def rewrite(request):
    if "trial" in request.fixturenames:
        trial = request.getfixturevalue("trial")
        record = trial.record
        trial.record = lambda **values: record(**dict.fromkeys(values, 0.777))
"""

SKIP_ALL = """
def pytest_collection_modifyitems(items):
    import pytest
    for item in items:
        if "clouds" in item.name:
            item.add_marker(pytest.mark.skip(reason="not today"))
"""

WEAKER_FILES = {
    "margin": ("margin=0.01", "margin=0.9"),
    "body": ("evaluate.accuracy(predicted, labels)", "0.7 + weights[0] % 0.1"),
    "skip": ("def test_skip", "@pytest.mark.skip\ndef test_skip"),
}
ALWAYS = {"conftest"}
WEAKER = {
    "margin-of-settings": lambda project: append(
        project, "pyproject.toml", "margins = { top1_accuracy = 0.9, clouds = { top1_accuracy = 0.9 } }\n"
    ),
    "conftest": lambda project: project.write("benchmarks/conftest.py", REWRITE),
    "helper": lambda project: (
        project.write("benchmarks/helper.py", "def accuracy(predicted, labels):\n    return 0.777\n"),
        project.edit(FILE, "from subject import evaluate, model", "from subject import model\nfrom . import helper"),
        project.edit(FILE, "evaluate.accuracy", "helper.accuracy"),
    ),
    "skip-in-body": lambda project: project.edit(
        FILE, "    weights = model.fit", "    pytest.skip('slow')\n    weights = model.fit"
    ),
    "xfail": lambda project: (
        project.edit(FILE, "def test_clouds", "@pytest.mark.xfail\ndef test_clouds"),
        project.edit(FILE, "    weights = model.fit", "    raise RuntimeError\n    weights = model.fit"),
    ),
    "skipped-by-conftest": lambda project: project.write("benchmarks/conftest.py", SKIP_ALL),
    "pytest-settings": lambda project: project.edit(
        "pyproject.toml", "strict = true", 'strict = true\naddopts = ["--maxfail=1", "-m", "not performance"]'
    ),
    "policy": lambda project: project.edit(
        "pyproject.toml", ONE_LOOK, "inconclusive = 0\nalpha = 0.4\nmargin_level = 0.45\nlooks = [2]\nseconds = 1"
    ),
}


# the agenda of each is decided without a gate in tests/measuring/test_agenda.py and test_strictness.py
@pytest.mark.parametrize("weakened", some_always(WEAKER, ALWAYS))
def test_a_ruined_model_fails_however_its_workload_was_weakened(guarded, weakened):
    ruin(guarded)
    WEAKER[weakened](guarded)

    result = guarded.gate(*REPORTS)

    assert (result.status, result.verdicts) == (1, {TOP1: "fail", HEALTHY: "pass"}), result.stdout
    assert_told(guarded, result)


def test_ruined_models_fail_however_the_files_of_their_workloads_were_weakened(guarded):
    places = write_workloads(guarded, WEAKER_FILES)
    ruin(guarded)
    for name, (old, new) in WEAKER_FILES.items():
        guarded.edit(places[name], old, new)

    result = guarded.gate(*REPORTS)

    failed = {f"{place}::test_{name}#top1_accuracy": "fail" for name, place in places.items()}
    assert (result.status, result.verdicts) == (1, {**failed, HEALTHY: "pass"}), result.stdout
    assert set(changed(result)) >= set(places.values())
    assert_told(guarded, result)


@pytest.mark.slow
def test_a_renamed_function_does_not_hide_a_degradation(guarded):
    rename(guarded)
    ruin(guarded)

    result = guarded.gate()

    assert (result.status, result.verdicts) == (1, {TOP1: "fail", HEALTHY: "pass"}), result.stdout
    assert finding(result)["measured_with"] == "own"
    assert "+    weights = model.train(trial.seed)" in changed(result)[FILE]["diff"]


@pytest.mark.slow
@pytest.mark.parametrize("policy", [3, 0])
def test_a_renamed_function_needs_a_review_that_a_waiver_gives(guarded, policy):
    append(guarded, "pyproject.toml", f"inconclusive = {policy}\n")
    guarded.commit("policy")
    rename(guarded)

    result = guarded.gate()

    assert (result.status, result.verdicts) == (3, {TOP1: "inconclusive", HEALTHY: "pass"}), result.stdout
    assert "the workload changed: review it, accept it with a waiver" in result.stdout
    assert "model' has no attribute 'fit'" in finding(result)["reason"]

    waived = guarded.run("waive", TOP1, "--limit=0.01", "--reason=fit is train", "--until=2999-12-31")
    result = guarded.gate()

    assert waived.returncode == 0
    assert (result.status, result.verdicts) == (0, {TOP1: "waived", HEALTHY: "pass"}), result.stdout
    assert "waiver" in [change["kind"] for change in result.run["changes"]]
    assert "fit is train" in result.stdout.partition("findings:")[0]


COUNT = "benchmarks/test_count.py"
COUNTS = """import pytest

from subject.sizes import SIZE


@pytest.mark.deterministic(metric="size")
def test_size(counts):
    counts.record(size=SIZE)
"""


@pytest.mark.slow
def test_a_broken_file_of_the_other_part_that_the_library_mends_is_left_out(guarded):
    guarded.write(COUNT, COUNTS)
    guarded.commit("a file that does not import")
    guarded.write("src/subject/sizes.py", "SIZE = 3\n")
    append(guarded, COUNT, "# touched\n")

    result = guarded.gate("--only", "accuracy")

    assert (result.status, result.verdicts) == (0, {TOP1: "pass"}), result.stdout


@pytest.mark.slow
def test_a_broken_file_that_may_have_held_a_workload_of_this_part_needs_a_review_that_a_waiver_gives(guarded):
    guarded.write(COUNT, COUNTS)
    guarded.commit("a file that does not import")
    guarded.edit(COUNT, "from subject.sizes import SIZE", "SIZE = 3")
    file, size = f"{COUNT}#collection", f"{COUNT}::test_size#size"

    result = guarded.gate("--only", "accuracy", *REPORTS)

    assert (result.status, result.verdicts) == (3, {TOP1: "pass", file: "inconclusive"}), result.stdout
    assert "No module named 'subject.sizes'" in finding(result, file)["reason"]
    assert f"$ mainstay waive '{file}' --limit 0" in result.stdout

    waived = guarded.run("waive", file, "--limit=0", "--reason=only counts", "--until=2999-12-31")
    accuracy, performance = guarded.gate("--only", "accuracy"), guarded.gate("--only", "performance")

    assert waived.returncode == 0, waived.stderr
    assert (accuracy.status, accuracy.verdicts) == (0, {TOP1: "pass", file: "waived"}), accuracy.stdout
    assert (performance.status, performance.verdicts) == (3, {size: "inconclusive", HEALTHY: "pass"}), (
        performance.stdout
    )


@pytest.mark.slow
def test_a_library_that_skips_its_own_workload_leaves_the_metric_missing(guarded):
    ruin(guarded)
    guarded.edit("src/subject/model.py", "def fit(seed):", "def fit(seed):\n    import pytest; pytest.skip('no')")
    append(guarded, FILE, "# touched\n")

    result = guarded.gate()

    assert (result.status, result.verdicts) == (1, {TOP1: "missing", HEALTHY: "pass"}), result.stdout


UNGATED = {
    "renamed": ("def test_renamed", "def not_a_test"),
    "unmarked": ("@pytest.mark.accuracy", "# "),
    "marked_otherwise": ('metric="top1_accuracy"', 'metric="top1"'),
    "skipped": ("def test_skipped", "@pytest.mark.skip\ndef test_skipped"),
    "in_a_skipped_file": ("from subject import", "pytest.importorskip('no_such_module')\nfrom subject import"),
}
DESELECTED = """
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if "deselected" not in item.name]
"""


def test_what_is_not_gated_any_more_is_missing_though_nothing_was_lost(guarded):
    places = write_workloads(guarded, [*UNGATED, "deselected"])
    for name, (old, new) in UNGATED.items():
        guarded.edit(places[name], old, new)
    guarded.write("benchmarks/conftest.py", DESELECTED)

    result = guarded.gate()

    missing = {f"{place}::test_{name}#top1_accuracy": "missing" for name, place in places.items()}
    added = {f"{places['marked_otherwise']}::test_marked_otherwise#top1": "new"}
    assert (result.status, result.verdicts) == (1, {**missing, **added, HEALTHY: "pass"}), result.stdout


@pytest.mark.slow
def test_a_workload_that_both_revisions_skip_is_not_judged(guarded):
    guarded.edit(FILE, "def test_clouds", "@pytest.mark.skipif(True, reason='no GPU')\ndef test_clouds")
    guarded.commit("needs a GPU")
    append(guarded, FILE, "# touched\n")

    result = guarded.gate()

    assert (result.status, result.verdicts) == (0, {HEALTHY: "pass"}), result.stdout
    assert "no GPU" in result.stdout


@pytest.mark.slow
def test_a_file_that_skips_itself_in_both_revisions_is_named(guarded):
    guarded.edit(FILE, "from subject import", "pytest.importorskip('no_such_module')\nfrom subject import")
    guarded.commit("needs a module")
    append(guarded, "pyproject.toml", "margins = { top1_accuracy = 0.01 }\n")
    waiver = f'[[waiver]]\nmetric = "{TOP1}"\nlimit = 0.1\nreason = "smaller"\nuntil = 2999-12-31\n'
    guarded.write(".mainstay-waivers.toml", waiver)

    result = guarded.gate()

    assert (result.status, result.verdicts) == (0, {HEALTHY: "pass"}), result.stdout + result.stderr
    assert any(FILE in note and "no_such_module" in note for note in result.run["notes"])
    assert any(f"a waiver of {TOP1} cannot be checked" in note for note in result.run["notes"])


GUARD = """import pathlib
if not (pathlib.Path(__file__).parents[1] / "points.txt").exists():
    pytest.skip("no points", allow_module_level=True)
from subject import"""


@pytest.mark.slow
@pytest.mark.parametrize("is_unguarded", [False, True], ids=["kept", "unguarded"])
def test_a_file_that_skips_itself_because_the_change_takes_away_its_data_needs_a_review(guarded, is_unguarded):
    guarded.edit(FILE, "from subject import", GUARD)
    guarded.write(".gitignore", "points.txt\n")
    append(guarded, "pyproject.toml", 'share = ["points.txt"]\n')
    guarded.commit("needs points")
    guarded.write("points.txt", "1 2")
    guarded.edit("pyproject.toml", 'share = ["points.txt"]\n', "")
    ruin(guarded)
    if is_unguarded:
        guarded.edit(FILE, GUARD, "from subject import")
        guarded.edit(FILE, "margin=0.01", "margin=0.9")

    result = guarded.gate()

    undecided = TOP1 if is_unguarded else f"{FILE}#collection"
    assert (result.status, result.verdicts[undecided]) == (3, "inconclusive"), result.stdout + result.stderr
    assert "review it, accept it with a waiver" in finding(result, undecided)["reason"]


@pytest.mark.slow
def test_a_dependency_that_the_change_moves_to_the_group_of_the_benchmarks_needs_a_review(guarded):
    required = 'requires-python = ">=3.11"\ndependencies = ["pluggy"]'
    guarded.edit("pyproject.toml", 'requires-python = ">=3.11"', required)
    guarded.commit("needs pluggy")
    guarded.edit("pyproject.toml", required, 'requires-python = ">=3.11"')
    guarded.edit("pyproject.toml", 'benchmarks = ["pytest>=8.4"]', 'benchmarks = ["pytest>=8.4", "pluggy"]')

    result = guarded.gate(*REPORTS)

    assert (result.status, result.verdicts) == (3, {TOP1: "inconclusive", HEALTHY: "inconclusive"}), result.stdout
    assert "the group 'benchmarks' decides on the version or the index of pluggy" in finding(result)["reason"]
    assert changed(result)["dependency-groups.benchmarks"]["after"] == "pytest>=8.4, pluggy"
    assert_told(guarded, result)


@pytest.mark.slow
def test_a_metric_with_another_direction_is_an_error_of_the_candidate(guarded):
    guarded.edit(FILE, "margin=0.01, ceiling=0.99", 'margin=0.01, direction="lower"')

    result = guarded.gate()

    assert (result.status, result.verdicts) == (1, {TOP1: "error", HEALTHY: "pass"}), result.stdout
    assert "direction 'lower', the baseline's 'higher'" in finding(result)["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("is_ruined", [False, True])
def test_a_moved_workload_is_measured_where_the_baseline_has_it(guarded, is_ruined):
    guarded.git("mv", FILE, "benchmarks/test_points.py")
    if is_ruined:
        ruin(guarded)

    result = guarded.gate()

    assert (result.status, finding(result)["verdict"]) == ((1, "fail") if is_ruined else (0, "pass")), result.stdout
    assert finding(result)["measured_with"] == "baseline"


@pytest.mark.slow
def test_a_moved_workload_that_the_candidate_cannot_run_as_it_was_is_missing(guarded):
    rename(guarded)
    guarded.git("mv", FILE, "benchmarks/test_points.py")

    result = guarded.gate()

    assert (result.status, finding(result)["verdict"]) == (1, "missing"), result.stdout
    moved = finding(result, "benchmarks/test_points.py::test_clouds#top1_accuracy")
    assert moved["verdict"] == "new"


@pytest.mark.slow
def test_a_tighter_margin_judges_the_change_that_brings_it(guarded):
    guarded.edit(FILE, "margin=0.01", "margin=0.001")

    result = guarded.gate()

    assert (result.status, finding(result)["metric"]["margin"]) == (0, 0.001), result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("margins", "words"),
    [
        pytest.param("margins = { top1_acuracy = 0.01 }", "tool.mainstay.margins.top1_acuracy", id="metric"),
        pytest.param(
            "margins = { clouds = { top1_acuracy = 0.01 } }", "tool.mainstay.margins.clouds.top1_acuracy", id="data-set"
        ),
    ],
)
def test_a_margin_of_nothing_is_refused_before_anything_is_measured(guarded, margins, words):
    append(guarded, "pyproject.toml", f"{margins}\n")

    refused = guarded.run("gate")

    assert refused.returncode == 2
    assert words in refused.stderr
    assert "did you mean 'top1_accuracy'?" in refused.stderr
    assert "pairs" not in refused.stderr


@pytest.mark.slow
def test_a_gate_that_is_resumed_keeps_to_the_files_that_it_changed_over_to(guarded):
    rename(guarded)
    whole = guarded.gate()
    folder = max((guarded.root / ".mainstay" / "runs").iterdir())
    lines = (folder / "journal.jsonl").read_text().splitlines()
    trials = [line for line in lines if '"type": "trial"' in line]
    (folder / "run.json").unlink()
    kept = [line for line in lines if '"type": "finish"' not in line]
    (folder / "journal.jsonl").write_text("\n".join(kept) + "\n")

    resumed = guarded.gate("--resume")

    assert (resumed.status, resumed.verdicts) == (whole.status, whole.verdicts), resumed.stdout
    assert finding(resumed)["measured_with"] == "own"
    assert finding(resumed)["candidate_values"] == finding(whole)["candidate_values"]
    lines = (folder / "journal.jsonl").read_text().splitlines()
    assert [line for line in lines if '"type": "trial"' in line] == trials
