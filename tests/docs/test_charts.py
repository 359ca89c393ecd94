import copy
import importlib
import json
import re
from xml.etree import ElementTree

import pytest

from scripts.documentation import charts, findings, results, simulation_findings
from scripts.documentation.charts import Axis, Bar, Mark, Row
from scripts.documentation.figures import replace_figures
from scripts.documentation.lesson_drawings import DRAWINGS
from scripts.documentation.statistics_charts import CHARTS

UNIT = Axis("share", [0, 0.5, 1], (0, 1))


def document_of(root, stem):
    return json.loads((root / "docs" / "results" / f"{stem}.json").read_text("utf-8"))


def svg_of(chart):
    figure = ElementTree.fromstring(chart)
    return figure.find("svg")


def description(chart):
    return svg_of(chart).findtext("desc")


def charts_of(stem, document):
    return [finding.chart for finding in findings.findings(stem, document) if finding.chart]


def set_first_mean(document):
    document["digits"]["changes"][-1]["metrics"]["top1_accuracy"]["mean_degradation"] = 0.024


def set_clean_passes(document):
    document["whole_gates"][0]["clean"]["passes"]["rate"] = 0.125


def set_detection(document):
    next(row for row in document["detection"] if row["degradation"] == 0.01)["mainstay"]["rate"] = 0.125


def set_pretrained(document):
    document["rows"][0]["pretrained_minus_new"]["mean"] = -0.05


def set_passing(document):
    document["cases"][1] |= {"pass": 19, "passing": {"rate": 0.95, "low": 0.75, "high": 0.999, "n": 20}}


def set_failures(document):
    document["cases"][0] |= {"pass": 26, "fail": 1}


def set_passed(document):
    document["by_kind"][0] |= {"exit 1": 39, "passed": 1, "candidates": 40}


def set_slower(document):
    document["ratios_over_mainstay"][0]["command"]["median"] = 11.5


def set_gain(document):
    document["added_to_plain"]["augmentation"]["top1_accuracy"]["difference"] = 0.0425


def set_loss(document):
    document["rows"][1]["top1_accuracy_minus_parent"]["mean"] = -0.0001


def set_contradiction(document):
    document["rows"][0] |= {"pass": 0, "fail": 1, "inconclusive": 0}


def set_lost_items(document):
    document["bumped"]["pictures"] |= {
        "verdict": "fail",
        "lost": 90,
        "items": 500,
        "gained": 3,
        "degradation": {"mean": 0.04, "interval": [0.03, 0.05]},
    }


def set_overhead(document):
    document["gates"][0]["in_workloads_s"] = 20.5


def set_run_length(document):
    document["run_lengths"][0]["run_length"]["mean"] = 1200


def set_area(document):
    document["rows"][0]["likelihood_ratio_area"]["mean"] = 0.7


def set_undecided_suites(document):
    document["cases"][0] |= {"fail": 0, "inconclusive": 2, "error": 0, "pass": 3}


CHANGED = {
    "faults": (set_first_mean, "test-set-leaked: −3.09 · +2.00"),
    "operating_characteristics": (set_clean_passes, "1 metric, margin 0.83 sd: 12 % · 93 %"),
    "evaluation": (set_detection, "HumanEval, 164 items, 3 % flips: 0 · 0 · 4 · 12 %"),
    "clean_changes": (set_passing, "beside four busy processes: 19 of 20, 31 s"),
    "selftest": (set_failures, "A/A: 26 · 1 · 33, 60 gates"),
    "hostile": (set_passed, "workload: 39 · 1 · 0"),
    "peers": (set_slower, "the article's script: torchvision, ToTensor, DataLoader: 11.50 · 11.69"),
    "ablations": (set_gain, "augmentation: +4.25 · +4.19"),
    "compression": (set_loss, "int8: 25 % of the size, −0.01"),
    "compression_verdicts": (set_contradiction, "int8: 0 · 1 · 0"),
    "examples": (set_lost_items, "rapidocr-onnxruntime 1.3.25: fail: 90 lost and 3 gained of 500"),
    "gate_time": (set_overhead, "words changed: equal bits end it: 20.5 + 24.0 + 0.0 = 45.3 s"),
    "history": (set_run_length, "normal: 1,200 · 1,242"),
    "privacy": (set_area, "no DP: 70.00 (59.71 to 60.23)"),
    "public_suites": (set_undecided_suites, "pluggy, itself: 0 · 2 · 3"),
    "transfer": (set_pretrained, "as they are, 10 labels: −5.00 (−16.11 to +7.45)"),
}


