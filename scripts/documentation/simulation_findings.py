"""What simulated gates, evaluations and histories show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scripts.documentation.charts import Axis, Mark, Row, draw_intervals
from scripts.documentation.marks import (
    SHARE,
    Finding,
    by_first,
    limits,
    listed,
    percent,
    points,
    rate_mark,
    spread,
    steps,
)

EVALUATION_MARGIN = 0.02
"""What the rules of ``experiments/evaluation_detection.py`` are held to."""

TOOLS = {"nel_gate": "nel gate", "statgate": "statgate", "mainstay": "mainstay"}


def error_rates(document: Any) -> Iterator[Finding]:
    """Error rates: verdicts of whole gates, then the worst rates of each kind of noise."""
    alpha = document["provenance"]["plan"]["alpha"]
    gates = [
        gate
        for gate in document["whole_gates"]
        if gate["noise"] == "normal" and not gate["correlation"] and "fails" in gate["double_margin"]
    ]
    rows = []
    for gate in gates:
        passes, fails = gate["clean"]["passes"], gate["double_margin"]["fails"]
        count = f"{gate['metrics']} metric{'s' if gate['metrics'] > 1 else ''}"
        rows.append(
            Row(
                f"{count}, margin {gate['margin_over_sd']:g} sd",
                [rate_mark(0, passes), rate_mark(1, fails)],
                f"{percent(passes['rate'])} · {percent(fails['rate'])}",
            )
        )
    rarely, often = (end(rows, key=lambda row: row.marks[0].value) for end in (min, max))
    wrong = max(gate["clean"]["fails"]["rate"] for gate in gates)
    missed = max(gate["double_margin"]["passes"]["rate"] for gate in gates)
    yield Finding(
        f"Between {percent(rarely.marks[0].value)} ({rarely.name}) and {percent(often.marks[0].value)} ({often.name}) of "
        f"clean changes pass, and at most {percent(wrong, 2)} fail. Of degradations of twice the margin, "
        f"{spread((row.marks[1].value for row in rows), percent)} fail, and at most {percent(missed, 2)} pass. "
        "The rest end inconclusive.",
        draw_intervals(
            "whole-gates",
            f"How often a gate decides correctly, in {gates[0]['clean']['passes']['n']:,} simulated gates of each kind with "
            "normal noise and 95 % intervals; sd is the standard deviation of a pair",
            rows,
            axis=SHARE,
            series=["clean changes that pass", "degradations of twice the margin that fail"],
        ),
    )
    worst: dict[tuple[bool, str], list[Mapping[str, Any]]] = {}
    for model in document["noise_models"]:
        worst.setdefault((not model["is_covered"], model["noise"]), []).append(model)
    rows = []
    for (is_outside, noise), models in sorted(worst.items()):
        rates = [
            max((model[key] for model in models), key=lambda rate: rate["rate"])
            for key in ("clean_gate_fails", "double_margin_passes")
        ]
        rows.append(
            Row(
                f"{noise}{' (not covered)' if is_outside else ''}",
                [rate_mark(number, rate) for number, rate in enumerate(rates)],
                " · ".join(percent(rate["rate"], 1) for rate in rates),
            )
        )
    covered = [row for row, (is_outside, _) in zip(rows, sorted(worst), strict=True) if not is_outside]
    outside = [row for row in rows if row not in covered]
    yield Finding(
        f"In the {len(covered)} kinds of noise that the stated rate of {percent(alpha)} covers, at most "
        f"{percent(max(row.marks[0].value for row in covered), 2)} of clean changes fail and "
        f"{percent(max(row.marks[1].value for row in covered), 2)} of degradations of twice the margin pass; in the "
        f"{len(outside)} that it does not cover, up to {percent(max(row.marks[0].value for row in outside))} and "
        f"{percent(max(row.marks[1].value for row in outside))}.",
        draw_intervals(
            "noise-models",
            "The highest error rates by kind of noise, over all numbers of metrics and margins, with 95 % intervals",
            rows,
            axis=Axis(
                "share of gates, %; logarithmic beyond the stated rate",
                [0, alpha / 2, alpha, 10 * alpha, 1],
                (0, 1),
                "symlog",
                linear_to=alpha,
                show=lambda rate: f"{100 * rate:g}",
            ),
            series=["false alarms: clean changes that fail", "misses: degradations of twice the margin that pass"],
            lines={alpha: f"stated: {percent(alpha)}"},
        ),
    )


def evaluation(document: Any) -> Iterator[Finding]:
    """Evaluations: how often each rule is red, just inside the margin and just beyond it."""
    rules = {
        "floor": "fixed floor",
        "unpaired_z": "unpaired z test",
        "mcnemar": "McNemar's test",
        "mainstay": "mainstay",
    }
    degradations = {row["degradation"] for row in document["detection"]}
    inside = max(size for size in degradations if size < EVALUATION_MARGIN)
    beyond = min(size for size in degradations if size > EVALUATION_MARGIN)
    for name, size, whether in (
        ("inside", inside, "no rule should be red"),
        ("beyond", beyond, "a rule should be red"),
    ):
        rows = [
            Row(
                f"{row['benchmark']}, {row['items']:,} items, {percent(row['flips'])} flips",
                [rate_mark(number, row[rule]) for number, rule in enumerate(rules)],
                " · ".join(f"{100 * row[rule]['rate']:.0f}" for rule in rules) + " %",
            )
            for row in document["detection"]
            if row["degradation"] == size
        ]
        red = ", ".join(
            f"{rule} {spread((row.marks[number].value for row in rows), lambda rate: percent(rate, 1))}"
            for number, rule in reversed([*enumerate(rules.values())])
        )
        yield Finding(
            f"At a degradation of {points(size)}, {name} the margin of {100 * EVALUATION_MARGIN:g}, {whether}. Share "
            f"of evaluations in which each rule is red: {red}.",
            draw_intervals(
                f"detection-{name}",
                f"How often each rule is red at a degradation of {points(size)} ({whether}), in "
                f"{document['provenance']['draws_of_each_kind']:,} simulated evaluations of each kind with 95 % intervals",
                rows,
                axis=SHARE._replace(label="share of evaluations, %"),
                series=list(rules.values()),
            ),
        )
    yield from evaluation_tools(document)
    yield from evaluation_families(document)


def evaluation_tools(document: Any) -> Iterator[Finding]:
    """Evaluations: how two other tools judge the same draws at the same margin."""
    size, flips = 0.03, 0.06
    for plain, tools, name, what in (
        ("detection", "detection_tools", "tools", f"one task with {percent(flips)} flips and a margin of 2 points"),
        ("ten_tasks", "ten_tasks_tools", "tools-of-ten", "ten tasks of 300 items, margins of 5 points for each"),
    ):
        pairs = [
            (
                one | other,
                f"{one['benchmark']}, {one['items']:,} items" if "items" in one else f"{one['who_loses']} lose",
            )
            for one, other in zip(document[plain], document[tools], strict=True)
            if one.get("flips", flips) == flips
        ]
        worse = [(row, label) for row, label in pairs if row["degradation"] == size]
        clean = [row for row, _ in pairs if row["degradation"] == 0]
        rows = [
            Row(
                label,
                [rate_mark(number, row[tool]) for number, tool in enumerate(TOOLS)],
                " · ".join(percent(row[tool]["rate"]) for tool in TOOLS),
            )
            for row, label in worse
        ]
        undecided = ", ".join(
            f"{tool} {spread((row[f'{key}_inconclusive']['rate'] for row in clean), percent)}"
            for key, tool in TOOLS.items()
        )
        yield Finding(
            f"Three tools judge the same draws at the same margin ({what}). Without a degradation, they leave undecided: "
            f"{undecided}.",
            draw_intervals(
                f"detection-{name}",
                f"How often each tool is red at a degradation of {points(size)}: {what}, with 95 % intervals",
                rows,
                axis=SHARE._replace(label="share of evaluations, %"),
                series=list(TOOLS.values()),
            ),
        )


def evaluation_families(document: Any) -> Iterator[Finding]:
    """Evaluations: wrong gates of many tasks, and designs of clusters whose levels do not hold."""
    figures = list(_compared(document))
    gates = [*document["families"], *document["mixed_tasks"]]
    rows = []
    for name in dict.fromkeys(row["family"] for row in gates):
        clean, harmed = (
            next(row for row in gates if row["family"] == name and row["who_degrades"].startswith(who))
            for who in ("nobody", "all tasks")
        )
        rates = (clean["gate_fails"], harmed["gate_passes"])
        marks = [rate_mark(number, rate) for number, rate in enumerate(rates)]
        rows.append(Row(name, marks, " · ".join(percent(rate["rate"], 2) for rate in rates)))
    yield Finding(
        f"{sum(figures)} of {len(figures)} simulated figures agree with those that were published before. With many tasks, at "
        f"most {percent(max(row.marks[0].high for row in rows), 1)} of clean changes fail (upper end of the interval), and at "
        f"most {percent(max(row.marks[1].value for row in rows), 1)} of degradations of twice the margin of the mean pass.",
        draw_intervals(
            "families",
            f"How often gates of many tasks are wrong, in {document['provenance']['draws_of_each_kind']:,} simulated gates "
            "of each kind with 95 % intervals",
            rows,
            axis=Axis("share of gates, %", [0, 0.005, 0.01, 0.015], (0, 0.016), show=lambda rate: f"{100 * rate:g}"),
            series=["clean changes that fail", "degradations of twice the margin that pass"],
            lines={0.01: "stated: 1 %"},
        ),
    )
    clusters = [row for row in document["mean_levels"] if "clusters" in row["design"]]
    rows = [
        Row(
            row["design"],
            [rate_mark(0, row["pass_at_margin"]), rate_mark(1, row["pass_at_double_margin"])],
            " · ".join(percent(row[name]["rate"], 1) for name in ("pass_at_margin", "pass_at_double_margin")),
        )
        for row in clusters
    ]
    broken = [row.name for row in rows if row.marks[0].low > 0.055 or row.marks[1].low > 0.011]
    yield Finding(
        f"If whole clusters are lost, a pass can exceed its level. It does in {len(broken)} of {len(rows)} designs with "
        f"clusters, in the worst at {percent(max(row.marks[0].value for row in rows))} instead of 5 %; the report then says "
        "that a degradation carried by whole clusters is not excluded.",
        draw_intervals(
            "clusters",
            "How often the two tests of a pass are wrong, at a degradation of the margin and of twice the margin, with 95 % "
            "intervals",
            rows,
            axis=Axis("share of evaluations, %", [0, 0.05, 0.1, 0.15], (0, 0.17), show=lambda rate: f"{100 * rate:g}"),
            series=["at the margin: 5 % stated", "at twice the margin: 1 % stated"],
            lines={0.05: "5 %", 0.01: "1 %"},
        ),
    )


def _compared(value: Any) -> Iterator[bool]:
    """Yield of every figure beside a published one whether it agrees."""
    if isinstance(value, dict) and "agrees" in value:
        yield value["agrees"]
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _compared(inner)


def history(document: Any) -> Iterator[Finding]:
    """History: false alarms, delays and change points."""
    promised = document["provenance"]["commits_between_alarms_promised"]
    widths = list(dict.fromkeys(row["margin_over_sd"] for row in document["run_lengths"]))
    series = [f"margin of {width:g} standard deviations of a pair" for width in widths]
    rows = by_first(
        document["run_lengths"],
        "noise",
        lambda row: Mark(
            widths.index(row["margin_over_sd"]), *(row["run_length"][key] for key in ("mean", "low", "high"))
        ),
        lambda row: f"{row['run_length']['mean']:,}",
    )
    means = [mark.value for row in rows for mark in row.marks]
    below = sum(mark.high < promised for row in rows for mark in row.marks)
    low, high = limits(rows, 0.5 * promised)
    yield Finding(
        f"False alarms of an unchanged project come {spread(means, '{:,.0f}'.format)} commits apart on average, where "
        f"{promised:,} are promised; {below or 'none'} of {len(means)} combinations of noise and margin "
        f"{'has' if below <= 1 else 'have'} an interval that lies wholly below.",
        draw_intervals(
            "run-lengths",
            "Commits between two false alarms by kind of noise, with 95 % intervals",
            rows,
            axis=Axis("commits between two false alarms", steps(low, high), (low, high), show="{:,.0f}".format),
            series=series,
            lines={promised: f"promised: {promised:,}"},
        ),
    )
    rows = by_first(
        document["delays"],
        "change_in_margins",
        lambda row: rate_mark(widths.index(row["margin_over_sd"]), row["within_24_commits"]),
        lambda row: percent(row["within_24_commits"]["rate"]),
    )
    least = min(rows, key=lambda row: min(mark.value for mark in row.marks))
    sure = [row for row in rows if all(mark.value >= 0.9 for mark in row.marks)]
    yield Finding(
        f"{len(sure)} of {len(rows)} kinds of change are seen within 24 commits in at least 90 % of simulated projects; "
        f"hardest to see is {listed([least])}, with {' and '.join(percent(mark.value) for mark in least.marks)}.",
        draw_intervals(
            "delays",
            f"Changes seen within 24 commits, in {document['delays'][0]['lives']} simulated projects of each kind with 95 % "
            "intervals; sizes are in margins",
            rows,
            axis=SHARE._replace(label="share of projects, %"),
            series=series,
        ),
    )
    methods = list(dict.fromkeys(row["method"] for row in document["found_change_points"]))
    rows = by_first(
        document["found_change_points"],
        "noise",
        lambda row: rate_mark(methods.index(row["method"]), row["precision"]),
        lambda row: percent(row["precision"]["rate"], 1),
    )
    least_right = [min(row.marks[number].value for row in rows) for number in range(len(methods))]
    yield Finding(
        "Of the change points found, "
        + " and ".join(
            f"at least {percent(rate, 1)} ({method})" for rate, method in zip(least_right, methods, strict=True)
        )
        + " are true, whatever the noise.",
        draw_intervals(
            "change-points",
            "Precision of change points by kind of noise: the share of those found that are true, with 95 % intervals",
            rows,
            axis=SHARE._replace(label="precision, %"),
            series=methods,
        ),
    )


def multiplicity(document: Any) -> Iterator[Finding]:
    """One error rate over many metrics: false fails, and how many degraded metrics are named."""
    rows = document["procedures"]
    worst = max((row["false_fails"] for row in rows), key=lambda rate: rate["rate"])

    def named(procedure: str, key: str) -> str:
        rates = [row[key] for row in rows if row["procedure"] == procedure and row[key] is not None]
        return f"{procedure} {spread(rates, percent)}"

    procedures = list(dict.fromkeys(row["procedure"] for row in rows))
    after_12, at_last = (", ".join(named(each, key) for each in procedures) for key in ("named_by_12_pairs", "named"))
    yield Finding(
        f"No procedure fails more than {percent(worst['rate'], 2)} (up to {percent(worst['high'], 1)}) of gates falsely. "
        f"Share of degraded metrics that are named after 12 pairs: {after_12}; in the end: {at_last}."
    )


def pair_lengths(document: Any) -> Iterator[Finding]:
    """What the lengths of pairs up to the first look and after it give and cost; what rules for later pairs decide."""
    by_length: dict[tuple[float, float], list[Mapping[str, Any]]] = {}
    for row in document["lengths"]:
        by_length.setdefault((row["first_s"], row["later_s"]), []).append(row)
    always_long, chosen = by_length[2.5, 2.5], by_length[1.0, 2.5]
    savings = [1 - short["seconds"] / long["seconds"] for long, short in zip(always_long, chosen, strict=True)]
    lost: dict[float, float] = {}
    for long, short in zip(always_long, chosen, strict=True):
        fewer = long["gates_that_pass"]["rate"] - short["gates_that_pass"]["rate"]
        lost[long["sd"]] = max(lost.get(long["sd"], 0.0), round(fewer, 3))
    names = [f"{first:g} s, then {later:g} s" for first, later in by_length]
    rows = []
    for number, kind in enumerate(always_long):
        seconds = [same[number]["seconds"] for same in by_length.values()]
        marks = [rate_mark(index, same[number]["gates_that_pass"]) for index, same in enumerate(by_length.values())]
        within = percent(kind["within"])
        rows.append(
            Row(f"noise of {100 * kind['sd']:g} %, {within} within", marks, " · ".join(map(str, seconds)) + " s")
        )
    yield Finding(
        f"Pairs of 1 s up to the first look, and of 2.5 s after it, save {percent(min(savings))} to {percent(max(savings))} of "
        f"the time of pairs of 2.5 s throughout. The share of clean gates that pass falls by at most "
        + ", ".join(f"{points(fewer)} at a noise of {100 * noise:g} %" for noise, fewer in lost.items())
        + ".",
        draw_intervals(
            "clean-gates-by-length",
            f"Gates of equal revisions that pass, of {always_long[0]['gates_that_pass']['n']} simulated ones of each kind, with "
            "95 % intervals; beside them the mean seconds of measuring",
            rows,
            axis=SHARE,
            series=names,
        ),
    )
    rules = list(dict.fromkeys(row["rule"] for row in document["decided"]))
    planned, adopted, _, by_deviation = rules
    kinds = {
        f"noise of {100 * row['median_sd']:g} %, {percent(row['within'])} of its variance within a pair": row
        for row in document["decided"]
    }
    rows = []
    for name, kind in kinds.items():
        same = [row for row in document["decided"] if all(row[key] == kind[key] for key in ("median_sd", "within"))]
        marks = [rate_mark(rules.index(row["rule"]), row["gates_that_pass"]) for row in same]
        rows.append(Row(name, marks, " · ".join(percent(mark.value) for mark in marks)))

    def gain(rule: str, other: str) -> float:
        gains = (row.marks[rules.index(rule)].value - row.marks[rules.index(other)].value for row in rows)
        return round(max(gains), 3)

    false = max((row["false_fails"] for row in document["errors"]), key=lambda rate: rate["rate"])
    harmed = max((row["harmed_passes"] for row in document["errors"]), key=lambda rate: rate["rate"])
    yield Finding(
        "Longer later pairs, as far as all looks fit, raise the share of clean gates that pass by up to "
        f"{points(gain(adopted, planned))}; to give noisier workloads more of the time adds up to "
        f"{points(gain(by_deviation, adopted))}. Under every rule and noise, at most {percent(false['rate'], 2)} (up to "
        f"{percent(false['high'], 2)}) of gates fail falsely, and at most {percent(harmed['rate'], 2)} (up to "
        f"{percent(harmed['high'], 2)}) pass a metric that is worse by twice its margin.",
        draw_intervals(
            "clean-gates-by-rule",
            f"Gates of equal revisions that pass, of {kinds[rows[0].name]['gates_that_pass']['n']} simulated ones of each kind, "
            "with 95 % intervals",
            rows,
            axis=SHARE,
            series=rules,
        ),
    )


def groups(document: Any) -> Iterator[Finding]:
    """Groups of metrics: what they give, and what they cost."""

    def both(rows: Sequence[Mapping[str, Any]], key: str, digits: int) -> str:
        together, alone = (max(row[name]["rate"] for row in rows) for name in (key, f"{key}_alone"))
        return f"up to {percent(together, digits)} with groups and {percent(alone, digits)} alone"

    gained = [row for row in document["clean"] if row["passes"]["low"] > row["passes_alone"]["high"]]
    passing = "; ".join(
        f"by {100 * loss:g} %, {both(rows, 'passes', 1)}"
        for loss in dict.fromkeys(row["loss"] for row in document["planted"])
        for rows in [[row for row in document["planted"] if row["loss"] == loss]]
    )
    yield Finding(
        f"With groups, more clean gates pass beyond doubt in {len(gained)} of {len(document['clean'])} combinations of noise, "
        f"correlation and size. At the highest noise, {both(document['stress'], 'false_fails', 2)} fail falsely. The price: "
        f"gates pass although one metric is slower: {passing}."
    )
