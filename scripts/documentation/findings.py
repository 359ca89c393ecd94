"""What a file of ``docs/results`` shows: a sentence with its figures, and the chart that it is read from.

Every number of a sentence and of a chart is computed from the file. A campaign that has fewer cases than it states is
no result yet: the chart says "n of N" and the sentence leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from scripts.documentation.charts import Axis, Bar, Mark, Row, draw_intervals, draw_stacks

EVALUATION_MARGIN = 0.02
"""What the rules of ``experiments/evaluation_detection.py`` are held to."""


class Finding(NamedTuple):
    """One thing that was found.

    Attributes:
        sentence: It, with its figures.
        chart: What it is read from, as HTML; nothing where there is too little to draw.
    """

    sentence: str
    chart: str = ""


SHARE = Axis("share of gates, %", [0, 0.25, 0.5, 0.75, 1], (0, 1.02), show=lambda rate: f"{100 * rate:g}")
"""From nothing to all."""


def findings(stem: str, document: Any) -> Sequence[Finding]:
    """Return what a file shows.

    Args:
        stem: Name of the file without its suffix.
        document: Its content.
    """
    return list(FINDERS[stem](document)) if stem in FINDERS else []


def percent(rate: float, digits: int = 0) -> str:
    """Return a rate as a reader sees it.

    Example:
        >>> percent(0.0008, 2), percent(1)
        ('0.08 %', '100 %')
    """
    return f"{100 * rate:.{digits}f} %"


def signed(value: float, digits: int = 2) -> str:
    """Return a difference with its sign; what rounds to nothing has none.

    Example:
        >>> signed(4.423), signed(-0.006), signed(-0.001)
        ('+4.42', '−0.01', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def spread(values: Iterable[float], show: Callable[[float], str]) -> str:
    """Return the ends of some values.

    Example:
        >>> spread([3, 1, 2], str), spread([1, 1], str)
        ('1 to 3', '1')
    """
    ordered = sorted(values)
    low, high = show(ordered[0]), show(ordered[-1])
    return low if low == high else f"{low} to {high}"


def words(key: str) -> str:
    """Return the name of a key.

    Example:
        >>> words("top1_accuracy")
        'top1 accuracy'
    """
    return key.replace("_", " ")


def rate_mark(series: int, rate: Mapping[str, Any]) -> Mark:
    """Return the mark of a rate with its interval."""
    return Mark(series, rate["rate"], rate["low"], rate["high"])


def gain_mark(series: int, gain: Mapping[str, Any], *, key: str, unit: float) -> Mark:
    """Return the mark of a mean with its interval, in a unit."""
    low, high = gain["interval"]
    return Mark(series, gain[key] / unit, low / unit, high / unit)


def with_interval(mark: Mark, show: Callable[[float], str]) -> str:
    """Return a value with its interval.

    Example:
        >>> with_interval(Mark(0, 4.42, 4.07, 4.77), signed)
        '+4.42 (+4.07 to +4.77)'
    """
    return f"{show(mark.value)} ({show(mark.low)} to {show(mark.high)})"


def limits(rows: Sequence[Row], *also: float, room: float = 0.04) -> tuple[float, float]:
    """Return ends of an axis that hold every interval of some rows and what else it shows."""
    ends = [end for row in rows for mark in row.marks for end in (mark.low, mark.high)] + list(also)
    extra = room * (max(ends) - min(ends))
    return min(ends) - extra, max(ends) + extra


def steps(low: float, high: float) -> list[float]:
    """Return about five round numbers between two ends.

    Example:
        >>> steps(-1.2, 4.7)
        [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
        >>> steps(0, 286)
        [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]
    """
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = min((size * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(step - rough))
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def powers(low: float, high: float, *, factors: Sequence[float] = (1,)) -> list[float]:
    """Return powers of ten between two ends, times some factors; negative ones too.

    Example:
        >>> powers(-2, 200)
        [-1.0, 1.0, 10.0, 100.0]
    """
    sizes = [10.0**power * factor for power in range(-6, 7) for factor in factors]
    return [
        value for value in [*(-size for size in reversed(sizes)), *sizes] if low <= value <= high and abs(value) >= 1
    ]


def faults(document: Any) -> Iterator[Finding]:
    """Injected faults: degradations in margins, for each data set."""
    for dataset, measured in document.items():
        changes, level = measured["changes"], percent(measured["confidence_level"])
        metrics = list(changes[0]["metrics"])
        rows = []
        for change in changes:
            marks = [
                gain_mark(
                    number, change["metrics"][metric], key="mean_degradation", unit=change["metrics"][metric]["margin"]
                )
                for number, metric in enumerate(metrics)
            ]
            rows.append(Row(words(change["change"]), marks, " · ".join(signed(mark.value) for mark in marks)))
        beyond = {row.name for row in rows if any(mark.low > 1 for mark in row.marks)}
        expected = {
            words(change["change"]): {value["expected"] for value in change["metrics"].values()} for change in changes
        }
        harmful = {name for name, said in expected.items() if "fail" in said}
        harmless = {name for name, said in expected.items() if said <= {"pass", "not fail"}}
        other = [name for name in expected if name not in harmful | harmless]
        rest = f"; {' and '.join(other)} {'counts' if len(other) == 1 else 'count'} as neither" if other else ""
        low, high = limits(rows, -1, 2, room=0)
        yield Finding(
            f"On {dataset}, {len(harmful & beyond)} of {len(harmful)} harmful changes lie wholly beyond the margin of a "
            f"metric; of {len(harmless)} harmless ones {len(harmless & beyond) or 'none'} {'do' if len(harmless & beyond) > 1 else 'does'}{rest}.",
            draw_intervals(
                f"faults-{dataset}",
                f"Degradation on {dataset} in margins: means of {len(measured['seeds'])} seeds with {level} intervals, "
                "positive where the changed model is worse",
                rows,
                axis=Axis(
                    "degradation, margins",
                    [*powers(low, high), 0],
                    (1.3 * low, 1.3 * high),
                    "symlog",
                    show=lambda value: f"{value:g}".replace("-", "−"),
                ),
                series=[f"{words(metric)}, margin {changes[0]['metrics'][metric]['margin']:g}" for metric in metrics],
                lines={1: "margin"},
            ),
        )


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
            f"At a degradation of {_points(size)}, {name} the margin of {100 * EVALUATION_MARGIN:g}, {whether}. Share "
            f"of evaluations in which each rule is red: {red}.",
            draw_intervals(
                f"detection-{name}",
                f"How often each rule is red at a degradation of {_points(size)} ({whether}), in "
                f"{document['provenance']['draws_of_each_kind']:,} simulated evaluations of each kind with 95 % intervals",
                rows,
                axis=SHARE._replace(label="share of evaluations, %"),
                series=list(rules.values()),
            ),
        )
    yield from evaluation_tools(document)
    yield from evaluation_families(document)


TOOLS = {"nel_gate": "nel gate", "statgate": "statgate", "mainstay": "mainstay"}


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
                f"How often each tool is red at a degradation of {_points(size)}: {what}, with 95 % intervals",
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


def transfer(document: Any) -> Iterator[Finding]:
    """Transfer: what pretraining is worth."""
    rows = []
    for row in document["rows"]:
        mark = gain_mark(0, row["pretrained_minus_new"], key="mean", unit=0.01)
        rows.append(Row(f"{row['images']}, {row['num_labels']} labels", [mark], with_interval(mark, signed)))
    helped = [row for row in rows if row.marks[0].low > 0]
    most = max(rows, key=lambda row: row.marks[0].value)
    low, high = limits(rows, 0)
    yield Finding(
        f"Pretraining helps beyond doubt in {len(helped)} of {len(rows)} settings. It helps most with {_listed([most])}, by "
        f"{most.note} points of accuracy.",
        draw_intervals(
            "transfer",
            f"Top-1 accuracy of the pretrained model less that of a new one: means of {len(document['seeds'])} seeds with "
            f"{percent(document['confidence_level'])} intervals",
            rows,
            axis=Axis("gain of top-1 accuracy, percentage points", steps(low, high), (low, high), show=plain),
            lines={0: "no gain"},
        ),
    )


def selftest(document: Any) -> Iterator[Finding]:
    """Self-test: verdicts of real gates."""
    bars, finished = [], []
    for case in document["cases"]:
        n, planned = case["gates"], max(case["gates"], case["wanted"])
        counts = (case["pass"], case["fail"] + case["error"], case["inconclusive"])
        count = f"{n} gates" if n == planned else f"{n} of {planned} gates"
        bars.append(Bar(case["case"], [part / planned for part in counts], f"{' · '.join(map(str, counts))}, {count}"))
        if n == planned:
            finished.append(case)
    found = [
        f"{case['case']}: of {case['gates']} gates, {case['pass']} passed, {case['fail'] + case['error']} failed and "
        f"{case['inconclusive']} ended inconclusive"
        for case in finished
    ]
    left = len(bars) - len(finished)
    unfinished = f" {left} of {len(bars)} cases have fewer gates than planned and are not results yet." if left else ""
    yield Finding(
        f"{'; '.join(found) or 'No case is finished'}.{unfinished}",
        draw_stacks(
            "selftest",
            "Verdicts of real gates by what was changed. A row of n of N gates is unfinished: its bar ends where the gates do",
            bars,
            axis=SHARE._replace(label="share of the planned gates, %"),
            series=["pass", "fail or error", "inconclusive"],
        ),
    )


def hostile(document: Any) -> Iterator[Finding]:
    """Hostile candidates: how each kind was held."""
    n, planned, passed = document["candidates"], document["planned"], document["passed"]
    bars = []
    for row in document["by_kind"]:
        parts = (row["exit 1"], row["passed"], row["candidates"] - row["exit 1"] - row["passed"])
        bars.append(Bar(row["kind"], parts, " · ".join(map(str, parts))))
    longest = max(sum(bar.parts) for bar in bars)
    bound = f" (with 95 % confidence, fewer than {percent(1 - 0.05 ** (1 / n), 1)} would)" if n and not passed else ""
    state = "" if n >= planned else f" Unfinished: {n} of {planned} candidates were gated."
    yield Finding(
        f"{passed or 'None'} of {n} hostile candidates passed{bound}.{state}",
        draw_stacks(
            "hostile",
            f"How hostile candidates ended, by what they tamper with; one may tamper in several ways. {n} of {planned} candidates",
            bars,
            axis=Axis("candidates", steps(0, longest), (0, longest)),
            series=["held: exit status 1", "passed", "held: another exit status"],
        ),
    )


def comparison(document: Any) -> Iterator[Finding]:
    """Other gates: how much their rates can tell so far."""
    rates = [row["alarms"] for row in document["alarms"]]
    gates = spread((rate["n"] for rate in rates), str)
    widest = max(rate["high"] - rate["low"] for rate in rates)
    yield Finding(
        f"Each rule judged {gates} gate{'' if gates == '1' else 's'} of each case: the 95 % interval of its rate of alarms "
        f"is up to {100 * widest:.0f} points wide."
    )


def peers(document: Any) -> Iterator[Finding]:
    """Peers: times over those of mainstay."""
    what = {way["name"]: way["what"] for way in document["ways"]}
    rows = []
    for ratio in document["ratios_over_mainstay"]:
        marks = [
            Mark(number, times["median"], times["low"], times["high"])
            for number, times in enumerate((ratio["command"], ratio["steady_epoch"]))
        ]
        rows.append(Row(what[ratio["name"]], marks, " · ".join(f"{mark.value:.2f}" for mark in marks)))
    if not rows:
        return
    rows.sort(key=lambda row: -row.marks[0].value)
    fastest, slowest = rows[-1], rows[0]
    low, high = limits(rows, 1, room=0)
    yield Finding(
        f"The slowest way ({slowest.name}) takes {with_interval(slowest.marks[0], '{:.1f}'.format)} times as long as "
        f"mainstay from start to end, the fastest other way ({fastest.name}) "
        f"{with_interval(fastest.marks[0], '{:.2f}'.format)} times; a steady epoch of the latter takes "
        f"{with_interval(fastest.marks[1], '{:.2f}'.format)} times as long.",
        draw_intervals(
            "peers",
            f"Time over that of mainstay for the same training of {document['num_epochs']} epochs: medians of "
            f"{document['num_turns']} turns, lines from the least to the greatest",
            rows,
            axis=Axis(
                "time over that of mainstay, logarithmic",
                [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if 0.9 * low <= tick <= 1.1 * high],
                (0.9 * low, 1.1 * high),
                "log",
            ),
            series=["whole command", "a steady epoch"],
            lines={1: "mainstay"},
        ),
    )


def ablations(document: Any) -> Iterator[Finding]:
    """Ablations: gains of accuracy."""

    def gains(*found: Mapping[str, Any]) -> list[Mark]:
        return [
            gain_mark(number, gain["top1_accuracy"], key="difference", unit=0.01) for number, gain in enumerate(found)
        ]

    def row(name: str, marks: list[Mark]) -> Row:
        return Row(name, marks, " · ".join(signed(mark.value) for mark in marks))

    left_out = document["left_out_of_all"]
    techniques = [row(words(name), gains(gain, left_out[name])) for name, gain in document["added_to_plain"].items()]
    techniques.sort(key=lambda row: -row.marks[0].value)
    ensembles = gains(document["ensemble_of_plain"], document["ensemble_of_all"])
    rows = [
        *techniques,
        row(f"ensemble of {document['num_members']}", ensembles),
        row("all techniques together", gains(document["all_against_plain"])),
    ]
    best, least = techniques[0], techniques[-1]
    helpful = [row for row in techniques if row.marks[0].low > 0]
    low, high = limits(rows, 0)
    yield Finding(
        f"{len(helpful)} of {len(techniques)} techniques raise the accuracy beyond doubt when added alone. "
        f"The best is {best.name}, with {with_interval(best.marks[0], signed)} points alone and "
        f"{with_interval(best.marks[1], signed)} beside the others; the worst is {least.name}, with "
        f"{with_interval(least.marks[0], signed)} points alone.",
        draw_intervals(
            "ablations",
            f"Gain of top-1 accuracy with {document['num_train_images']:,} training images: means of {document['n']} "
            f"seeds with {percent(document['confidence_level'])} intervals",
            rows,
            axis=Axis("gain of top-1 accuracy, percentage points", steps(low, high), (low, high), show=plain),
            series=["added to plain training", "beside all the others"],
            lines={0: "no gain"},
        ),
    )


def privacy(document: Any) -> Iterator[Finding]:
    """Privacy: what an attack finds out, and what hiding it costs."""
    rows = document["rows"]
    names = ["no DP" if row["epsilon"] is None else f"DP-SGD, ε = {row['epsilon']:g}" for row in rows]
    level = percent(document["confidence_level"])

    def drawn(key: str) -> list[Row]:
        marks = [gain_mark(0, row[key], key="mean", unit=0.01) for row in rows]
        return [Row(name, [mark], with_interval(mark, _hundredth)) for name, mark in zip(names, marks, strict=True)]

    attacked, accurate = drawn("likelihood_ratio_area"), drawn("top1_accuracy")
    low, high = limits(attacked, 50)
    yield Finding(
        f"The attack ranks a member above another image in {attacked[0].note} % of the cases without differential privacy, and in "
        f"{attacked[-1].note} % with ε = {rows[-1]['epsilon']:g}; guessing gives 50 %.",
        draw_intervals(
            "privacy-attack",
            f"How often the attack ranks a member above another image: means of {document['n']} models with {level} intervals",
            attacked,
            axis=Axis("area under the curve, %", steps(low, high), (low, high), show=plain),
            lines={50: "guessing"},
        ),
    )
    low, high = limits(accurate)
    yield Finding(
        f"Differential privacy costs accuracy: {accurate[0].note} % without it, {accurate[-1].note} % with "
        f"ε = {rows[-1]['epsilon']:g}.",
        draw_intervals(
            "privacy-accuracy",
            f"Top-1 accuracy on the test set: means of {document['n']} models with {level} intervals",
            accurate,
            axis=Axis("top-1 accuracy, %", steps(low, high), (low, high), show=plain),
        ),
    )


def loss_curves(document: Any) -> Iterator[Finding]:
    """Loss curves: when a training began to overfit."""
    best = min(document["epochs"], key=lambda row: row["validation_loss"])
    last = document["epochs"][-1]
    yield Finding(
        f"The validation loss is lowest after epoch {best['epoch']}, at {best['validation_loss']:.3f} nat. It rises to "
        f"{last['validation_loss']:.3f} after epoch {last['epoch']}, while the training loss falls to {last['train_loss']:.4f}."
    )


def compression(document: Any) -> Iterator[Finding]:
    """Compression: accuracy and latency against size."""
    parent = document["rows"][0]
    level = percent(document["confidence_level"])
    models = sorted(document["rows"][1:], key=lambda model: -model["num_deflated_bytes"])

    def size(model: Mapping[str, Any]) -> str:
        return percent(model["num_deflated_bytes"] / parent["num_deflated_bytes"])

    losses = []
    for model in models:
        mark = gain_mark(0, model["top1_accuracy_minus_parent"], key="mean", unit=0.01)
        losses.append(Row(model["model"], [mark], f"{size(model)} of the size, {signed(mark.value)}"))
    tolerable = [
        f"{row.name} has {size(model)} of its parent's size after zlib, at {with_interval(row.marks[0], signed)} points of accuracy"
        for loss in (0.1, 1)
        if (kept := [(model, row) for model, row in zip(models, losses, strict=True) if row.marks[0].low > -loss])
        for model, row in [kept[-1]]
    ]
    worst = min(losses, key=lambda row: row.marks[0].value)
    low, high = limits(losses, 0, room=0)
    yield Finding(
        f"{'; '.join(dict.fromkeys(tolerable))}; {worst.name} costs most: {with_interval(worst.marks[0], signed)} points.",
        draw_intervals(
            "compression",
            f"Accuracy less that of the parent, by falling size: means of {len(document['seeds'])} seeds with {level} intervals",
            losses,
            axis=Axis(
                "top-1 accuracy less that of the parent, points",
                [*powers(low, high, factors=(1, 10)), 0],
                (1.3 * low, max(1.3 * high, 0.5)),
                "symlog",
                show=plain,
            ),
            lines={0: "parent"},
        ),
    )
    rows = []
    for model in models:
        marks = []
        for number, ratio in enumerate(model["latency_over_parent"].values()):
            marks.append(Mark(number, ratio["mean"], *ratio["interval"]))
        rows.append(Row(model["model"], marks, " · ".join(f"{mark.value:.2f}" for mark in marks)))
    faster = [row for row in rows if all(mark.high < 1 for mark in row.marks)]
    slower = [row for row in rows if any(mark.low > 1.05 for mark in row.marks)]
    batches = list(parent["latency_over_parent"])
    low, high = limits(rows, 1, room=0)
    yield Finding(
        f"Faster than the parent at every batch size: {_listed(faster) or 'none'}"
        + "".join(
            f"; {row.name} takes {with_interval(mark, '{:.2f}'.format)} times as long for a {batches[mark.series]}"
            for row in slower
            for mark in row.marks
            if mark.low > 1.05
        )
        + ".",
        draw_intervals(
            "latency",
            f"Latency over that of the parent, by falling size: means of {len(document['seeds'])} seeds with {level} intervals",
            rows,
            axis=Axis(
                "latency over that of the parent, logarithmic",
                [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10) if 0.9 * low <= tick <= 1.1 * high],
                (0.9 * low, 1.1 * high),
                "log",
            ),
            series=batches,
            lines={1: "parent"},
        ),
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


def history(document: Any) -> Iterator[Finding]:
    """History: false alarms, delays and change points."""
    promised = document["provenance"]["commits_between_alarms_promised"]
    widths = list(dict.fromkeys(row["margin_over_sd"] for row in document["run_lengths"]))
    series = [f"margin of {width:g} standard deviations of a pair" for width in widths]
    rows = _by_first(
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
    rows = _by_first(
        document["delays"],
        "change_in_margins",
        lambda row: rate_mark(widths.index(row["margin_over_sd"]), row["within_24_commits"]),
        lambda row: percent(row["within_24_commits"]["rate"]),
    )
    least = min(rows, key=lambda row: min(mark.value for mark in row.marks))
    sure = [row for row in rows if all(mark.value >= 0.9 for mark in row.marks)]
    yield Finding(
        f"{len(sure)} of {len(rows)} kinds of change are seen within 24 commits in at least 90 % of simulated projects; "
        f"hardest to see is {_listed([least])}, with {' and '.join(percent(mark.value) for mark in least.marks)}.",
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
    rows = _by_first(
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


def _by_first(
    records: Sequence[Mapping[str, Any]],
    key: str,
    mark: Callable[[Mapping[str, Any]], Mark],
    note: Callable[[Mapping[str, Any]], str],
) -> list[Row]:
    """Return one row for all records that share a value."""
    together: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        together.setdefault(str(record[key]), []).append(record)
    return [Row(name, [*map(mark, same)], " · ".join(map(note, same))) for name, same in together.items()]


def _listed(rows: Sequence[Row]) -> str:
    """Return the names of rows."""
    return " and ".join(f"“{row.name}”" for row in rows)


def _points(share: float) -> str:
    """Return a share in percentage points.

    Example:
        >>> _points(0.01), _points(0.025)
        ('1 point', '2.5 points')
    """
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"


def _hundredth(value: float) -> str:
    """Return a number to two digits."""
    return f"{value:.2f}"


def plain(value: float) -> str:
    """Return the text of a mark of an axis."""
    return f"{value:g}".replace("-", "−")


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


def compression_verdicts(document: Any) -> Iterator[Finding]:
    """Compressed models: whether the verdicts fit the measured table."""
    verdicts, bars = ("pass", "fail", "inconclusive"), []
    for row in document["rows"]:
        counts = [row[verdict] for verdict in verdicts]
        bars.append(Bar(row["model"], counts, " · ".join(map(str, counts))))
    num_seeds, judged = len(document["seeds"]), sum(sum(bar.parts) for bar in bars)
    contradictions = sum(row["contradictions"] for row in document["rows"])
    yield Finding(
        f"{contradictions or 'None'} of {judged} verdicts {'contradicts' if contradictions <= 1 else 'contradict'} the "
        "measured table.",
        draw_stacks(
            "compression-verdicts",
            f"Verdicts on each model against its parent, one for each of {num_seeds} seeds: pass · fail · inconclusive",
            bars,
            axis=Axis("seeds", steps(0, num_seeds), (0, num_seeds)),
            series=verdicts,
        ),
    )


FINDERS: Mapping[str, Callable[[Any], Iterator[Finding]]] = {
    "faults": faults,
    "operating_characteristics": error_rates,
    "evaluation": evaluation,
    "selftest": selftest,
    "hostile": hostile,
    "comparison": comparison,
    "peers": peers,
    "ablations": ablations,
    "compression": compression,
    "compression_verdicts": compression_verdicts,
    "examples": examples,
    "gate_time": gate_time,
    "history": history,
    "transfer": transfer,
    "privacy": privacy,
    "loss_curves": loss_curves,
}
"""What reads each file, by its name."""
