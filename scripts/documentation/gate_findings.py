"""What real gates and searches show."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from scripts.documentation.charts import Axis, Bar, Row, draw_intervals, draw_stacks
from scripts.documentation.marks import (
    SHARE,
    Finding,
    gain_mark,
    limits,
    percent,
    plain,
    rate_mark,
    spread,
    steps,
)


def clean_changes(document: Any) -> Iterator[Finding]:
    """Clean changes: how many pass, and how long a gate takes."""
    rows = []
    for case in document["cases"]:
        note = f"{case['pass']} of {case['gates']}, {case['seconds_mean']:.0f} s"
        rows.append(Row(case["case"], [rate_mark(0, case["passing"])], note))
    n, passed, failed = (sum(case[key] for case in document["cases"]) for key in ("gates", "pass", "fail"))
    yield Finding(
        f"Of {n} gates of clean changes, {passed} passed and {failed or 'none'} failed. How many passed, and the mean time of "
        f"a gate: {'; '.join(f'{row.name}: {row.note}' for row in rows)}.",
        draw_intervals(
            "clean-changes",
            "Clean changes that pass, of real gates, with 95 % intervals and the mean seconds of a gate",
            rows,
            axis=SHARE,
        ),
    )


def selftest(document: Any) -> Iterator[Finding]:
    """Self-test: verdicts of real gates."""
    bars = []
    for case in document["cases"]:
        counts = (case["pass"], case["fail"] + case["error"], case["inconclusive"])
        note = f"{' · '.join(map(str, counts))}, {case['gates']} gates"
        bars.append(Bar(case["case"], [part / case["gates"] for part in counts], note))
    found = [
        f"{case['case']}: of {case['gates']} gates, {case['pass']} passed, {case['fail'] + case['error']} failed and "
        f"{case['inconclusive']} ended inconclusive"
        for case in document["cases"]
    ]
    yield Finding(
        f"{'; '.join(found)}.",
        draw_stacks(
            "selftest",
            "Verdicts of real gates by what was changed",
            bars,
            axis=SHARE,
            series=["pass", "fail or error", "inconclusive"],
        ),
    )


def hostile(document: Any) -> Iterator[Finding]:
    """Hostile candidates: how each kind was held."""
    n, passed = document["candidates"], document["passed"]
    bars = []
    for row in document["by_kind"]:
        parts = (row["exit 1"], row["passed"], row["candidates"] - row["exit 1"] - row["passed"])
        bars.append(Bar(row["kind"], parts, " · ".join(map(str, parts))))
    longest = max(sum(bar.parts) for bar in bars)
    bound = "" if passed else f" (with 95 % confidence, fewer than {percent(1 - 0.05 ** (1 / n), 1)} would)"
    yield Finding(
        f"{passed or 'None'} of {n} hostile candidates passed{bound}.",
        draw_stacks(
            "hostile",
            f"How {n} hostile candidates ended, by what they tamper with; one may tamper in several ways",
            bars,
            axis=Axis("candidates", steps(0, longest), (0, longest)),
            series=["held: exit status 1", "passed", "held: another exit status"],
        ),
    )


def interruptions(document: Any) -> Iterator[Finding]:
    """Interrupted gates: whether anything was left behind or lost."""
    by_signal = "; ".join(
        f"{row['signal']}: {row['moments']} moments, {row['ended_by_it']} before the verdict, {row['with_faults'] or 'none'} "
        "with a fault"
        for row in document["signals"]
    )
    yield Finding(
        f"Of {document['moments']} interrupted gates, {document['with_faults'] or 'none'} left anything behind, lost "
        f"anything or exited with an unexpected status. {by_signal}."
    )


def planted_events(document: Any) -> Iterator[Finding]:
    """Slowdowns of different shapes: whether they were seen, and how far the estimates lie from what was planted."""
    cases = document["cases"]
    slowed, controls = ([row for row in cases if (row["case"] == "nothing") is wanted] for wanted in (False, True))

    def total(rows: Sequence[Mapping[str, Any]], key: str) -> int:
        return sum(row[key] for row in rows)

    loads = sorted({row["busy"] for row in cases})
    beside = (
        "an otherwise idle machine"
        if loads == [0]
        else "machines with " + " or ".join(map(str, loads)) + " busy processes"
    )
    differences = "; ".join(
        f"{row['case']}, {row['busy']} busy: "
        + ", ".join(
            f"{100 * row[name]:+.1f} ± {100 * row[f'error_of_the_{name}']:.1f} {whence}"
            for name, whence in (("difference", "by processor time"), ("difference_from_count", "by count"))
            if row[f"error_of_the_{name}"] is not None
        )
        for row in slowed
        if row["error_of_the_difference"] is not None
    )
    yield Finding(
        f"On {beside}, {total(slowed, 'fail')} of {total(slowed, 'gates')} gates of a slowdown of 5 or 10 % failed, and "
        f"{total(slowed, 'pass') or 'none'} passed it. Without one, {total(controls, 'fail') or 'none'} of "
        f"{total(controls, 'gates')} failed; the workload that is never slowed failed in {total(cases, 'false_fails') or 'none'} of "
        f"{total(cases, 'gates')}. The slowdown that the pairs up to the first look show, less the one that was confirmed apart by "
        f"processor time, and less the work that was added, in percentage points with its standard error: {differences}.",
        _draw_verdicts(
            "planted-slowdowns",
            "Verdicts on the workload that is slowed, by the shape of the slowdown and by the load",
            {f"{row['case']}, {row['busy']} busy": row for row in cases},
        ),
    )


def _draw_verdicts(name: str, title: str, cases: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw how many gates of each case failed, were undecided and passed."""
    bars = []
    for case, row in cases.items():
        parts = (row["fail"], row["inconclusive"] + row["error"], row["pass"])
        bars.append(Bar(case, parts, " · ".join(map(str, parts))))
    longest = max(sum(bar.parts) for bar in bars)
    axis = Axis("gates", steps(0, longest), (0, longest))
    return draw_stacks(name, title, bars, axis=axis, series=["fail", "inconclusive", "pass"])