@pytest.mark.parametrize("stem", CHANGED)
def test_numbers_of_a_chart_come_from_its_file(root, stem):
    document = document_of(root, stem)
    changed = copy.deepcopy(document)
    change, said = CHANGED[stem]
    change(changed)

    before, after = charts_of(stem, document), charts_of(stem, changed)

    assert len(before) == len(after)
    assert before != after
    assert said in " ".join(map(description, after))


@pytest.mark.parametrize("stem", CHANGED)
def test_chart_is_said_in_words_and_asks_for_nothing_outside_the_page(root, stem):
    drawn = charts_of(stem, document_of(root, stem))

    for chart in drawn:
        svg = svg_of(chart)
        titles = {element.get("id"): element.text for element in svg if element.tag in {"title", "desc"}}
        assert svg.get("role") == "img"
        assert svg.get("aria-labelledby").split() == list(titles)
        assert all(titles.values())
        assert {element.tag for element in svg.iter()} <= {"svg", "title", "desc", "g", "defs", "path", "use", "text"}
        assert all(element.get("href", "#").startswith("#") for element in svg.iter())
        assert "://" not in chart
        assert "url(" not in chart
        assert "\n\n" not in chart
    identifiers = re.findall(r' id="([^"]+)"', "".join(drawn))
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("stem", CHANGED)
def test_chart_is_drawn_in_colours_that_the_theme_sets_for_light_and_dark(root, stem):
    sheet = (root / "docs" / "assets" / "stylesheets" / "extra.css").read_text("utf-8")
    styles = " ".join(re.findall(r'style="([^"]*)"', "".join(charts_of(stem, document_of(root, stem)))))

    assert not re.findall(r"#[0-9a-f]{3,8}|rgb|font-family", styles)
    for variable in re.findall(r"var\((--[\w-]+)\)", styles):
        shared = re.search(rf"\[data-md-color-scheme\] {{[^}}]*{variable}:", sheet)
        each = [re.search(rf'scheme="{name}"\] {{[^}}]*{variable}:', sheet) for name in ("default", "slate")]
        assert shared or all(each)


def test_same_numbers_give_the_same_bytes(root):
    document = document_of(root, "ablations")

    assert charts_of("ablations", document) == charts_of("ablations", copy.deepcopy(document))


def test_evaluations_are_held_to_the_margin_of_their_campaign():
    assert simulation_findings.EVALUATION_MARGIN == importlib.import_module("experiments.evaluation_detection").MARGIN


def test_every_file_has_a_finding(root):
    known = {file.stem for file in (root / "docs" / "results").glob("*.json")}

    assert set(findings.FINDERS) == known | {"comparison"}  # its campaign is not finished
    assert {*CHANGED} <= set(findings.FINDERS)


def test_page_states_each_finding_above_its_chart_and_keeps_the_table_below(root):
    document = document_of(root, "ablations")
    (finding,) = findings.findings("ablations", document)

    page = results.render_page("ablations", document, where="docs/results/ablations.json")

    assert (
        page.index(f"**{finding.sentence}**\n\n<figure")
        < page.index("## How it was measured")
        < page.index("| fact | value |")
    )
    gain = document["added_to_plain"]["augmentation"]["top1_accuracy"]
    assert f"{100 * gain['difference']:+.2f}" in finding.sentence


def test_alarms_of_each_tool_are_stated_case_by_case():
    alarms = [
        {"case": case, "tool": tool, "alarms": {"rate": count / 30, "low": 0, "high": 1, "n": 30}}
        for case, tool, count in [("A/A", "mainstay gate", 0), ("A/A", "asv", 6), ("+10 % step time", "asv", 30)]
    ]

    clean, slow = findings.findings("comparison", {"alarms": alarms})

    assert clean.sentence == "A/A: mainstay gate raises an alarm in 0 % of gates, asv raises an alarm in 20 % of gates."
    assert "asv: 100 %" in description(slow.chart)


