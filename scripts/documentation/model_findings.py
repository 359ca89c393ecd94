"""What trained models show: faults, remedies, smaller models, other ways to train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.documentation.charts import Axis, Bar, Mark, Row, draw_intervals, draw_stacks
from scripts.documentation.marks import (
    Finding,
    gain_mark,
    hundredth,
    limits,
    listed,
    percent,
    plain,
    powers,
    signed,
    steps,
    with_interval,
    words,
)


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
        f"Pretraining helps beyond doubt in {len(helped)} of {len(rows)} settings. It helps most with {listed([most])}, by "
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
        return [Row(name, [mark], with_interval(mark, hundredth)) for name, mark in zip(names, marks, strict=True)]

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
        f"Faster than the parent at every batch size: {listed(faster) or 'none'}"
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


def recipe_accuracy(document: Any) -> Iterator[Finding]:
    """Recipes: what each reaches."""
    for name, measured in document.items():
        mark = Mark(0, measured["mean_top1_accuracy"], *measured["interval"])
        yield Finding(
            f"{name} reaches a top-1 accuracy of {with_interval(mark, lambda share: percent(share, 2))}: the mean of "
            f"{measured['n']} trainings with its 95 % interval."
        )


def thread_choice(document: Any) -> Iterator[Finding]:
    """Choice of threads: how an epoch with the chosen number compares with the better of one and two."""
    found = "; ".join(
        f"beside {case['busy'] or 'no'} busy processes {case['ratio_median']:.2f} times as long (median of {case['turns']} "
        f"turns, {case['ratio_min']:.2f} to {case['ratio_max']:.2f})"
        for case in document["cases"]
    )
    yield Finding(
        f"With the chosen number of threads, an epoch takes, over the better of one and two threads: {found}. At most "
        f"{document['largest_ratio']:g} is allowed."
    )