def public_suites(document: Any) -> Iterator[Finding]:
    """Other projects' suites: whether unchanged ones pass and a slowed function is found, and how long a gate takes."""
    cases = document["cases"]
    found = "; ".join(
        f"{row['suite']}, {row['case']} ({row['benchmarks']} benchmarks): {row['pass']} pass, {row['inconclusive'] + row['error']} "
        f"inconclusive, {row['fail']} fail, {row['seconds']:.0f} s on average"
        for row in cases
    )
    wrongly, n, late = (sum(row[key] for row in cases) for key in ("wrongly_failed", "gates", "within_limit"))
    yield Finding(
        f"Of {n} gates, {wrongly or 'none'} failed a benchmark that does not call the slowed function, and {n - late or 'none'} "
        f"took longer than the project's limit. Gates by project and change: {found}.",
        _draw_verdicts(
            "public-suites",
            "Verdicts on the suites of other projects, by what was changed",
            {f"{row['suite']}, {row['case']}": row for row in cases},
        ),
    )


def comparison(document: Any) -> Iterator[Finding]:
    """Other gates: how often each raises an alarm."""
    for number, case in enumerate(dict.fromkeys(row["case"] for row in document["alarms"])):
        rows = [
            Row(row["tool"], [rate_mark(0, row["alarms"])], percent(row["alarms"]["rate"]))
            for row in document["alarms"]
            if row["case"] == case
        ]
        yield Finding(
            f"{case}: {', '.join(f'{row.name} raises an alarm in {row.note} of gates' for row in rows)}.",
            draw_intervals(
                f"comparison-{number}", f"{case}: gates with an alarm, with 95 % intervals", rows, axis=SHARE
            ),
        )


def adoption(document: Any) -> Iterator[Finding]:
    """Adoption: what the first gates of other people's projects say."""
    rows = document["rows"]

    def count(key: str, verdict: str) -> int:
        return sum(row[key]["verdict"] == verdict for row in rows)

    yield Finding(
        f"Each of {len(rows)} projects was put under a gate in {spread((row['minutes'] for row in rows), '{:.1f}'.format)} "
        f"minutes, and {count('init', 'pass')} passed against themselves. After a reworded docstring, "
        f"{count('reworded_docstring', 'pass')} pass, {count('reworded_docstring', 'fail')} fail and "
        f"{count('reworded_docstring', 'inconclusive')} end inconclusive. Of the planted slowdowns, "
        f"{count('planted_slowdown', 'fail')} fail, {count('planted_slowdown', 'pass')} pass and "
        f"{count('planted_slowdown', 'inconclusive')} end inconclusive."
    )


def pair_noise(document: Any) -> Iterator[Finding]:
    """Noise of a pair: how large it is, and whether longer trials reduce it."""
    longest = {(row["workload"], row["start"]): row for row in document["noise"]}.values()
    shortest = {(row["workload"], row["start"]): row for row in reversed(document["noise"])}.values()
    over = (row["sd_of_a_pair"]["mean"] / row["sd_expected_of_a_pair"] for row in longest)

    def sds(rows: Collection[Mapping[str, Any]]) -> str:
        seconds = max(row["measured_s"] for row in rows)
        noise = spread((row["sd_of_a_pair"]["mean"] for row in rows), lambda sd: percent(sd, 1))
        return f"with {seconds:.0f} s measured in each pair it is {noise}"

    yield Finding(
        "The standard deviation of a pair depends on the workload and on how the workers start: "
        f"{sds(shortest)}, {sds(longest)}. The latter is {spread(over, '{:.1f}'.format)} times what the scatter inside a "
        "trial predicts."
    )


