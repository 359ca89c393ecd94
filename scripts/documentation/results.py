"""What the project measured about itself, from ``docs/results/*.json``: one page a file.

A page begins with what was found, each finding above its chart (``findings.py``), and shows everything that its file
holds: the facts of the measurement, then each table. Known files have a
title and an introduction in :data:`INTRODUCTIONS`; a new file gets its page without a change here. A case with fewer
gates than planned is no result: the page names it and shows nothing of it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.documentation.findings import findings
from scripts.documentation.marks import words

FOLDED_ROWS = 24
"""Longer tables are folded."""

PLANNED = {"gates": "wanted", "candidates": "planned"}
"""Where a campaign says how many it has, and where how many it planned."""

SHORT_LIST = 8
"""Longer lists of numbers are counted, not shown."""

INDEX = """# Results

What the project measured about itself. Each page is made at build time from a file of `docs/results`, which holds the
command that regenerates it and the commit, and what was recorded of the machine, the versions and the seeds. Where a file
names the *commit of the file*, the commit that was measured was not recorded: it is the one that added the figures.

"""

SENTENCE = 60
"""Longer cells are sentences."""

UNSAFE = re.compile(r"[|<>*_\[\]`]")


class Introduction(NamedTuple):
    """What a page of results begins with.

    Attributes:
        title: Its heading.
        text: What was measured and what it shows, as Markdown.
    """

    title: str
    text: str


INTRODUCTIONS: Mapping[str, Introduction] = {
    "faults": Introduction(
        "Injected faults",
        "Harmless and harmful changes with known effects, each measured against the unchanged model with the "
        "same seeds. They support the margins: harmless changes stay inside, and faults that matter lie outside. "
        "A degradation is positive if the changed model is worse.",
    ),
    "operating_characteristics": Introduction(
        "Error rates",
        "How often a gate is wrong: the false alarm rate (a clean change fails) and the miss rate (a degradation of "
        "twice the margin passes). The gates are simulated and judged by the real code, with noise that fits the "
        "assumptions and noise that does not. All intervals are 95 % intervals.",
    ),
    "ablations": Introduction(
        "Ablations",
        "What each technique against overfitting gains on the reference model, trained on few images of MNIST: added "
        "alone to plain training, and added last to all the others. A cell reads: accuracy without → with the "
        "technique, then the difference with its 95 % interval; both trainings of a pair have the same seed. [How to "
        "cure overfitting](../how-to/cure-overfitting.md) explains the techniques.",
    ),
    "evaluation": Introduction(
        "Evaluations",
        "Simulated evaluations with a known degradation, judged by the functions that judge stored results. All "
        "intervals are 95 % intervals. `nox -s evaluation` makes this file.\n\n"
        "**Comparison with published figures.** Most tables show each figure beside one that was published before; "
        "the two agree unless they differ by more than the error of both simulations (99.9 %). The publication "
        "describes in one line how it drew clusters; the line can be read in two ways, and both are shown. Where the "
        "figures differ, the published levels are higher: with 250 clusters of 20 items, they are those of Student's "
        "t without the count of clusters that replaces it if few differ. The published effect of taking the best of "
        "five runs as the baseline ignores that the best run scatters, too.\n\n"
        "**Detection.** How often a fixed floor, an unpaired z test, McNemar's test, `nel gate` (NeMo Evaluator), "
        "`statgate` and mainstay are red on the same draws at the sizes of known benchmarks, with a margin of 2 "
        "points. At degradations of 2 points or less, a rule should not be red. `nel gate` and `statgate` each run in "
        "an environment of their own, through the functions by which they decide and, on some draws, through their "
        "entry points too. `statgate` judges fewer draws, since it draws 10,000 bootstrap samples of each. Neither "
        "has one error rate for a family of tasks: ten tasks are red if one is.",
    ),
    "recipe_accuracy": Introduction(
        "Recipes",
        "The accuracy that a recipe reaches on the real MNIST: one training for each seed, scored once, after the last "
        "epoch.",
    ),
    "peers": Introduction("Peers", "The same training done with other tools, timed on the same machine."),
    "selftest": Introduction(
        "Self-test",
        "Real gates of a small project, unchanged and with planted changes of known kinds. Each compares two commits, "
        "built and installed separately. A longer measurement, separate from the gate, confirms the size "
        "of each change. The simulated gates have the noise that the real ones showed. The bar of a case says which "
        "verdicts must not occur; the rate against the bar is how often they did.",
    ),
    "clean_changes": Introduction(
        "Clean changes",
        "Real gates of a small project between two commits that differ only in words, built and installed separately: "
        "how many pass, fail or end inconclusive, and how long a gate takes. In the first four cases, all six metrics are "
        "measured; in the others, the proof of unchanged code is on, and the second commit makes one harmless edit. "
        "`python -m experiments.clean_changes` runs these gates.",
    ),
    "hostile": Introduction(
        "Hostile candidates",
        "Generated changes of a small project, gated one by one: each ruins the model and tampers with one to three "
        "of the means by which it is judged. *Passed* counts gates that exited with 0 or reached the verdict pass; it "
        "must be 0. The exit statuses say how the others were stopped: 1 for a degradation, a missing metric or a "
        "broken candidate, 2 for wrong usage, 3 for an inconclusive gate or a change that needs a review, 4 for a "
        "broken baseline or environment. `nox -s hostile` generates, gates and counts them.",
    ),
    "interruptions": Introduction(
        "Interrupted gates",
        "Gates of a small repository, each ended by a signal at a moment drawn from the length of a gate, beside a second "
        "gate of the same repository, with threads of NumPy in both. A moment is as it should be if the gate exits with 130 "
        "or its verdict's status, the other gate comes to its verdict, nothing temporary is left, and the resumed "
        "gate measures the same values. After SIGKILL, the next gate removes what was left. "
        "`python -m experiments.interruptions` ends the gates.",
    ),
    "thread_choice": Introduction(
        "Choice of threads",
        "One epoch of the article's recipe on MNIST with the number of threads that the command chooses, beside the same "
        "epoch with one and with two threads, in drawn order, on an idle machine and beside two busy processes. The ratio "
        "is the time of the epoch over that of the better of one and two threads in the same turn. "
        "`python -m experiments.thread_choice` trains them.",
    ),
    "first_difference": Introduction(
        "Where two revisions part",
        "Differences planted in the reference model, and the place that `mainstay explain` names first. The expected "
        "operator, line and change were written down beforehand. Of two lines, the first is the candidate's, the "
        "second the baseline's. The controls change nothing that is computed. `nox -s first_difference` plants the "
        "differences and runs the command.",
    ),
    "adoption": Introduction(
        "Adoption",
        "Other people's projects, each put under a gate by `mainstay init --yes` without any help: what was written, "
        "how long it took, and four verdicts: on the project against itself, on the commit that adds the gate, on a "
        "reworded docstring, and on a slowdown planted in the code that the workloads time. `nox -s adoption` fetches "
        "and gates the projects.",
    ),
    "examples": Introduction(
        "Examples",
        "The five projects of `examples/`, one for each field that the article names, with models that come with a "
        "package. Each is gated twice: with a new constant that nothing uses, and with a new version of the package. "
        "*Fail* means that the new version is worse by more than the margin on items like these; it says nothing "
        "about other items. Lost items are right before and wrong after the change, gained ones the other way round; "
        "the first eight of each are shown. A gain of more than the margin needs a review: the gate exits with 3 "
        "until somebody acknowledges it. `nox -s examples` runs these gates.",
    ),
    "comparison": Introduction(
        "Other gates",
        "mainstay, pytest-benchmark, pytest-codspeed and asv judge the same changes: how often each raises an alarm, "
        "given the same time on the same machine. A clean change should raise no alarm; a slowdown beyond the margin of "
        "5 % should. The service that compares the times of pytest-codspeed cannot be asked here, so its rule is applied "
        "to the best times. `nox -s comparison` asks all four.",
    ),
    "gpu": Introduction(
        "One GPU",
        "What was measured on one GPU in ten minutes: the tests; pairs of equal revisions and of planted slowdowns, "
        "with clocks, power and throttling; epochs of the reference model beside those of a common loop; and 32 seeds "
        "in one call. Pairs with throttling are discarded as a whole. `nox -s gpu_results` repeats the measurement.",
    ),
    "torch_counts": Introduction(
        "Counts of what PyTorch does",
        "Regressions that a clock may not notice, planted one by one in a small library, and whether one run of the "
        "gate's workers names the metric, the operator and the line. The last changes only reword the code and must "
        "change no count. Where they were measured, the same counts follow with other instruction sets and numbers of "
        "threads.",
    ),
    "pair_noise": Introduction(
        "Noise of a pair",
        "Both revisions are the same, so every difference is noise. The tables show its standard deviation by what is "
        "measured, how it is timed, how the workers start, and how many busy processes run beside them. The gate "
        "takes the ratio of the sums over blocks of 2 ms, after it subtracts the time that a process waited for a "
        "core because of others. The noise that remains differs from process to process, and only more pairs reduce "
        "it.",
    ),
    "multiplicity": Introduction(
        "One error rate over many metrics",
        "Ways to limit the rate of false fails over 100 metrics, on the same simulated gates: how often any metric "
        "fails falsely, and what share of the degraded metrics is named, after 5 and after 12 pairs. Metrics degrade "
        "by twice the margin. All intervals are 95 % intervals.",
    ),
    "pair_lengths": Introduction(
        "Length of a pair",
        "How long timed pairs should be up to the first look, and after it. First gates of six metrics at a margin of 5 %, by "
        "the noise of a pair of 2.5 s and the share of its variance that falls as pairs get longer: how many gates of equal "
        "revisions pass, how many fail if one metric is worse by twice the margin, and how long they measure. Then 100 timed "
        "workloads that share a budget which shortens their pairs: how many metrics and gates of equal revisions each rule "
        "for the later pairs decides. Last, gates of 80 quiet and 20 very noisy metrics, one of which is worse by twice the "
        "margin: false fails of the others, and what becomes of that one. All intervals are 95 % intervals.",
    ),
    "groups": Introduction(
        "Groups of metrics",
        "Gates of 100 metrics at a margin of 5 %, judged twice from the same simulated pairs: alone, and with the geometric "
        "means of groups as further metrics. First gates of equal revisions, with the false fails of the whole family and the "
        "clean gates that pass; then the same at a noise five times the margin, where false fails are most frequent; then gates "
        "in which one metric is slower by the margin, by twice the margin and by 20 %, and as noisy as the others or five times "
        "as noisy. Intervals hold with 95 %.",
    ),
    "planted_events": Introduction(
        "Slowdowns of different shapes",
        "A slowdown of 5 % at a margin of 2 %: in every call, in rare calls that take 1, 15 or 50 ms longer, or in a "
        "thread of the library itself; and one of 10 % in every call at the usual margin of 5 %; on an idle machine and "
        "beside busy processes. No slowdown may pass, though an "
        "estimator that trims or leaves out interrupted blocks would lose the rare ones. The control and the other "
        "workload must not fail.",
    ),
    "public_suites": Introduction(
        "Benchmark suites of other projects",
        "pluggy, cattrs and yarl from their source distributions, set up by `mainstay init --yes`, with the proof of "
        "unchanged code switched off so that every benchmark is timed: the tree against itself, with a local variable "
        "renamed, and with one function slowed by a fifth. Only benchmarks that call it may fail. A gate of pluggy has "
        "5 minutes, one of cattrs 10, one of yarl 15.",
    ),
    "gate_time": Introduction(
        "Time of a gate",
        "Where the seconds of a gate go if the environments exist already. Overhead is the wall time minus the time "
        "that the workloads ran: environments, processes that start and import, judging, reporting. A fresh start is "
        "the start of an interpreter for each revision when time and memory are measured. The limit on the overhead "
        "does not count fresh starts, since memory is always measured in fresh interpreters.",
    ),
    "history": Introduction(
        "History",
        "Simulated years of a project whose commits are all gated by the real code, with an anchor every twenty "
        "commits: commits between false alarms, commits until a change is seen, change points, and searches for a "
        "guilty commit. Degradations are in margins. All intervals are 95 % intervals. [How history is "
        "judged](../explanation/history.md) explains the methods.",
    ),
    "history_scale": Introduction(
        "Large histories",
        "A history of 10,000 runs of five metrics: the seconds to append one more run, the bytes by which each run "
        "enlarges the packed repository, and the time to make the page of the history, measured in turns with `asv "
        "publish` for the same commits and values. `nox -s history_scale` measures it.",
    ),
    "cluster": Introduction(
        "Gates over a cluster",
        "What a gate over a Dask cluster costs beside one on a single machine, and whether its results are the same. "
        "*Scale*: the real measuring loop, journal and scheduler, with trials that only sleep; the "
        "processor time is that of the gate alone. *Overhead*: a gate over a cluster beside one on the same machine "
        "with as many threads, in turns. *Digits*: the reference model on one machine, in four shards, and over two "
        "workers, one of which is killed. Only the parts below were measured; `nox -s cluster_results` measures them.",
    ),
    "bisections": Introduction(
        "Searches for a commit",
        "Real repositories of a small package with one planted commit, which costs about two margins of accuracy or "
        "time. `mainstay bisect` is compared with `git bisect run`, which takes the exit status of a gate of each "
        "commit against the good one. The minutes were measured on a busy machine. `nox -s bisections` plants the "
        "commits and searches for them.",
    ),
    "compression": Introduction(
        "Compression",
        "Size, latency and accuracy for each way to make the model smaller, on MNIST, compared with its parent of the "
        "same seed. Deflated bytes are the size of the file after compression by zlib, which rewards zeros. Latency "
        "is a ratio measured in turns; the ratio of the parent's second copy shows how far such a ratio can be "
        "trusted.",
    ),
    "compression_verdicts": Introduction(
        "Compressed models, judged",
        "Each smaller model of the [table](compression.md) judged by `mainstay judge` against its parent, on the same "
        "10,000 images, with a margin of half a point. The measured degradation is the one that the table found over "
        "the seeds. A verdict contradicts it if it passes a model that lost more than twice the margin, or fails one "
        "that lost less than the margin, each with 95 % confidence. `nox -s compression_verdicts` trains and judges "
        "them.",
    ),
    "privacy": Introduction(
        "Privacy",
        "What a trained model reveals about which images were in its training data, and how far DP-SGD prevents that: "
        "perceptrons of the article, each trained on a random half of the same images of MNIST, plain and with three "
        "values of epsilon. *Members found* is the share of the members that the attack names while it wrongly names "
        "1 % of the others; *at most* is what the guarantee allows. [Privacy](../explanation/privacy.md) explains "
        "what this means. `nox -s privacy` measures it.",
    ),
    "loss_curves": Introduction(
        "Loss curves",
        "One training of the article's perceptron on few images of MNIST, epoch by epoch: the example of overfitting "
        "in the [lesson](../how-to/cure-overfitting.md). `python -m experiments.loss_curves` trains it.",
    ),
    "transfer": Introduction(
        "Transfer",
        "Accuracy on digits after training on a few of its labels: weights pretrained on MNIST beside new ones, with "
        "the same labels, recipe and seed. *Untuned* is the pretrained model without further training.",
    ),
}


def result_pages(folder: Path) -> dict[str, str]:
    """Return the pages of a folder of results, by the name of the page; the known files come first.

    Args:
        folder: Holds the JSON files.
    """
    return {
        stem.replace("_", "-"): render_page(
            stem, json.loads((folder / f"{stem}.json").read_text("utf-8")), where=f"docs/results/{stem}.json"
        )
        for stem in _stems(folder)
    }


def _stems(folder: Path) -> list[str]:
    """Return the names of the files, the known ones first."""
    known = list(INTRODUCTIONS)
    stems = sorted(file.stem for file in folder.glob("*.json"))
    return sorted(stems, key=lambda stem: known.index(stem) if stem in known else len(known))


def index_page(folder: Path) -> str:
    """Return the page that leads to the others, with what each measured.

    Args:
        folder: Holds the JSON files.
    """
    entries = [
        f"- [{page_title(stem)}]({stem.replace('_', '-')}.md). {_what(stem)}".rstrip() for stem in _stems(folder)
    ]
    return INDEX + "".join(f"{entry}\n" for entry in entries)


def _what(stem: str) -> str:
    """Return the beginning of an introduction, which says what was measured, as a sentence."""
    known = INTRODUCTIONS.get(stem)
    return f"{re.split(r'[.:;] ', known.text)[0].removesuffix('.')}." if known else ""


def page_title(stem: str) -> str:
    """Return the title of the page of a file.

    Example:
        >>> page_title("faults"), page_title("gpu_speed")
        ('Injected faults', 'Gpu speed')
    """
    known = INTRODUCTIONS.get(stem)
    return known.title if known else stem.replace("_", " ").replace("-", " ").capitalize()


def render_page(stem: str, document: Any, *, where: str) -> str:
    """Return the page of a document.

    Args:
        stem: Name of the file without its suffix.
        document: Its content.
        where: What to call the file.

    Raises:
        SystemExit: If a case of it has fewer gates than planned.
    """
    introduction = INTRODUCTIONS.get(stem)
    document, left = _finished(document, where)
    found = [f"**{_sentence(finding.sentence)}**\n\n{finding.chart}" for finding in findings(stem, document)]
    missing = [f"Not measured yet: {_escaped('; '.join(left))}.\n"] if left else []
    how = ["## How it was measured\n"] if found else []
    text = f"{introduction.text if introduction else ''}\n\nEvery figure is from `{where}`.\n"
    return "\n".join([f"# {page_title(stem)}\n", *found, *missing, *how, text, *_iter_blocks(document, level=2)])


def _finished(document: Any, where: str) -> tuple[Any, Sequence[str]]:
    """Return a document without the cases that are not measured yet, and the names of these.

    Raises:
        SystemExit: If a case that it shows has fewer gates than planned.
    """
    for record in _every_record(document):
        for count, planned in PLANNED.items():
            if {count, planned} <= record.keys() and record[count] < record[planned]:
                raise SystemExit(f"{where}: {record[count]} of {record[planned]} {count} are no result")
    if not isinstance(document, dict) or "not_measured_yet" not in document:
        return document, []
    shown = {key: value for key, value in document.items() if key != "not_measured_yet"}
    left = document["not_measured_yet"]
    return shown | {"gates": [gate for gate in document["gates"] if gate["case"] not in left]}, left


def _every_record(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every table of a document, its own first."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _every_record(inner)


def _iter_blocks(value: Any, *, level: int) -> Iterator[str]:
    """Yield facts, tables and sections of a table of JSON."""
    if isinstance(value, list):
        value = {"rows": value}
    facts = {key: text for key, inner in value.items() if (text := _shown(inner)) is not None}
    if facts:
        yield _table(["fact", "value"], [[_words(key), text] for key, text in facts.items()])
    for key, inner in value.items():
        if key in facts or not inner:
            continue
        yield f"{'#' * min(level, 6)} {_words(key).capitalize()}\n"
        if rows := _records(inner):
            yield _folded(rows)
        elif isinstance(inner, list):
            yield f"{len(inner)} values.\n"
        else:
            yield from _iter_blocks(inner, level=level + 1)


def _records(value: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a table: a list of records, or a table of records whose keys name them."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    if isinstance(value, dict) and len(value) > 1 and all(isinstance(item, dict) for item in value.values()):
        shapes = {frozenset(item) for item in value.values()}
        if len(shapes) == 1:
            return [{"name": key} | item for key, item in value.items()]
    return []


def _folded(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of records, folded where it is long."""
    cells = [dict(_flat(row)) for row in rows]
    columns = list(dict.fromkeys(key for row in cells for key in row))
    table = _table(
        [_words(column) for column in columns], [[row.get(column, "") for column in columns] for row in cells]
    )
    if len(rows) <= FOLDED_ROWS:
        return table
    indented = "".join(f"    {line}\n" for line in table.splitlines())
    return f'??? note "{len(rows)} rows"\n\n{indented}'


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the cells of a row; a table inside it becomes columns of its own."""
    for key, value in row.items():
        name = f"{prefix}{key}"
        if (text := _shown(value)) is not None:
            yield name, text
        elif isinstance(value, dict):
            yield from _flat(value, f"{name} ")
        elif isinstance(value, list):
            yield name, f"{len(value)} values"


def _shown(value: Any) -> str | None:
    """Return a value that fits a cell, or nothing."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else _number(value)
    if isinstance(value, str):
        return _escaped(value)
    if (
        isinstance(value, list)
        and all(isinstance(item, int | float | str) for item in value)
        and len(value) <= SHORT_LIST
    ):
        return ", ".join(str(_shown(item)) for item in value)
    if isinstance(value, dict) and {"rate", "low", "high", "n"} <= value.keys():
        return f"{value['rate']:.2%} ({value['low']:.2%} to {value['high']:.2%}) of {value['n']:,}"
    if isinstance(value, dict) and {"mean", "interval"} <= value.keys():
        return f"{_number(value['mean'])} {_interval(value)}"
    if isinstance(value, dict) and {"on", "off", "difference", "interval"} <= value.keys():
        numbers = (_number(value[key]) for key in ("off", "on", "difference"))
        return "{} → {}: {} {}".format(*numbers, _interval(value))
    return None


def _number(value: float) -> str:
    """Return a number of four digits; what no measurement tells from nothing is 0."""
    return f"{value:.4g}" if abs(value) > sys.float_info.min * 1e3 else "0"


def _interval(value: Mapping[str, Any]) -> str:
    if value["interval"] is None:
        return "(exact)"
    low, high = map(_number, value["interval"])
    return f"({low} to {high})"


def _words(key: str) -> str:
    return _escaped(words(key))


def _sentence(text: str) -> str:
    """Return a sentence whose numbers stay in one line with their sign."""
    return _escaped(text).replace(" %", "\N{NO-BREAK SPACE}%")


def _roomy(cell: str) -> str:
    """Return a cell whose sentence keeps a width at which it reads well; a table that is wider than the screen scrolls."""
    return f'<span class="sentence">{cell}</span>' if len(cell) > SENTENCE else cell


def _escaped(text: str) -> str:
    return UNSAFE.sub(lambda match: f"\\{match[0]}", text)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([_roomy(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
