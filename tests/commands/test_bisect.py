import random
import subprocess
from dataclasses import replace
from unittest.mock import Mock

import pytest

from mainstay import cli
from mainstay.commands import bisect as bisecting
from mainstay.commands.bisect import (
    BisectOptions,
    Failed,
    Probe,
    bisect,
    choose_metric,
    commits_between,
    gates,
    pairs_of,
    probe_of,
    render,
)
from mainstay.commands.gate import GateOptions, choose_start
from mainstay.measuring.loop import SilentObserver
from mainstay.records.errors import (
    ConfigurationError,
    EnvironmentBuildError,
    GitError,
    HarnessError,
    MainstayError,
    OutageError,
    TreeError,
    UsageError,
    refusals_of,
)
from mainstay.records.executions import part_of
from mainstay.records.findings import Blame, Method, Verdict
from mainstay.records.history import KeptMetric
from mainstay.records.metrics import Direction, Kind, Metric, Scoring
from mainstay.reports.view import view_run
from mainstay.revisions.git import Repository
from tests.repositories import git

pytestmark = pytest.mark.usefixtures("own_git_settings")

TOP1 = Metric(workload="a.py::a", name="top1", kind=Kind.ACCURACY, direction=Direction.HIGHER, margin=0.01)
STEP = Metric(workload="p.py::p", name="time", kind=Kind.PERFORMANCE, direction=Direction.LOWER, margin=0.05)
SIZE = Metric(workload="s.py::s", name="bytes", kind=Kind.DETERMINISTIC, direction=Direction.LOWER, margin=0.0)