def cluster(document: Any) -> Iterator[Finding]:
    """Gates over a cluster: what they cost, and whether the digits are the same."""
    scale, overhead, digits = (document[part] for part in ("scale", "overhead", "digits"))
    are_equal = digits["four_shards_equal"] and digits["two_workers_one_killed_equal"]
    yield Finding(
        f"A gate with {scale['trials']:,} trials on {scale['workers']:,} workers used "
        f"{scale['processor_seconds_of_the_gate']:.0f} s of processor time, of {scale['allowed_s']:.0f} s allowed. Over a "
        f"cluster, a small gate took {overhead['overhead_median_s']:.1f} s longer (median of {overhead['repeats']}), of "
        f"{overhead['allowed_s']:.0f} s allowed. In four shards, and with a worker killed, the digits are "
        f"{'the same as' if are_equal else 'not those'} on one machine."
    )


def bisections(document: Any) -> Iterator[Finding]:
    """Searches for a commit: whether it is found, and what that costs."""
    rows = document["summary"]
    searches, right, right_by_git = (
        sum(counts)
        for counts in zip(
            *((row["searches"], row["mainstay"]["right"], row["git"]["right"]) for row in rows), strict=True
        )
    )
    cost = "; ".join(
        f"{row['mainstay']['gates']:.0f} gates and {row['mainstay']['minutes']} minutes among {row['commits']} commits "
        f"(git: {row['git']['gates']:.0f} and {row['git']['minutes']})"
        for row in rows
    )
    yield Finding(
        f"mainstay bisect named the planted commit in {right} of {searches} searches, git bisect run in {right_by_git}. "
        f"A search took on average {cost}."
    )


def first_difference(document: Any) -> Iterator[Finding]:
    """Where two revisions part: how often the expected place is named."""
    missed = [row["name"] for row in document["planted"] if not row["is_right"]]
    yield Finding(
        f"{document['num_right']} of {document['num_planted']} planted differences are named as written down beforehand"
        f"{' (missed: ' + ', '.join(missed) + ')' if missed else ''}; {document['num_controls_right']} of "
        f"{document['num_controls']} controls name none."
    )


def torch_counts(document: Any) -> Iterator[Finding]:
    """Counts of what PyTorch does: how many planted regressions are named."""
    summary = document["summary"]
    yield Finding(
        f"{summary['num_named']} of {summary['num_planted']} planted regressions are named with their metric, operator and "
        f"line, each in at most {summary['most_seconds']} s; {summary['num_controls_unchanged']} of "
        f"{summary['num_controls']} reworded changes leave every count as it was."
    )


def history_scale(document: Any) -> Iterator[Finding]:
    """Large histories: what one more run and the page cost."""
    append, page = document["append"], document["page"][0]
    yield Finding(
        f"In a history of {document['provenance']['runs']:,} runs, one more takes {append['median_s']} s and "
        f"{append['bytes_a_run']} bytes. The page takes {page['median_processor_s']:.1f} s of processor time, and asv publish "
        f"{document['processor_time']['asv_over_mainstay']} times as much."
    )


def gate_time(document: Any) -> Iterator[Finding]:
    """Time of a gate: where its seconds go."""
    bars = []
    held = []
    for gate in document["gates"]:
        starts = gate["overhead_s"] - gate["overhead_but_for_them_s"]
        parts = (gate["in_workloads_s"], gate["overhead_but_for_them_s"], starts)
        bars.append(Bar(gate["what"], parts, f"{' + '.join(f'{part:.1f}' for part in parts)} = {gate['wall_s']:.1f} s"))
        if gate["at_most_s"] is not None:
            held.append(f"{gate['overhead_but_for_them_s']:.1f} s, of at most {gate['at_most_s']:g} s allowed")
    longest = max(gate["wall_s"] for gate in document["gates"])
    shares = [gate["in_workloads_s"] / gate["wall_s"] for gate in document["gates"]]
    bar = f"; the overhead without fresh starts was {' and '.join(held)}" if held else ""
    yield Finding(
        f"A gate took {spread((gate['wall_s'] for gate in document['gates']), '{:.0f}'.format)} s, "
        f"{spread(shares, percent)} of it inside the workloads{bar}.",
        draw_stacks(
            "gate-time",
            "Where the seconds of a gate go, by what was changed; one gate of each kind",
            bars,
            axis=Axis("wall time, s", steps(0, longest), (0, longest)),
            series=["inside the workloads", "overhead without fresh starts", "fresh starts of interpreters"],
        ),
    )


def examples(document: Any) -> Iterator[Finding]:
    """Examples: what each new version costs on the same items."""
    rows = []
    for row in document["rows"]:
        bump = document["bumped"][row["example"]]
        mark = gain_mark(0, bump["degradation"], key="mean", unit=bump["margin"])
        note = f"{bump['verdict']}: {bump['lost']} lost and {bump['gained']} gained of {bump['items']:,}"
        rows.append(Row(f"{row['package']} {row['new']}", [mark], note))
    low, high = limits(rows, 0, 1)
    yield Finding(
        "; ".join(f"{row.name}: {row.note}" for row in rows) + ".",
        draw_intervals(
            "examples",
            "Degradation by the new version on the same items, in margins, with the intervals of the gate",
            rows,
            axis=Axis("degradation, margins", steps(low, high), (low, high), show=plain),
            lines={0: "old version", 1: "margin"},
        ),
    )