def test_a_harmless_change_beyond_the_margin_is_counted(root):
    document = document_of(root, "faults")
    harmless = document["mnist"]["changes"][0]["metrics"]["top1_accuracy"]
    harmless["interval"] = [2 * harmless["margin"], 3 * harmless["margin"]]

    *_, finding = findings.findings("faults", document)

    assert "of 8 harmless ones 1 does" in finding.sentence


@pytest.mark.parametrize(
    ("name", "place", "rate", "said"),
    [
        ("verdicts", ("whole_gates", 0, "clean", "passes", "rate"), 0.5, "no degradation: 50.0 % · 0.0 % · 50.0 %"),
        ("noise", ("one_look_levels", None, "level", "rate"), 0.125, "normal: 12.5 %"),
        ("order", ("orders_of_trials", 0, "clean_gate_fails", "rate"), 0.125, "one coin for two pairs (used): 12.5 %"),
        ("boundaries", ("boundaries", 1, "t", 0), 5.75, "after 5 pairs: 3.50 · 5.75 · 9.03"),
    ],
)
def test_charts_of_the_statistics_show_what_was_simulated(root, name, place, rate, said):
    document = document_of(root, "operating_characteristics")
    table, row, *keys, last = place
    rows = document[table]
    inner = rows[row] if row is not None else next(row for row in rows if row["pairs"] == 5)
    for key in keys:
        inner = inner[key]
    inner[last] = rate

    chart = CHARTS[name](document)

    assert said in description(chart)
    assert chart != CHARTS[name](document_of(root, "operating_characteristics"))


def test_page_gets_the_chart_that_it_asks_for(root):
    page = replace_figures('before\n\n{{ chart("noise") }}\n\nafter\n', root)

    drawn = CHARTS["noise"](document_of(root, "operating_characteristics"))
    assert page == f"before\n\n{drawn}\n\nafter\n"


def test_every_chart_and_drawing_is_on_a_page(root):
    text = " ".join(page.read_text("utf-8") for page in (root / "docs").rglob("*.md"))

    assert {*re.findall(r'\{\{ chart\("([^"]+)"\) \}\}', text)} == {*CHARTS, *DRAWINGS}


def test_mark_and_interval_stand_where_the_axis_puts_them():
    chart = charts.draw_intervals("a", "A", [Row("x", [Mark(0, 0.5, 0.25, 1)], "0.5")], axis=UNIT, lines={0.75: "bar"})

    svg = svg_of(chart)
    left, right = charts.LEFT, charts.WIDTH - charts.RIGHT
    (mark,) = [use.get("x") for use in svg.iter("use") if "--chart-1" in use.get("style")]
    ends = [path.get("d") for path in svg.iter("path") if "--chart-1" in path.get("style") and "L" in path.get("d")]
    assert float(mark) == (left + right) / 2
    assert any(re.match(rf"M {left + (right - left) / 4:g} \S+\s+L {right} ", end) for end in ends)
    assert [text.text for text in svg.iter("text")].count("bar") == 1


def test_parts_of_a_bar_follow_each_other():
    chart = charts.draw_stacks("a", "A", [Bar("x <y>", [0.25, 0, 0.5], "3")], axis=UNIT, series=["p", "q", "r"])

    drawn = [path for path in svg_of(chart).iter("path") if "fill: var(--chart" in path.get("style")]
    starts = {re.search(r"--chart-\d", path.get("style"))[0]: float(path.get("d").split()[1]) for path in drawn}
    width = charts.WIDTH - charts.LEFT - charts.RIGHT
    assert starts["--chart-3"] - starts["--chart-1"] == pytest.approx(width / 4)
    assert description(chart) == "x <y>: 3"


@pytest.mark.parametrize(
    ("name", "note"), [("n" * 20, "1"), ("many words " * 8, "1 · 2"), ("short", "much to say " * 8)]
)
def test_words_that_fit_no_line_go_on_in_the_next(name, note):
    chart = charts.draw_stacks("a", "A", [Bar(name, [1], note)], axis=UNIT)

    texts = [text.text for text in svg_of(chart).iter("text")]
    assert all(len(text) <= charts.LETTERS for text in texts)
    assert {*name.split(), *note.split()} <= set(" ".join(texts).split())