def make_history(folder, spoilt=(), spoil=lambda folder: None):
    """Make a repository with 17 commits; the fourth change is empty, and some are spoilt before they are committed."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for i in range(17):
        if i != 4:
            (folder / "file").write_text(str(i))
        git(folder, "add", "--all")
        if i in spoilt:
            spoil(folder)
        git(folder, "commit", "--quiet", "--allow-empty", "-m", f"change {i}", "--date=2027-01-31T12:00:00+00:00")
        if i in spoilt:
            git(folder, "read-tree", "--reset", "-u", f"HEAD~{sum(each <= i for each in spoilt)}")
    return folder


@pytest.fixture
def root(tmp_path):
    """A repository with 17 commits; the fourth change is empty."""
    return make_history(tmp_path / "project")


class Bench:
    """Measures commits without running them, save those that are really gated: the true degradation of each is given."""

    def __init__(
        self,
        root,
        degradations,
        *,
        metrics=(TOP1, STEP),
        deviation=0.3,
        broken=(),
        failed=None,
        most_pairs=None,
        verdict=Verdict.FAIL,
        gated=(),
        stop_after=None,
    ):
        subjects = dict(line.split(" ", 1) for line in git(root, "log", "--format=%H %s").splitlines())
        self.number_of = {commit: int(subject.split()[1]) for commit, subject in subjects.items()}
        self.degradations = degradations
        self.deviation = deviation
        self.metrics = metrics
        self.broken = broken
        self.failed = failed or {}  # whether the commit is to blame, by its number and the name of the metric
        self.most_pairs = most_pairs or {}
        self.verdict = verdict
        self.gated = gated
        self.gate = gates(root, {}, SilentObserver())
        self.stop_after = stop_after
        self.measured = []
        self.rng = random.Random(0)

    def __call__(self, baseline, candidate, *, pairs, only):
        number = self.number_of[candidate]
        if number in self.gated:
            return self.gate(baseline, candidate, pairs=pairs, only=only)
        if self.stop_after is not None and len(self.measured) >= self.stop_after:
            raise KeyboardInterrupt
        self.measured.append(number)
        if number in self.broken:
            return Probe(commit=candidate, baseline=baseline, only=only, broken="it does not build", seconds=1.0)
        metrics, failed = [], []
        for metric in self.metrics:
            most = self.most_pairs.get((number, metric.name), pairs)
            verdict = self.verdict if most < pairs else Verdict.FAIL
            true = self.degradations[metric.name](number) - self.degradations[metric.name](self.number_of[baseline])
            values = [metric.margin * (true + self.rng.gauss(0, self.deviation)) for _ in range(pairs)]
            if metric.scale.is_exact:
                values = [true]
            if only not in {None, part_of(metric.kind)}:
                continue
            if (number, metric.name) in self.failed:
                is_of_commit = self.failed[number, metric.name]
                failed.append(Failed(metric=metric, reason="it raised", is_of_commit=is_of_commit))
                continue
            kept = KeptMetric(metric=metric, verdict=verdict, method=Method.NONE, degradations=tuple(values[:most]))
            metrics.append(kept)
        return Probe(
            commit=candidate,
            baseline=baseline,
            only=only,
            metrics=tuple(metrics),
            failed=tuple(failed),
            run="r",
            seconds=2.0,
            pairs=pairs,
        )


PLANTED = {
    "top1": lambda number: 2.0 * (number >= 11),
    "time": lambda number: 3.0 * (number >= 6),
    "bytes": lambda number: 0.25 * (number >= 6),
}


def search(root, bench, metric=None, **options):
    return bisect(root, BisectOptions(good="HEAD~16", bad="HEAD", metric=metric, **options), measure=bench)


@pytest.mark.parametrize(("metric", "culprit"), [("top1", 11), ("time", 6), ("p.py::p#time", 6)])
def test_the_culprit_of_each_metric_is_named_and_gated_against_its_parent(root, metric, culprit):
    found = search(root, Bench(root, PLANTED), metric)

    assert [commit.subject for commit in found.commits] == [f"change {culprit}"]
    assert found.commits[0].date == "2027-01-31"
    assert found.probability >= 0.95
    assert found.exit_status == 0
    assert found.confirmation.first_look > 0
    assert found.probes[-1].baseline == git(root, "rev-parse", f"{found.commits[0].commit}^")


def test_the_report_names_the_culprit_its_probability_and_the_cost(root):
    bench = Bench(root, PLANTED)

    text = render(search(root, bench, "top1"))

    assert "the guilty commit, with 9" in text
    assert "2027-01-31  change 11" in text
    assert "over 15 commits" in text  # the empty one cannot be guilty
    assert f"cost: {len(bench.measured)} gates, " in text


def test_an_interrupted_search_continues_and_measures_nothing_twice(root):
    whole = Bench(root, PLANTED)
    search(root, whole, "top1")
    measured = []
    (root / ".mainstay").rename(root.parent / "elsewhere")
    for _ in range(50):
        bench = Bench(root, PLANTED, stop_after=1)
        try:
            found = search(root, bench, "top1")
        except KeyboardInterrupt:
            measured += bench.measured
        else:
            break
    else:
        pytest.fail("it never ends")

    assert [commit.subject for commit in found.commits] == ["change 11"]
    assert len(found.probes) == len(measured) + len(bench.measured)


def test_a_finished_search_is_answered_from_what_is_kept(root):
    first = search(root, Bench(root, PLANTED), "top1")

    again = search(root, Bench(root, PLANTED, stop_after=0), "top1")

    assert again == first


def test_a_second_metric_reuses_what_the_first_measured(root):
    search(root, Bench(root, PLANTED), "top1")
    bench = Bench(root, PLANTED)

    search(root, bench, "time")

    assert 16 not in bench.measured


def test_commits_that_do_not_build_are_skipped_and_named(root):
    found = search(root, Bench(root, PLANTED, broken={10, 11}), "top1")

    assert [commit.subject for commit in found.commits] == ["change 10", "change 11", "change 12"]
    text = render(found)
    assert "they cannot be told apart" in text
    assert "change 11 (it does not build)" in text


def test_commits_at_which_one_metric_breaks_are_named_with_the_reason_and_measured_for_another(root):
    failed = {(number, "time"): True for number in range(1, 16)}

    by_time = search(root, Bench(root, PLANTED, failed=failed), "time")
    by_top1 = search(root, Bench(root, PLANTED, failed=failed), "top1")

    assert {told for _, told in by_time.broken} == {"it raised"}
    assert [commit.subject for commit in by_top1.commits] == ["change 11"]
    assert not by_top1.broken


def test_a_commit_whose_workload_broke_is_not_measured_again(root):
    failed = {(number, "top1"): True for number in (10, 11)}
    found = search(root, Bench(root, PLANTED, failed=failed), "top1")

    assert "change 11 (it raised)" in render(found)
    assert search(root, Bench(root, PLANTED, stop_after=0), "top1") == found


@pytest.mark.parametrize("name", ["time", "p.py::p#time"])
def test_a_bad_commit_at_which_the_metric_breaks_is_refused_with_the_reason(root, name):
    bench = Bench(root, PLANTED, failed={(16, "time"): True})

    with pytest.raises(UsageError, match="the bad commit .* cannot be measured: it raised"):
        search(root, bench, name)


@pytest.mark.parametrize("metric", ["top1", None])
@pytest.mark.parametrize("is_of_commit", [True, False])
def test_what_another_metric_lacks_does_not_end_a_search(root, metric, is_of_commit):
    bench = Bench(root, PLANTED, failed={(number, "time"): is_of_commit for number in range(1, 17)})

    found = search(root, bench, metric)

    assert [commit.subject for commit in found.commits] == ["change 11"]


@pytest.mark.parametrize("numbers", [[16], range(1, 16)], ids=["bad", "between"])
def test_a_fault_that_is_not_of_the_commit_ends_a_search_until_it_is_mended(root, numbers):
    with pytest.raises(
        MainstayError, match="p.py::p#time cannot be measured, and .* is not to blame: it raised"
    ) as caught:
        search(root, Bench(root, PLANTED, failed={(number, "time"): False for number in numbers}), "time")

    assert caught.value.exit_status == 4
    mended = search(root, Bench(root, PLANTED), "time")
    assert [commit.subject for commit in mended.commits] == ["change 6"]
    assert not mended.broken


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        pytest.param(Verdict.MISSING, "it does not record the metric", id="missing"),
        pytest.param(Verdict.INCONCLUSIVE, "no pair of the metric was measured", id="out-of-time"),
    ],
)
@pytest.mark.parametrize("metric", [SIZE, STEP], ids=lambda metric: metric.name)
def test_a_commit_of_which_nothing_was_measured_is_neither_taken_for_good_nor_measured_again(
    root, metric, verdict, why
):
    lacking = {(number, metric.name): 0 for number in range(7, 12)}
    bench = Bench(root, PLANTED, metrics=(metric,), most_pairs=lacking, verdict=verdict)

    found = search(root, bench, metric.name)

    assert [commit.subject for commit in found.commits] == ["change 6"]
    assert found.broken
    assert {told for _, told in found.broken} == {why}
    assert all(bench.measured.count(number) <= 1 for number, _ in lacking)


@pytest.mark.parametrize("num_pairs", [0, 1])
def test_ends_with_too_few_pairs_are_refused_and_measured_again(root, num_pairs):
    bench = Bench(root, PLANTED, most_pairs={(16, "top1"): num_pairs}, verdict=Verdict.INCONCLUSIVE)

    with pytest.raises(UsageError, match=f"too few pairs of a.py::a#top1 .*: {num_pairs}, and the gate said inconcl"):
        search(root, bench, "top1")

    assert [commit.subject for commit in search(root, Bench(root, PLANTED), "top1").commits] == ["change 11"]


def test_ends_of_an_evaluation_are_refused_without_being_measured_again(root):
    solved = replace(TOP1, name="solved", scoring=Scoring(score="solved"))
    bench = Bench(root, {"solved": PLANTED["top1"]}, metrics=(solved,), most_pairs={(16, "solved"): 0})

    with pytest.raises(UsageError, match="too few pairs of a.py::a#solved"):
        search(root, bench, "solved")

    with pytest.raises(UsageError, match="too few pairs of a.py::a#solved"):
        search(root, Bench(root, PLANTED, stop_after=0), "solved")


def test_a_bad_commit_that_lacks_the_metric_is_refused_without_being_measured_again(root):
    with pytest.raises(UsageError, match="too few pairs .*: 0, and the gate said missing"):
        search(root, Bench(root, PLANTED, most_pairs={(16, "top1"): 0}, verdict=Verdict.MISSING), "top1")

    with pytest.raises(UsageError, match="too few pairs .*: 0, and the gate said missing"):
        search(root, Bench(root, PLANTED, stop_after=0), "top1")


def slip_in_settings(folder):
    (folder / "pyproject.toml").write_text("[tool.mainstay]\nmarign = 1\n")
    git(folder, "add", "pyproject.toml")


def undecodable_waivers(folder):
    (folder / ".mainstay-waivers.toml").write_bytes(b"\xff")
    git(folder, "add", ".mainstay-waivers.toml")


def tracked_runs(folder):
    (folder / ".mainstay").mkdir()
    (folder / ".mainstay" / "run").touch()
    git(folder, "add", "--force", ".mainstay")


def missing_submodule(folder):
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendored")


def tracks_data(folder):
    (folder / "data").write_text("tracked")
    git(folder, "add", "data")


def shares_images(folder):
    (folder / "pyproject.toml").write_text('[tool.mainstay]\nshare = ["data/images"]\n')
    git(folder, "add", "pyproject.toml")


def file_for_a_shared_folder(folder):
    tracks_data(folder)
    shares_images(folder)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (slip_in_settings, "unknown key tool.mainstay.marign"),
        (undecodable_waivers, "the waivers are not UTF-8"),
        (tracked_runs, ".mainstay is tracked by git"),
        (missing_submodule, "the submodule 'vendored' is not checked out"),
        (file_for_a_shared_folder, "the candidate has a file at 'data', where the shared input 'data/images' needs"),
    ],
)
def test_commits_that_the_gate_refuses_are_skipped_and_named_but_not_for_ever(tmp_path, spoil, why):
    root = make_history(tmp_path / "project", {10, 11}, spoil)

    found = search(root, Bench(root, PLANTED, gated={10, 11}), "top1")

    assert [commit.subject for commit in found.commits] == ["change 10", "change 11", "change 12"]
    assert f"change 11 ({why}" in render(found)

    mended = search(root, Bench(root, PLANTED), "top1")
    assert [commit.subject for commit in mended.commits] == ["change 11"]


@pytest.mark.parametrize(
    ("spoil", "why", "step"),
    [
        (slip_in_settings, r"unknown key tool\.mainstay\.marign", "margin"),
        (missing_submodule, "the submodule 'vendored' is not checked out", "git submodule update --init"),
    ],
)
def test_a_bad_commit_that_the_gate_refuses_is_told_with_the_reason_and_the_step(tmp_path, spoil, why, step):
    root = make_history(tmp_path / "project", {16}, spoil)

    with pytest.raises(UsageError, match=f"the bad commit .* cannot be measured: {why}") as caught:
        search(root, Bench(root, PLANTED, gated={16}), "top1")

    assert step in caught.value.next_step
    assert caught.value.next_step.endswith("; or name a later or an earlier commit that has the degradation and runs")


def test_a_good_commit_that_the_gate_refuses_is_not_put_down_to_the_bad_one(tmp_path):
    root = make_history(tmp_path / "project", {1}, missing_submodule)
    options = BisectOptions(good="HEAD~15", bad="HEAD", metric="top1")

    with pytest.raises(
        MainstayError, match="says nothing about it: the submodule 'vendored' is not checked out"
    ) as caught:
        bisect(root, options, measure=Bench(root, PLANTED, gated={16}))

    assert caught.value.exit_status == 4
    assert "git submodule update --init" in caught.value.next_step


def shares_data(folder):
    (folder / "pyproject.toml").write_text('[tool.mainstay]\nshare = ["data"]\n')
    git(folder, "add", "pyproject.toml")


def leaves_as_it_is(folder):
    """Spoil nothing."""


def tracks_and_shares_data(folder):
    tracks_data(folder)
    shares_data(folder)


@pytest.mark.parametrize(
    ("good", "bad", "in_tree", "error", "why"),
    [
        pytest.param(
            *(tracks_data, shares_data, True, MainstayError),
            "the gate of .* says nothing about it: the baseline has its own 'data'",
            id="good",
        ),
        pytest.param(
            *(leaves_as_it_is, tracks_and_shares_data, True, UsageError),
            "the bad commit .* cannot be measured: the candidate has its own 'data'",
            id="bad",
        ),
        pytest.param(
            *(tracks_data, tracks_and_shares_data, True, UsageError),
            "the bad commit .* cannot be measured: the candidate has its own 'data'",
            id="both-and-the-bad-one-shares-it",
        ),
        pytest.param(
            *(leaves_as_it_is, shares_data, False, UsageError),
            "the bad commit .* cannot be measured: the shared input 'data' does not exist",
            id="neither-and-it-is-not-there",
        ),
    ],
)
def test_a_shared_input_that_a_commit_tracks_is_put_down_to_that_commit(tmp_path, good, bad, in_tree, error, why):
    spoils = iter([good, bad])

    def spoil(folder):
        next(spoils)(folder)

    root = make_history(tmp_path / "project", {1, 16}, spoil)
    if in_tree:
        (root / "data").write_text("shared")

    with pytest.raises(error, match=why) as caught:
        bisect(root, BisectOptions(good="HEAD~15", bad="HEAD", metric="top1"), measure=Bench(root, PLANTED, gated={16}))

    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("good", "bad", "error", "why"),
    [
        pytest.param(
            *(tracks_data, shares_images, MainstayError),
            "the gate of .* says nothing about it: the baseline has a file at 'data', where",
            id="good",
        ),
        pytest.param(
            *(leaves_as_it_is, file_for_a_shared_folder, UsageError),
            "the bad commit .* cannot be measured: the candidate has a file at 'data', where",
            id="bad",
        ),
    ],
)
def test_a_file_where_a_shared_input_needs_a_folder_is_put_down_to_its_commit(tmp_path, good, bad, error, why):
    spoils = iter([good, bad])

    def spoil(folder):
        next(spoils)(folder)

    root = make_history(tmp_path / "project", {1, 16}, spoil)
    (root / "data").mkdir()
    (root / "data" / "images").write_text("shared")

    with pytest.raises(error, match=why) as caught:
        bisect(root, BisectOptions(good="HEAD~15", bad="HEAD", metric="top1"), measure=Bench(root, PLANTED, gated={16}))

    assert type(caught.value) is error


@pytest.mark.parametrize(
    "error",
    [
        TreeError("'weights.bin' is a Git LFS pointer"),
        ConfigurationError("the writable place '/absent' does not exist"),
    ],
    ids=lambda error: error.fact,
)
def test_a_refusal_of_the_good_commit_ends_the_search_and_one_of_another_parent_only_the_confirmation(
    root, monkeypatch, error
):
    refuse = refusals_of("baseline")(Mock(side_effect=error))
    monkeypatch.setattr(bisecting, "gate", refuse)
    with pytest.raises(MainstayError, match=f"says nothing about it: {error.fact}"):
        search(root, Bench(root, PLANTED, gated={16}), "top1")
    bench, good = Bench(root, PLANTED), git(root, "rev-parse", "HEAD~16")

    def measure(baseline, candidate, **options):
        if baseline != good:
            refuse()
        return bench(baseline, candidate, **options)

    found = search(root, measure, "top1")

    assert [commit.subject for commit in found.commits] == ["change 11"]
    assert found.confirmation is None


@pytest.mark.parametrize(
    "error",
    [
        OutageError("the server does not answer", side="candidate"),
        HarnessError("the prepare command failed"),
        HarnessError("the baseline cannot preload it", side="baseline"),
        TreeError("the shared input 'data' does not exist"),
    ],
    ids=lambda error: error.fact,
)
def test_commits_that_something_else_may_make_run_are_skipped_but_not_for_ever(root, monkeypatch, error):
    monkeypatch.setattr(bisecting, "gate", Mock(side_effect=error))

    found = search(root, Bench(root, PLANTED, gated={10, 11}), "top1")

    assert f"change 11 ({error.fact})" in render(found)
    again = search(root, Bench(root, PLANTED), "top1")
    assert [commit.subject for commit in again.commits] == ["change 11"]


@pytest.mark.parametrize(
    "error",
    [
        EnvironmentBuildError("no index answers"),
        EnvironmentBuildError("the good commit does not build", side="baseline"),
        GitError("another gate is changing the list of worktrees"),
    ],
    ids=lambda error: error.fact,
)
def test_a_failure_that_is_not_of_the_commit_ends_the_search_with_its_name_and_is_not_kept(root, monkeypatch, error):
    monkeypatch.setattr(bisecting, "gate", Mock(side_effect=error))

    with pytest.raises(
        MainstayError, match=f"the gate of [0-9a-f]{{10}} says nothing about it: {error.fact}"
    ) as caught:
        search(root, Bench(root, PLANTED, gated=range(1, 16)), "top1")

    assert caught.value.exit_status == 4
    assert "start the same 'mainstay bisect' again" in caught.value.next_step
    again = search(root, Bench(root, PLANTED), "top1")
    assert [commit.subject for commit in again.commits] == ["change 11"]
    assert not again.broken


def test_a_commit_that_alone_does_not_build_is_not_built_again(root, monkeypatch):
    broken = EnvironmentBuildError("it does not build", side="candidate")
    monkeypatch.setattr(bisecting, "gate", Mock(side_effect=broken))

    found = search(root, Bench(root, PLANTED, gated={10, 11}), "top1")

    assert "change 11 (it does not build)" in render(found)
    assert search(root, Bench(root, PLANTED, stop_after=0), "top1") == found


def test_a_limit_that_would_end_every_gate_is_refused_before_the_search(root):
    with pytest.raises(UsageError, match="MAINSTAY_CACHE_LIMIT is 'much'"):
        gates(root, {"MAINSTAY_CACHE_LIMIT": "much"}, SilentObserver())


def test_a_spread_degradation_is_a_range(root):
    spread = {"top1": lambda number: min(max(number - 3, 0), 10) / 3, "time": lambda number: 0.0}

    found = search(root, Bench(root, spread), "top1")

    assert found.exit_status == 3
    assert found.confirmation is None
    assert len(found.commits) >= 6
    assert "no single commit" in render(found)


def test_without_a_name_what_degraded_most_surely_is_looked_for(root):
    assert search(root, Bench(root, PLANTED)).metric == STEP


def test_what_is_believed_is_shown_after_each_probe(root):
    said = []

    bisect(
        root, BisectOptions(good="HEAD~16", bad="HEAD", metric="top1"), measure=Bench(root, PLANTED), report=said.append
    )

    assert said[0].startswith("after 0 of at most")
    assert "change 11" in said[-1]
    assert "#" * 15 in said[-1]


def test_nothing_is_looked_for_where_nothing_degraded(root):
    with pytest.raises(UsageError, match="did not degrade between") as caught:
        search(root, Bench(root, {"top1": lambda _: 0.0, "time": lambda _: 0.0}), "top1")

    assert "20 pairs" in caught.value.looked_in


def test_a_bad_commit_that_does_not_run_is_refused(root):
    with pytest.raises(UsageError, match="the bad commit .* cannot be measured: it does not build"):
        search(root, Bench(root, PLANTED, broken={16}))


@pytest.mark.parametrize(("good", "bad"), [("HEAD", "HEAD"), ("HEAD", "HEAD~3")])
def test_commits_that_are_not_in_a_line_are_refused(root, good, bad):
    with pytest.raises(UsageError, match="does not come after"):
        bisect(root, BisectOptions(good=good, bad=bad), measure=Bench(root, PLANTED))


def test_a_shallow_clone_says_what_it_lacks(root, tmp_path):
    git(tmp_path, "clone", "--quiet", "--depth=3", f"file://{root}", "shallow")
    good = git(root, "rev-parse", "HEAD~10")
    git(tmp_path / "shallow", "fetch", "--quiet", "--depth=1", "origin", good)

    with pytest.raises(UsageError, match="does not come after") as caught:
        bisect(tmp_path / "shallow", BisectOptions(good=good, bad="HEAD"), measure=Bench(root, PLANTED))

    assert caught.value.next_step == "git fetch --unshallow"


def test_merges_count_once(root):
    git(root, "checkout", "--quiet", "-b", "side", "HEAD~2")
    (root / "other").write_text("x")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "aside")
    git(root, "checkout", "--quiet", "main")
    git(root, "merge", "--quiet", "--no-ff", "-m", "merged", "side")

    commits = commits_between(
        Repository.discover(root), git(root, "rev-parse", "HEAD~4"), git(root, "rev-parse", "HEAD")
    )

    assert [commit.subject for commit in commits] == ["change 14", "change 15", "change 16", "merged"]


def test_the_search_that_a_report_prints_for_a_pull_request_covers_the_commits_of_its_branch(root, sample_run):
    git(root, "checkout", "--quiet", "-b", "feature", "HEAD~2")
    for name in ("first", "second"):
        (root / "other").write_text(name)
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "-m", name)
    git(root, "checkout", "--quiet", "--detach", "main")
    git(root, "merge", "--quiet", "--no-ff", "-m", "made by CI", "feature")
    merge = git(root, "rev-parse", "HEAD")
    environ = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_SHA": merge, "GITHUB_BASE_REF": "main"}
    start = choose_start(Repository.discover(root), GateOptions(), environ)
    clone = root.parent / "clone"
    git(root, "checkout", "--quiet", "main")
    git(root.parent, "clone", "--quiet", f"file://{root}", str(clone))
    failed = replace(sample_run.findings[0], verdict=Verdict.FAIL)
    run = replace(
        sample_run, verdict=Verdict.FAIL, exit_status=1, findings=(failed,), baseline=start.baseline,
        candidate=start.candidate,
    )  # fmt: skip
    (command,) = [step.command for step in view_run(run).next_steps if "bisect" in step.command]
    ends = subprocess.run(
        ["sh", "-c", command.replace("mainstay bisect", "echo")], check=True, cwd=clone, capture_output=True, text=True
    )
    repository = Repository.discover(clone)

    commits = commits_between(repository, *map(repository.resolve, ends.stdout.split()))

    assert [commit.subject for commit in commits] == ["first", "second"]


def kept(metric, *degradations, method=Method.SEQUENTIAL):
    return KeptMetric(metric=metric, verdict=Verdict.PASS, method=method, degradations=degradations)


def test_proofs_and_counts_are_as_sure_as_many_pairs():
    assert pairs_of(kept(TOP1, method=Method.UNCHANGED)) == [0.0] * 20
    assert pairs_of(kept(SIZE, 0.25, method=Method.EQUALITY)) == [0.25] * 20
    assert choose_metric([kept(TOP1, 0.1, -0.1, 0.0), kept(SIZE, 0.25)], None).metric == SIZE


def test_what_was_not_measured_is_never_chosen_before_what_was():
    assert pairs_of(kept(SIZE, method=Method.NONE)) == ()
    assert choose_metric([kept(TOP1), kept(SIZE, -0.25)], None).metric == SIZE


@pytest.mark.parametrize("name", ["loss", "top1"])
def test_a_name_that_fits_no_metric_or_several_is_refused(name):
    other = replace(TOP1, workload="b.py::b")

    with pytest.raises(UsageError, match="metrics are called") as caught:
        choose_metric([kept(TOP1, 0.1), kept(other, 0.1)], name)

    assert "b.py::b#top1" in caught.value.next_step


def test_a_metric_that_only_the_bad_commit_has_needs_a_later_good_one():
    with pytest.raises(UsageError, match="0 metrics are called 'loss'") as caught:
        choose_metric([kept(TOP1, 0.1)], "loss")

    assert caught.value.next_step == "name one of these: a.py::a#top1; or a later good commit that has the metric"


@pytest.mark.parametrize("name", [None, "top1"])
def test_a_good_commit_that_gates_nothing_is_told_so(root, name):
    with pytest.raises(UsageError, match="the good commit gates nothing that ran here") as caught:
        search(root, Bench(root, PLANTED, metrics=()), name)

    assert "a later good commit that has the workloads" in caught.value.next_step


def test_a_fault_of_the_machine_ends_the_search(root, sample_run):
    finding = replace(sample_run.findings[0], verdict=Verdict.ERROR, blame=Blame.ENVIRONMENT, reason="no room")
    run = replace(sample_run, findings=(finding,))

    with pytest.raises(MainstayError, match="is not to blame: no room"):
        search(root, lambda *commits, pairs, only: probe_of(run, *commits, only=only, seconds=1.0))


def test_a_metric_at_which_the_candidate_breaks_is_kept_with_the_reason(sample_run):
    finding = replace(sample_run.findings[0], verdict=Verdict.ERROR, blame=Blame.CANDIDATE, reason="it raised")

    probe = probe_of(replace(sample_run, findings=(finding,)), "1" * 40, "2" * 40, only=None, seconds=1.0)

    assert probe.failed == (Failed(metric=finding.metric, reason="it raised", is_of_commit=True),)
    assert not probe.metrics


def test_a_branch_is_taken_before_a_tag_of_the_same_name(root):
    git(root, "tag", "main", "HEAD~16")

    found = bisect(root, BisectOptions(good="HEAD~16", bad="main", metric="top1"), measure=Bench(root, PLANTED))

    assert [commit.subject for commit in found.commits] == ["change 11"]


def test_an_unknown_revision_is_wrong_usage(root, capsys):
    assert cli.run(["bisect", "nowhere", "HEAD", "-C", str(root)]) == 2
    assert "unknown revision 'nowhere'" in capsys.readouterr().err
