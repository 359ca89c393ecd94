"""Stored results judged from the command line: verdicts, exit statuses, reports, and files that cannot be judged."""

import json
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from mainstay import cli
from mainstay.records.findings import Blame, Method, Verdict
from mainstay.records.metrics import Tier
from mainstay.store.documents import run_from_json

FILES = Path(__file__).parents[1] / "evaluation" / "files"


@pytest.fixture
def judge(tmp_path, monkeypatch, capsys):
    """Judge two files or folders; gives the exit status, what was printed and the run document, if there is one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def run(baseline, candidate, *options):
        status = cli.run(["judge", str(baseline), str(candidate), "--json", "run.json", *map(str, options)])
        place = tmp_path / "run.json"
        document = run_from_json(place.read_text("utf-8"), where="run.json") if place.exists() else None
        place.unlink(missing_ok=True)
        captured = capsys.readouterr()
        return status, captured.out + captured.err, document

    return run


def rows(scores, *, task="quiz", **more):
    return [{"task": task, "id": f"q{number}", "score": score, **more} for number, score in enumerate(scores)]


def write(path, content):
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


def sides(folder, baseline, candidate):
    return write(folder / "baseline.jsonl", baseline), write(folder / "candidate.jsonl", candidate)


def answers(num_items, *, lost=0, gained=0):
    """Scores of both sides: so many lost, so many gained, the others right twice or wrong twice."""
    same = [number % 3 > 0 for number in range(num_items - lost - gained)]
    as_numbers = [int(score) for score in same]
    return [1] * lost + [0] * gained + as_numbers, [0] * lost + [1] * gained + as_numbers


def flipped(folder, num_items, **counts):
    baseline, candidate = answers(num_items, **counts)
    return sides(folder, rows(baseline), rows(candidate))


@pytest.mark.parametrize(
    ("lost", "gained", "status", "verdict"),
    [(18, 11, 0, Verdict.PASS), (120, 40, 1, Verdict.FAIL), (60, 30, 3, Verdict.INCONCLUSIVE)],
)
def test_verdict_and_exit_status_are_those_of_a_gate(judge, tmp_path, lost, gained, status, verdict):
    told, printed, run = judge(*flipped(tmp_path, 1319, lost=lost, gained=gained), "--margin", 0.02)

    assert (told, run.exit_status, run.verdict) == (status, status, verdict)
    assert printed.startswith(f"mainstay judge: {verdict.upper()}")
    assert f"items: 1,319, {lost} lost, {gained} gained" in printed
    assert "who made them, where and when is known only from the files" in " ".join(printed.split())


def test_the_document_names_the_files_by_their_digests(judge, tmp_path):
    _, _, run = judge(*flipped(tmp_path, 300, lost=2, gained=2), "--margin", 0.05)

    assert (run.baseline.subject, run.candidate.subject) == ("baseline.jsonl", "candidate.jsonl")
    assert len(run.baseline.commit) == 64
    assert run.baseline.commit != run.candidate.commit
    assert run.environments == ()
    assert run.plan.looks == ()
    assert list((tmp_path / ".mainstay" / "judgements").glob("*/run.json"))


def test_every_report_speaks_of_items(judge, tmp_path):
    paths = {"--html": "r.html", "--markdown": "r.md", "--junit": "r.xml"}
    options = [part for pair in paths.items() for part in pair]

    judge(*flipped(tmp_path, 1319, lost=60, gained=30), "--margin", 0.02, *options)

    html, markdown, junit = ((tmp_path / name).read_text("utf-8") for name in paths.values())
    for report in (html, markdown, junit):
        assert "1,319" in report
        assert "60 lost, 30 gained" in report
        assert "items would settle it" in report
        assert "seeds" not in report
    assert "| margin | items |" in markdown
    assert "mainstay judge" in html


def test_a_report_is_rendered_again_from_the_document(judge, tmp_path, capsys):
    _, printed, _ = judge(*flipped(tmp_path, 1319, lost=18, gained=11), "--margin", 0.02)
    place = next((tmp_path / ".mainstay" / "judgements").glob("*/run.json"))

    assert cli.run(["report", str(place)]) == 0
    again = capsys.readouterr().out
    assert again.splitlines()[0] == printed.splitlines()[0]
    assert cli.run(["compare", str(place), str(place)]) == 0


def test_many_tasks_give_a_mean_and_guards(judge, tmp_path):
    baseline, candidate = [], []
    for number in range(20):
        before, after = answers(246, lost=7, gained=7)
        baseline += rows(before, task=f"t{number}")
        candidate += rows(after, task=f"t{number}")

    status, printed, run = judge(*sides(tmp_path, baseline, candidate), "--margin", 0.05, "--task-margin", "macro=0.01")

    assert status == 0
    macro, *tasks = run.findings
    assert (macro.metric.name, macro.metric.margin, macro.items.num_tasks) == ("macro", 0.01, 20)
    assert {finding.tier for finding in tasks} == {Tier.GUARD}
    assert run.plan.num_gated == 21
    assert "guard" in printed


def test_a_guard_that_is_undecided_does_not_block_and_names_no_next_step(judge, tmp_path):
    baseline, candidate = [], []
    for number in range(20):
        before, after = answers(246, lost=14, gained=9)
        baseline += rows(before, task=f"t{number}")
        candidate += rows(after, task=f"t{number}")

    status, printed, run = judge(
        *sides(tmp_path, baseline, candidate), "--margin", 0.05, "--task-margin", "macro=0.04", "--junit", "r.xml"
    )

    assert status == 0
    assert any(finding.verdict is Verdict.INCONCLUSIVE for finding in run.findings)
    assert "that do not block are undecided" in " ".join(printed.split())
    assert "next: merge when the review is done" in printed
    assert "<error" not in (tmp_path / "r.xml").read_text("utf-8")


def test_identical_outputs_pass_on_few_items(judge, tmp_path):
    same = rows([1, 0, 1], digest="sha256:aa")

    status, printed, run = judge(*sides(tmp_path, same, same), "--margin", 0.02)

    assert status == 0
    assert run.findings[0].method is Method.EXACT
    assert "identical outputs on 3 items" in printed


def test_a_gain_beyond_belief_waits_for_a_person(judge, tmp_path):
    paths = flipped(tmp_path, 1319, lost=10, gained=90)

    status, printed, run = judge(*paths, "--margin", 0.02, "--junit", "r.xml")
    assert (status, run.findings[0].verdict) == (3, Verdict.PASS)
    assert "look at the gain, then judge again and add --acknowledge-gain quiz" in " ".join(printed.split())
    assert "$ --acknowledge-gain" not in printed  # which is no command
    assert "<error" in (tmp_path / "r.xml").read_text("utf-8")

    status, printed, run = judge(*paths, "--margin", 0.02, "--acknowledge-gain", "quiz")
    assert (status, run.findings[0].mark) == (0, "")
    assert "acknowledged: quiz" in printed


def test_missing_scores_count_as_the_worst_and_their_causes_are_told(judge, tmp_path):
    before, after = answers(1319, lost=10, gained=10)
    candidate = rows(after)
    for row in candidate[-12:]:
        row.update(score=None, error="timeout")

    status, printed, run = judge(*sides(tmp_path, rows(before), candidate), "--margin", 0.02)

    assert status == 0
    assert run.findings[0].items.candidate_missing == 12
    assert run.findings[0].items.num_worse == 18  # eight of the twelve were right before
    assert "12 scores of the candidate are missing and count as the worst" in " ".join(printed.split())
    assert "missing in the candidate: 12 x timeout" in printed


@pytest.mark.parametrize(("side", "status"), [("candidate", 1), ("baseline", 4)])
def test_too_many_missing_scores_are_an_error_of_their_side(judge, tmp_path, side, status):
    before, after = answers(1319, lost=10, gained=10)
    both = {"baseline": rows(before), "candidate": rows(after)}
    for row in both[side][:40]:
        row["score"] = None

    told, printed, run = judge(*sides(tmp_path, both["baseline"], both["candidate"]), "--margin", 0.02)

    assert (told, run.verdict, run.findings[0].blame) == (status, Verdict.ERROR, side)
    assert f"40 of the {side}, of 1,319" in printed


@pytest.mark.parametrize(
    ("change", "said", "status"),
    [
        pytest.param(lambda row: row.update(id="other"), "the candidate lacks item 'q0'", 1, id="item"),
        pytest.param(lambda row: row.update(prompt="other"), "item 'q0' of quiz has another prompt", 4, id="prompt"),
        pytest.param(lambda row: row.update(repeat=1), "repeats", 4, id="repeat"),
    ],
)
def test_items_that_differ_are_an_error_and_the_others_are_judged(judge, tmp_path, change, said, status):
    before, after = answers(400, lost=2, gained=2)
    baseline, candidate = (rows(scores, prompt="p") for scores in (before, after))
    change(candidate[0])
    more = rows(before, task="other"), rows(after, task="other")

    told, printed, run = judge(*sides(tmp_path, baseline + more[0], candidate + more[1]), "--margin", 0.05)

    assert told == status
    assert said in " ".join(printed.split())
    assert {finding.metric.name: finding.verdict for finding in run.findings}["other"] is Verdict.PASS


def test_other_prompts_are_judged_where_they_are_declared(judge, tmp_path):
    before, after = answers(400, lost=2, gained=2)

    status, printed, _ = judge(
        *sides(tmp_path, rows(before, prompt="a"), rows(after, prompt="b")), "--margin", 0.05, "--prompt-changed"
    )

    assert status == 0
    assert "model and prompt together" in " ".join(printed.split())


def test_a_task_that_the_candidate_lacks_is_missing_and_one_that_it_adds_is_new(judge, tmp_path):
    before, after = answers(400, lost=2, gained=2)

    status, _, run = judge(
        *sides(tmp_path, rows(before) + rows(before, task="gone"), rows(after) + rows(after, task="new")),
        *("--margin", 0.05),
    )

    assert status == 1
    verdicts = {finding.metric.name: finding.verdict for finding in run.findings}
    assert verdicts == {"macro": Verdict.ERROR, "quiz": Verdict.PASS, "gone": Verdict.MISSING, "new": Verdict.NEW}


def test_clusters_widen_the_interval(judge, tmp_path):
    before, after = answers(1200, lost=24, gained=12)
    clustered = [rows(scores) for scores in (before, after)]
    for side in clustered:
        for number, row in enumerate(side):
            row["cluster"] = f"passage {number // 6}"

    _, _, alone = judge(*sides(tmp_path, rows(before), rows(after)), "--margin", 0.02)
    _, printed, together = judge(*sides(tmp_path, *clustered), "--margin", 0.02)

    assert together.findings[0].items.num_clusters == 200
    assert "200 clusters" in printed
    assert together.findings[0].interval.high > alone.findings[0].interval.high


def test_repeats_are_averaged_and_never_counted_as_items(judge, tmp_path):
    before, after = answers(400, lost=4, gained=4)
    twice = [rows(scores) + [row | {"repeat": 1} for row in rows(scores)] for scores in (before, after)]

    _, printed, run = judge(*sides(tmp_path, *twice), "--margin", 0.05)

    assert (run.findings[0].num_pairs, run.findings[0].items.repeats) == (400, 2)
    assert "up to 2 scores of each, averaged" in " ".join(printed.split())


def test_scores_of_a_declared_range_are_judged_in_points_of_it(judge, tmp_path):
    before = [5 + number % 4 for number in range(400)]
    after = [score - (number % 40 == 0) for number, score in enumerate(before)]
    after[1] = 11

    status, printed, run = judge(*sides(tmp_path, rows(before), rows(after)), "--margin", 0.5, "--range", "0:10")

    assert status == 0
    assert "1 scores lie outside the declared range" in " ".join(printed.split())
    assert run.findings[0].estimate == pytest.approx(10 / 400 - 4 / 400)


def test_a_score_of_which_less_is_better_is_judged_so(judge, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.mainstay.evaluation]\ndirections = { quiz = "lower" }\n')

    status, _, run = judge(*flipped(tmp_path, 1319, lost=40, gained=120), "--margin", 0.02)

    assert (status, run.findings[0].verdict) == (1, Verdict.FAIL)
    assert run.findings[0].items.num_worse == 120


def test_settings_are_read_from_pyproject(judge, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.mainstay]\ninconclusive = 1\n[tool.mainstay.evaluation]\nmargin = 0.02\n"
        '[tool.mainstay.evaluation.tiers]\nextra = "advisory"\nextar = "guard"\n'
    )
    before, after = answers(600, lost=20, gained=16)
    bad = answers(600, lost=100)

    status, _, run = judge(
        *sides(tmp_path, rows(before) + rows(bad[0], task="extra"), rows(after) + rows(bad[1], task="extra"))
    )

    assert status == 1  # an inconclusive gate, by its policy
    assert run.verdict is Verdict.INCONCLUSIVE
    assert [finding.tier for finding in run.findings] == [Tier.BLOCKING, Tier.ADVISORY]
    assert run.findings[1].verdict is Verdict.FAIL
    assert "the settings name tasks that are not judged here: extar" in run.notes


@pytest.mark.parametrize(("policy", "expected"), [("0", 0), ("1", 1), ("3", 3), ('"warn"', 3)])
def test_the_policy_of_the_settings_maps_an_undecided_evaluation_as_the_help_says(
    judge, tmp_path, capsys, policy, expected
):
    (tmp_path / "pyproject.toml").write_text(f"[tool.mainstay]\ninconclusive = {policy}\n")
    before, after = answers(600, lost=20, gained=16)

    status, _, run = judge(*sides(tmp_path, rows(before), rows(after)), "--margin", 0.02)
    cli.run(["judge", "--help"])

    assert (status, run.verdict) == (expected, Verdict.INCONCLUSIVE)
    assert "the setting inconclusive may change 3 to 1, and to 0 for undecided tasks" in capsys.readouterr().out


def test_a_margin_on_the_command_line_comes_before_the_settings(judge, tmp_path):
    settings = tmp_path / "other.toml"
    settings.write_text("[tool.mainstay.evaluation]\nmargin = 0.02\n")

    _, _, configured = judge(*flipped(tmp_path, 400, lost=2), "--config", settings)
    _, _, given = judge(*flipped(tmp_path, 400, lost=2), "--config", settings, "--margin", 0.03)

    assert (configured.findings[0].metric.margin, given.findings[0].metric.margin) == (0.02, 0.03)


def test_a_waiver_covers_a_degradation_and_is_written_without_a_repository(judge, tmp_path):
    paths = flipped(tmp_path, 1319, lost=120, gained=40)
    _, printed, _ = judge(*paths, "--margin", 0.02)
    assert "--judged" in printed

    entry = ("--limit", "0.07", "--reason", "half the size", "--until", "2999-12-31")
    assert cli.run(["waive", "quiz", *entry, "--judged"]) == 0
    status, _, run = judge(*paths, "--margin", 0.02)

    assert (status, run.findings[0].verdict) == (0, Verdict.WAIVED)


def test_two_files_of_one_unnamed_task_each_are_that_task(judge, tmp_path):
    before, after = answers(400, lost=2, gained=2)
    bare = [[{"id": row["id"], "score": row["score"]} for row in rows(scores)] for scores in (before, after)]

    status, _, run = judge(*sides(tmp_path, *bare), "--margin", 0.05)

    assert (status, [finding.metric.id for finding in run.findings]) == (0, ["evaluation#scores"])


def test_real_samples_of_lm_eval_are_judged_with_what_they_say(judge):
    status, printed, run = judge(FILES / "lm_eval", FILES / "lm_eval", "--margin", 0.05, "--filter", "strict")

    assert status == 0
    assert {finding.metric.name for finding in run.findings} == {
        *("macro", "tiny_arith", "tiny_mc#acc", "tiny_mc#acc_norm")
    }
    assert "lm_eval_version: 0.4.13" in printed


def lm_eval(folder, scores, *, filters=("none",), metric="exact_match", higher_is_better=True):
    """A folder of results of lm-evaluation-harness with one task, whose scores are those of every filter."""
    folder.mkdir()
    write(
        folder / "samples_quiz_2026-11-28T16-28-30.115956.jsonl",
        [
            {"doc_hash": f"{number:016}", "filter": name, "metrics": [metric], metric: float(score)}
            for name in filters
            for number, score in enumerate(scores)
        ],
    )
    results = {"higher_is_better": {"quiz": {metric: higher_is_better}}}
    (folder / "results_2026-11-28T16-28-30.115956.json").write_text(json.dumps(results))
    return folder


def test_a_loss_fails_if_lm_eval_leaves_open_which_way_is_better(judge, tmp_path):
    baseline, candidate = (
        lm_eval(tmp_path / name, scores, higher_is_better=None)
        for name, scores in zip(("before", "after"), answers(1319, lost=120, gained=40), strict=True)
    )

    status, _, run = judge(baseline, candidate, "--margin", 0.02)

    assert (status, run.findings[0].verdict) == (1, Verdict.FAIL)
    assert run.workloads[0].context["better direction of exact_match of quiz"] == "not stated"


@pytest.mark.parametrize(
    ("before", "after", "options"),
    [
        pytest.param(
            {"filters": ("strict", "flexible")}, {"filters": ("strict",)}, ("--filter", "flexible"), id="chosen"
        ),
        pytest.param({"filters": ("strict",)}, {"filters": ("flexible",)}, (), id="filters"),
        pytest.param({"metric": "acc"}, {"metric": "exact_match"}, (), id="metrics"),
    ],
)
def test_scores_of_different_filters_or_metrics_are_never_compared(judge, tmp_path, before, after, options):
    old, new = answers(400, lost=2, gained=2)

    status, printed, run = judge(
        lm_eval(tmp_path / "before", old, **before),
        lm_eval(tmp_path / "after", new, **after),
        "--margin",
        0.05,
        *options,
    )

    assert (status, run.findings[0].verdict, run.findings[0].blame) == (4, Verdict.ERROR, Blame.BOTH)
    assert "both sides must be scored alike" in " ".join(printed.split())


def test_a_filter_that_no_task_has_is_wrong_usage_and_a_note_if_it_is_configured(judge, tmp_path):
    old, new = answers(400, lost=2, gained=2)
    results = [
        lm_eval(tmp_path / name, scores, filters=("strict",)) for name, scores in (("before", old), ("after", new))
    ]

    status, printed, run = judge(*results, "--margin", 0.05, "--filter", "strct")
    assert (status, run) == (2, None)
    assert "no task has the answer filter 'strct'" in printed
    assert "name one of strict" in printed
    assert judge(*flipped(tmp_path, 400, lost=2), "--margin", 0.05, "--filter", "strict")[0] == 2

    (tmp_path / "pyproject.toml").write_text('[tool.mainstay.evaluation]\nfilter = "strct"\n')
    status, _, run = judge(*results, "--margin", 0.05)
    assert (status, run.workloads[0].context["filter of quiz"]) == (0, "strict")
    assert "the settings name an answer filter that no task has: strct" in run.notes


def test_real_logs_of_inspect_are_judged_and_the_errored_sample_counts(judge):
    logs = FILES / "inspect"

    status, printed, run = judge(logs / "baseline", logs / "candidate", "--margin", 0.4)

    assert status == 4  # the folder of the baseline holds one run in two forms
    status, printed, run = judge(next((logs / "baseline").glob("*.json")), logs / "candidate", "--margin", 0.4)
    assert status == 3
    assert run.findings[0].items.candidate_missing == 1
    assert "made-up timeout" in printed


def test_real_results_of_promptfoo_and_the_plain_forms_are_judged(judge):
    results = FILES / "promptfoo" / "results_handmade.json"
    plain = FILES / "plain"

    for baseline, candidate in ((results, results), (plain / "arith.jsonl", plain / "arith.csv")):
        status, _, run = judge(baseline, candidate, "--margin", 0.4)
        assert status == 3
        assert run.findings[0].items.baseline_missing == 1


# Collections of garbage would look through what the whole suite has imported.
@pytest.mark.slow
@pytest.mark.usefixtures("few_objects")
def test_100_000_items_of_20_tasks_take_a_few_times_what_parsing_them_takes(judge, tmp_path):
    """Five seconds on the machine of the project, where parsing takes 0.4; by ratio, whatever the machine."""
    files = [tmp_path / f"{side}.jsonl" for side in ("baseline", "candidate")]
    for number, file in enumerate(files):
        scores = [[int((7919 * i + 104729 * task) % 100 >= 3 * number) for i in range(5_000)] for task in range(20)]
        write(file, [row for task, values in enumerate(scores) for row in rows(values, task=f"t{task}")])

    start = time.process_time()
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            json.loads(line)
    parsed, start = time.process_time() - start, time.process_time()
    status, _, run = judge(*files, "--margin", 0.02)
    judged = time.process_time() - start

    assert status in {0, 1, 3}
    assert len(run.findings) == 21
    assert judged < 12 * parsed


HOSTILE = {
    "truncated": ('{"id": "a", "score": 1}\n{"id": "b", "sc', 4),
    "not-a-number": ('{"id": "a", "score": NaN}\n', 4),
    "words": ('{"id": "a", "score": "good"}\n', 4),
    "twice": ('{"id": "a", "score": 1}\n' * 2, 4),
    "deep": ("[" * 200_000 + "\n", 4),
    "no-id": ('{"score": 1}\n', 4),
    "empty": ("", 2),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_a_damaged_file_is_an_error_with_its_place_and_a_way_on(judge, tmp_path, name, side):
    text, expected = HOSTILE[name]
    paths = dict(zip(("baseline", "candidate"), flipped(tmp_path, 300, lost=1), strict=True))
    paths[side].write_text(text, encoding="utf-8")

    status, printed, run = judge(*paths.values(), "--margin", 0.02)

    assert (status, run) == (expected, None)
    assert f"{side}.jsonl" in printed
    assert "next: " in printed
    assert not (tmp_path / ".mainstay").exists()


def test_a_pickle_in_parquet_s_clothes_and_a_formula_in_csv_are_refused(judge, tmp_path):
    good = write(tmp_path / "good.jsonl", rows([1, 0]))
    pickled, formula = tmp_path / "bad.parquet", tmp_path / "bad.csv"
    pickled.write_bytes(b"\x80\x04cos\nsystem\n(S'echo'\ntR.")
    formula.write_text('id,score\na,"=HYPERLINK(""http://x"")"\n', encoding="utf-8")

    for bad in (pickled, formula):
        status, printed, _ = judge(good, bad, "--margin", 0.02)
        assert status == 4
        assert bad.name in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param((), "no margin for quiz", id="no-margin"),
        pytest.param(("--margin", "2"), "the margin of quiz is 2", id="margin-in-percent"),
        pytest.param(("--margin", "0.02", "--task-margin", "quiz=1"), "the margin of quiz is 1", id="task-in-points"),
        pytest.param(("--margin", "0.02", "--task-margin", "macro=2"), "the margin of macro is 2", id="mean-in-points"),
        pytest.param(("--margin", "0"), "--margin", id="margin-of-nought"),
        pytest.param(("--margin", "0.02", "--task-margin", "quiz"), "TASK=MARGIN", id="no-pair"),
        pytest.param(("--margin", "0.02", "--task-margin", "quzi=0.1"), "no task is called 'quzi'", id="slip"),
        pytest.param(("--margin", "0.02", "--range", "1:0"), "LOW:HIGH", id="range"),
        pytest.param(("--margin", "0.02", "--config", "none.toml"), "none.toml", id="no-such-settings"),
        pytest.param(("--margin", "0.02", "--acknowledge-gain", "no"), "no task is called 'no'", id="unknown-gain"),
    ],
)
def test_wrong_usage_is_told_and_nothing_is_judged(judge, tmp_path, options, said):
    status, printed, run = judge(*flipped(tmp_path, 300, lost=1), *options)

    assert (status, run) == (2, None)
    assert said in printed


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        pytest.param("margin = 0.02\nmargins = { macro = 2 }", (), id="configured-for-the-mean"),
        pytest.param("margin = 2\nmargins = { first = 0.02, second = 0.02 }", (), id="configured-for-all"),
        pytest.param("margins = { first = 0.02, second = 0.02 }", ("--margin", 2), id="option-for-all"),
        pytest.param("margin = 0.02", ("--task-margin", "macro=2"), id="option-for-the-mean"),
    ],
)
def test_a_margin_of_the_mean_of_tasks_meant_in_percent_is_wrong_usage(judge, tmp_path, settings, options):
    (tmp_path / "pyproject.toml").write_text(f"[tool.mainstay.evaluation]\n{settings}\n")
    both = [rows(scores, task="first") + rows(scores, task="second") for scores in answers(300, lost=1)]

    status, printed, run = judge(*sides(tmp_path, *both), *options)

    assert (status, run) == (2, None)
    assert "the margin of macro is 2" in printed
    assert "give 0.02 for 2 points" in printed


def test_a_margin_above_one_is_right_for_scores_that_are_no_fractions(judge, tmp_path):
    before = [number % 11 for number in range(400)]
    low = rows([0, 1] * 200, task="only one side has it")

    status, printed, run = judge(
        *sides(tmp_path, rows(before) + low, rows(before)),
        *("--margin", 2, "--task-margin", "macro=2", "--range", "0:10"),
    )

    assert status == 1, printed
    assert {finding.metric.name: (finding.verdict, finding.metric.margin) for finding in run.findings} == {
        "quiz": (Verdict.PASS, 2.0),
        "only one side has it": (Verdict.MISSING, 2.0),
    }


def test_a_score_of_the_candidate_does_not_decide_whether_scores_are_shares(judge, tmp_path):
    before, after = answers(1319, lost=120, gained=40)
    added = rows([0, 1.0000001, 1] * 10, task="only one side has it")

    status, printed, run = judge(
        *sides(tmp_path, rows(before), rows([*after[:-1], 1 + 1e-9]) + added), "--margin", 0.02
    )
    assert (status, run.findings[0].verdict, run.findings[0].metric.unit) == (1, Verdict.FAIL, "fraction"), printed
    assert {finding.metric.unit for finding in run.findings} == {"fraction"}

    status, printed, run = judge(*sides(tmp_path, rows(before), rows([*after[:-1], 2])), "--margin", 0.02)
    assert (status, run.findings[0].verdict, run.findings[0].metric.unit) == (1, Verdict.ERROR, "fraction"), printed
    assert "of quiz is 2, and the scores of the baseline are shares between 0 and 1" in " ".join(printed.split())


def test_files_that_are_not_there_and_filters_that_must_be_chosen_are_usage(judge, tmp_path):
    samples = FILES / "lm_eval"
    assert judge("nowhere.jsonl", samples, "--margin", 0.02)[0] == 2

    status, printed, _ = judge(samples, samples, "--margin", 0.02)
    assert status == 2
    assert "--filter strict" in printed


def test_names_from_files_act_in_no_report(judge, tmp_path):
    name = "<script>alert(1)</script> | @octocat \x1b[31m"
    before, after = answers(1319, lost=60, gained=30)

    judge(
        *sides(tmp_path, rows(before, task=name), rows(after, task=name)),
        *("--margin", 0.02, "--html", "r.html", "--markdown", "r.md"),
    )

    assert "<script>alert" not in (tmp_path / "r.html").read_text("utf-8")
    markdown = (tmp_path / "r.md").read_text("utf-8")
    assert "\x1b" not in markdown
    assert all("`" in line.partition("@octocat")[0] for line in markdown.splitlines() if "@octocat" in line)


def test_click_s_own_runner_gets_the_status(tmp_path):
    baseline, candidate = flipped(tmp_path, 1319, lost=18, gained=11)

    result = CliRunner().invoke(
        cli.main,
        ["judge", str(baseline), str(candidate), "--margin", "0.02", "-C", str(tmp_path)],
        standalone_mode=False,
    )

    assert result.return_value == 0
    assert "PASS" in result.output


def test_no_repository_is_needed(judge, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert shutil.which("git") is None

    assert judge(*flipped(tmp_path, 1319, lost=18, gained=11), "--margin", 0.02)[0] == 0
